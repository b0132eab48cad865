#include "loop/internal.h"

static void submit(struct work *w);

/* ---- in the worker thread ----------------------------------------------------------------------
 */

static void run_in_worker(uv_work_t *req)
{
    struct work *w = container_of(req, struct work, req);
    w->ok = w->run(w, &w->result) == 0;
}

/* ---- on the loop -------------------------------------------------------------------------------
 */

static struct work *pop(struct loop *l)
{
    struct work *w = l->work_first;
    if (w) {
        l->work_first = w->next;
        if (!l->work_first) {
            l->work_last = NULL;
        }
        l->work_queued--;
        w->next = NULL;
    }
    return w;
}

static void push(struct loop *l, struct work *w)
{
    w->next = NULL;
    if (l->work_last) {
        l->work_last->next = w;
    } else {
        l->work_first = w;
    }
    l->work_last = w;
    l->work_queued++;
}

static bool take_out(struct loop *l, struct work *w)
{
    struct work *before = NULL;
    for (struct work *x = l->work_first; x; before = x, x = x->next) {
        if (x != w) {
            continue;
        }
        if (before) {
            before->next = w->next;
        } else {
            l->work_first = w->next;
        }
        if (l->work_last == w) {
            l->work_last = before;
        }
        l->work_queued--;
        w->next = NULL;
        return true;
    }
    return false;
}

static void after_work(uv_work_t *req, int status)
{
    struct work *w = container_of(req, struct work, req);
    struct loop *l = w->op.loop;
    w->running = false;
    l->work_running--;
    struct work *next = pop(l);
    if (next) {
        submit(next);
    }
    if (status == UV_ECANCELED) {
        op_finish_cancelled(&w->op);
    } else {
        op_finish(&w->op, w->ok ? NULL : &w->result);
    }
}

static void submit(struct work *w)
{
    struct loop *l = w->op.loop;
    w->running = true;
    l->work_running++;
    CHECK(uv_queue_work(loop_uv(l), &w->req, run_in_worker, after_work) == 0);
}

static void work_cancel(struct op *op)
{
    struct work *w = container_of(op, struct work, op);
    if (!w->running) {
        CHECK(take_out(op->loop, w));
        op_finish_cancelled(op);
        return;
    }
    /* Works if no thread has taken it up yet; after_work then says so. Otherwise it runs on. */
    (void)uv_cancel((uv_req_t *)&w->req);
}

void work_start(struct work *w, struct loop *l, int (*run)(struct work *w, struct err *err))
{
    op_init(&w->op, l, work_cancel);
    op_begin(&w->op);
    w->run = run;
    w->result = (struct err){0};
    w->next = NULL;
    w->ok = false;
    w->running = false;
    if (l->work_running < l->work_max) {
        submit(w);
    } else {
        push(l, w);
    }
}

unsigned work_in_flight(const struct loop *l)
{
    return l->work_running;
}
