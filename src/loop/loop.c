#include <errno.h>

#include "loop/internal.h"

/* ---- ready queue -------------------------------------------------------------------------------
 */

void loop__check_thread(const struct loop *l)
{
    CHECK(pthread_equal(l->thread, pthread_self()));
}

static void keep_turning(uv_idle_t *idle)
{
    (void)idle; /* being active is its job: the loop then polls without blocking */
}

void loop_ready(struct loop *l, struct ready *r)
{
    loop__check_thread(l);
    CHECK(!r->queued && r->fn);
    r->queued = true;
    r->next = NULL;
    if (l->last) {
        l->last->next = r;
    } else {
        l->first = r;
        CHECK(uv_idle_start(&l->idle, keep_turning) == 0);
    }
    l->last = r;
}

/* What is queued meanwhile waits for the next turn, so that I/O gets its share however busy the
 * flows are. */
static void drain(uv_check_t *check)
{
    struct loop *l = container_of(check, struct loop, check);
    struct ready *r = l->first;
    l->first = l->last = NULL;
    uv_idle_stop(&l->idle);
    while (r) {
        struct ready *next = r->next;
        r->queued = false;
        r->fn(r); /* may free r */
        r = next;
    }
}

/* ---- the loop ----------------------------------------------------------------------------------
 */

/* The size of libuv's pool is fixed when it is first used, from the environment. */
static int size_thread_pool(unsigned work_threads, struct err *err)
{
    int64_t have = 0;
    if (span_to_i64(span_of(getenv("UV_THREADPOOL_SIZE")), 1, 1024, &have) == 0 &&
        have >= work_threads + 2) {
        return 0;
    }
    char text[16];
    snprintf(text, sizeof(text), "%u", work_threads + 2);
    if (setenv("UV_THREADPOOL_SIZE", text, 1) < 0) {
        return err_sys(err, ENOMEM, "setting UV_THREADPOOL_SIZE");
    }
    return 0;
}

struct loop *loop_new(unsigned work_threads, struct err *err)
{
    if (work_threads < 1 || work_threads > 64) {
        err_set(err, ERR_USAGE, ERR_PERMANENT, "%u worker threads: must be from 1 to 64",
                work_threads);
        return NULL;
    }
    if (size_thread_pool(work_threads, err) < 0) {
        return NULL;
    }
    struct loop *l = mem_alloc(sizeof(*l));
    int rc = uv_loop_init(&l->uv);
    if (rc < 0) {
        mem_free(l);
        err_set_code(err, ERR_UV, ERR_RETRY, rc, "making the event loop: %s", uv_strerror(rc));
        return NULL;
    }
    l->thread = pthread_self();
    l->work_max = work_threads;
    CHECK(uv_check_init(&l->uv, &l->check) == 0);
    CHECK(uv_check_start(&l->check, drain) == 0);
    uv_unref((uv_handle_t *)&l->check);
    CHECK(uv_idle_init(&l->uv, &l->idle) == 0);
    return l;
}

void loop_run(struct loop *l)
{
    l->thread = pthread_self();
    uv_run(&l->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *l)
{
    loop__check_thread(l);
    uv_stop(&l->uv);
}

uv_loop_t *loop_uv(struct loop *l)
{
    return &l->uv;
}

int64_t loop_now_ms(const struct loop *l)
{
    return (int64_t)uv_now(&l->uv);
}

unsigned loop_flow_count(const struct loop *l)
{
    return l->flows;
}

struct loop *loop_free(struct loop *l)
{
    if (!l) {
        return NULL;
    }
    l->thread = pthread_self();
    /* Close callbacks of others may still be due, and flows whose end is queued. The first turn is
     * lost if loop_stop was called after the last one. */
    enum { LAST_TURNS = 64 };
    for (int turn = 0; turn < 2 || (l->first && turn < LAST_TURNS); turn++) {
        uv_run(&l->uv, UV_RUN_NOWAIT);
    }
    bool clean = !l->first && l->flows == 0 && l->work_running == 0 && l->work_queued == 0;
    uv_close((uv_handle_t *)&l->check, NULL);
    uv_close((uv_handle_t *)&l->idle, NULL);
    uv_run(&l->uv, UV_RUN_NOWAIT);
    int rc = uv_loop_close(&l->uv);
    if (rc != 0 || !clean) {
        fprintf(stderr, "loop closed with %u flows, %u work items and these handles:\n", l->flows,
                l->work_running + l->work_queued);
        if (rc != 0) {
            uv_print_all_handles(&l->uv, stderr);
        }
    }
    CHECK(rc == 0);
    CHECK(clean);
    mem_free(l);
    return NULL;
}
