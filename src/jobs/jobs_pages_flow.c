/* Something done to many jobs, page by page. */
#include "jobs/internal.h"

enum { PAGE = 1000, TRIES = 5, AGAIN_MS = 200 };
enum { CALL_PLAN, CALL_PAGE, CALL_ACT, CALL_AUDIT };

struct pages_flow {
    struct flow f;
    struct jobs_pages *p;
    struct arena *turn; /* memory of one page */
    struct db_unit u;
    struct timer_op pause;
    unsigned source; /* the one that is gone through */
    size_t at;       /* into the ids, if some were given */
    int64_t after;   /* the last id of the page before */
    int64_t audit;   /* its row; 0: none yet */
    unsigned pages;
    int tries; /* of this page */
};
#define PAGES_STEPS(STEP)                                                                          \
    STEP(pages, page) /* -> hint, when all sources are through or it is enough */                  \
    STEP(pages, note) /* -> page */                                                                \
    STEP(pages, hint) /* the instances hear of it */                                               \
    STEP(pages, end)
FLOW_STEPS(pages, PAGES_STEPS);

static struct pages_flow *pages_of(struct flow *f)
{
    return container_of(f, struct pages_flow, f);
}

static size_t ids_of_page(const struct pages_flow *x)
{
    size_t left = x->p->nid - x->at;
    return left < PAGE ? left : PAGE;
}

static void add_page(struct pages_flow *x)
{
    const struct jobs_pages *p = x->p;
    db_add(&x->u, p->source[x->source].page);
    db_p_i64(&x->u, x->after);
    db_p_i64(&x->u, PAGE);
    p->add_page(p->ctx, &x->u, x->source, p->nid ? p->id + x->at : NULL, ids_of_page(x));
    db_add(&x->u, p->source[x->source].act);
    if (p->add_act) {
        p->add_act(p->ctx, &x->u, x->source);
    }
}

static void add_audit(struct pages_flow *x)
{
    const struct jobs_pages *p = x->p;
    /* Of ids it is known beforehand which page is the last, however short the others are. */
    bool last = x->source + 1 == p->nsource && x->at + ids_of_page(x) == p->nid;
    db_add(&x->u, &SQL_jobs_cmd_audit);
    if (x->audit) {
        db_p_i64(&x->u, x->audit);
    } else {
        db_p_null(&x->u);
    }
    db_p_text(&x->u, p->who);
    db_p_text(&x->u, p->command);
    db_p_text(&x->u, p->filter);
    db_p_bool(&x->u, last);
    db_p_i64(&x->u, p->nid ? PAGE + 1 : PAGE);
}

static enum flow_next pages_page(struct flow *f)
{
    struct pages_flow *x = pages_of(f);
    const struct jobs_pages *p = x->p;
    if (x->source == p->nsource || (p->max_pages && x->pages == p->max_pages) ||
        (x->pages && p->is_enough && p->is_enough(p->ctx))) {
        return flow_goto(f, pages_STEP_hint);
    }
    db_unit_done(&x->u);
    arena_reset(x->turn);
    db_unit_init(&x->u, p->pool, x->turn, DB_TX);
    x->u.statement_timeout_ms = p->statement_timeout_ms;
    db_add(&x->u, &SQL_jobs_cmd_plan);
    add_page(x);
    add_audit(x);
    db_submit(&x->u);
    if (p->on_page) {
        p->on_page(p->ctx, true);
    }
    return flow_wait_any(f, &x->u.op, pages_STEP_note, p->page_ms);
}

/* Nobody is at fault: two held what the other wanted, and the page was undone. */
static bool is_worth_again(const struct err *err)
{
    return strcmp(err->sqlstate, "40P01") == 0 || strcmp(err->sqlstate, "40001") == 0 ||
           strcmp(err->sqlstate, "55P03") == 0;
}

static enum flow_next page_failed(struct flow *f)
{
    struct pages_flow *x = pages_of(f);
    if (is_worth_again(&x->u.op.err) && ++x->tries < TRIES) {
        timer_op_start(&x->pause, f->loop, (int64_t)AGAIN_MS * x->tries);
        return flow_wait(f, &x->pause.op, pages_STEP_page, 0);
    }
    f->err = x->u.op.err;
    x->p->commit_unknown = x->u.commit_unknown;
    return flow_fail(f);
}

static enum flow_next pages_note(struct flow *f)
{
    struct pages_flow *x = pages_of(f);
    struct jobs_pages *p = x->p;
    if (!x->u.op.failed) {
        p->done += db_get_i64(&x->u, CALL_AUDIT, 0, 1);
    }
    if (p->on_page) {
        p->on_page(p->ctx, false);
    }
    if (x->u.op.failed) {
        return page_failed(f);
    }
    int64_t found = db_get_i64(&x->u, CALL_PAGE, 0, 1);
    x->tries = 0;
    x->pages++;
    x->audit = db_get_i64(&x->u, CALL_AUDIT, 0, 0);
    x->after = found ? db_get_i64(&x->u, CALL_PAGE, 0, 2) : x->after;
    x->at += ids_of_page(x);
    if (p->nid ? x->at == p->nid : found < PAGE) {
        x->source++;
        x->at = 0;
        x->after = INT64_MIN;
    }
    return flow_goto(f, pages_STEP_page);
}

static enum flow_next pages_hint(struct flow *f)
{
    struct pages_flow *x = pages_of(f);
    if (x->p->done == 0) {
        return FLOW_DONE;
    }
    db_unit_done(&x->u);
    db_unit_init(&x->u, x->p->pool, f->arena, 0);
    db_add(&x->u, &SQL_jobs_hint);
    db_p_text(&x->u, x->p->channel);
    db_submit(&x->u);
    return flow_wait_any(f, &x->u.op, pages_STEP_end, JOBS_CALL_MS); /* they look anyway */
}

static enum flow_next pages_end(struct flow *f)
{
    (void)f;
    return FLOW_DONE;
}

static void pages_ended(struct flow *f)
{
    struct pages_flow *x = pages_of(f);
    db_unit_done(&x->u);
    x->turn = arena_free(x->turn);
}

static const struct flow_def pages_def = {"jobs_pages", pages_steps, pages_STEP_COUNT, pages_ended};

struct flow *jobs_pages_flow(struct jobs_pages *p)
{
    CHECK(p->nsource <= COUNT_OF(p->source));
    struct pages_flow *x = flow_new(db_pool_loop(p->pool), &pages_def, sizeof(*x), 0);
    x->p = p;
    x->turn = arena_new(0);
    x->after = INT64_MIN;
    p->done = 0;
    p->commit_unknown = false;
    return &x->f;
}
