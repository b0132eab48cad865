/* One page of a sync: what an athlete's list has at the next place, taken over together with the
 * place after it and the job that goes there. Killed anywhere, it is this page that is asked for
 * again. */
#include "ingest/internal.h"

struct page_flow {
    struct flow f;
    struct ingest_sync *s;
    struct jobs_batch *b;
    int64_t sync, athlete;
    bool live;
    int64_t after_s;
    struct ingest_scan at, next;
    int64_t *id; /* of the page, each once */
    size_t nids;
    struct ingest_listed listed;
    bool over;
    char after[24], before[24], page[24], per_page[8];
    struct strava_call call;
    struct strava_parse parse;
    const char *problem; /* why the sync ends here */
    bool dies;           /* and the job with it, of f.err */
    struct err why;
    unsigned tries;
    struct op op;
    struct db_unit u;
};
#define PAGE_STEPS(STEP)                                                                           \
    STEP(page, read) /* where the sync stands */                                                   \
    STEP(page, ask)  /* -> drop, if it is over */                                                  \
    STEP(page, asked)                                                                              \
    STEP(page, compare) /* with what this sync has seen */                                         \
    STEP(page, save)    /* one transaction: activities, the next place, its job, ours */           \
    STEP(page, saved)   /* -> save, after a conflict */                                            \
    STEP(page, stop)    /* the sync cannot go on */                                                \
    STEP(page, drop)    /* there is nothing to do */                                               \
    STEP(page, stopped)
FLOW_STEPS(page, PAGE_STEPS);

static struct page_flow *page_of(struct flow *f)
{
    return container_of(f, struct page_flow, f);
}

static struct db_unit *new_unit(struct page_flow *p, unsigned flags)
{
    db_unit_done(&p->u);
    db_unit_init(&p->u, p->s->pool, p->f.arena, flags);
    return &p->u;
}

static enum flow_next page_read(struct flow *f)
{
    struct page_flow *p = page_of(f);
    if (ingest__payload_i64(p->b->job[0].payload, "sync", &p->sync, &f->err) != 0) {
        return flow_fail(f);
    }
    db_add(new_unit(p, DB_READONLY), &SQL_ingest_sync_read);
    db_p_i64(&p->u, p->sync);
    db_submit(&p->u);
    return flow_wait(f, &p->u.op, page_STEP_ask, INGEST_UNIT_MS);
}

static void add_query(struct page_flow *p, const char *name, char *text, size_t n, int64_t v)
{
    snprintf(text, n, "%lld", (long long)v);
    p->call.query[p->call.nquery].name = name;
    p->call.query[p->call.nquery++].value = text;
}

static enum flow_next page_ask(struct flow *f)
{
    struct page_flow *p = page_of(f);
    const struct db_unit *u = &p->u;
    if (db_rows(u, 0) == 0) {
        return flow_goto(f, page_STEP_drop);
    }
    p->athlete = db_get_i64(u, 0, 0, 0);
    p->live = span_is(db_get_span(u, 0, 0, 1), "new");
    /* Both bounds, always: with one of them the order is another. */
    p->after_s = db_is_null(u, 0, 0, 2) ? 0 : db_get_i64(u, 0, 0, 2) - 1;
    p->at = (struct ingest_scan){
        .before_s = db_get_i64(u, 0, 0, 3),
        .page = db_get_i64(u, 0, 0, 4),
        .low_s = db_is_null(u, 0, 0, 5) ? INT64_MAX : db_get_i64(u, 0, 0, 5),
        .fresh = db_get_i64(u, 0, 0, 6) != 0,
    };
    p->call = (struct strava_call){
        .athlete_id = p->athlete,
        .path = "/athlete/activities",
        .max_body = STRAVA_BODY_MAX,
        .extra = p->b->unpaid,
        .live = p->live,
    };
    add_query(p, "before", p->before, sizeof(p->before), p->at.before_s);
    add_query(p, "after", p->after, sizeof(p->after), p->after_s);
    add_query(p, "page", p->page, sizeof(p->page), p->at.page);
    add_query(p, "per_page", p->per_page, sizeof(p->per_page), INGEST_PER_PAGE);
    flow_call(strava_call_flow(p->s->strava, &p->call), &p->op);
    return flow_wait_any(f, &p->op, page_STEP_asked, INGEST_ANSWER_MS);
}

/* With its last attempt the job takes the sync along. */
static enum flow_next failed(struct page_flow *p, const struct err *why)
{
    if (!ingest__is_last(&p->f, p->b, why, true)) {
        return flow_fail(&p->f);
    }
    p->why = p->f.err;
    p->dies = true;
    p->problem = p->why.msg;
    return flow_goto(&p->f, page_STEP_stop);
}

static enum flow_next page_asked(struct flow *f)
{
    struct page_flow *p = page_of(f);
    if (p->op.failed) {
        return failed(p, &p->op.err);
    }
    if (p->call.outcome != STRAVA_OK) {
        p->problem = ingest__outcome_text(&p->call, f->arena);
        return flow_goto(f, page_STEP_stop);
    }
    strava_parse_start(&p->parse, f->loop, STRAVA_LIST, &p->call.body, INT64_MIN);
    return flow_wait_any(f, &p->parse.work.op, page_STEP_compare, INGEST_PARSE_MS);
}

/* Those of another athlete are none of ours, whatever the list says. */
static void drop_others(struct page_flow *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->parse.n; i++) {
        struct strava_activity *a = &p->parse.activity[i];
        if (a->athlete_id == INT64_MIN || a->athlete_id == p->athlete) {
            p->parse.activity[n++] = *a;
        } else {
            p->parse.bad++;
        }
    }
    p->parse.n = n;
}

static int by_id(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Each once, however often the page has it. */
static size_t distinct_ids(struct page_flow *p)
{
    size_t n = 0;
    p->id = arena_new_array(p->f.arena, int64_t, p->parse.n + 1);
    for (size_t i = 0; i < p->parse.n; i++) {
        p->id[i] = p->parse.activity[i].id;
    }
    qsort(p->id, p->parse.n, sizeof(*p->id), by_id);
    for (size_t i = 0; i < p->parse.n; i++) {
        if (n == 0 || p->id[n - 1] != p->id[i]) {
            p->id[n++] = p->id[i];
        }
    }
    return n;
}

static enum flow_next page_compare(struct flow *f)
{
    struct page_flow *p = page_of(f);
    if (p->parse.work.op.failed) {
        struct err why = p->parse.work.op.err;
        (void)err_wrap(&why, "a page of athlete %lld's list: ", (long long)p->athlete);
        return failed(p, &why);
    }
    drop_others(p);
    p->nids = distinct_ids(p);
    db_add(new_unit(p, DB_READONLY), &SQL_ingest_sync_seen);
    db_p_i64(&p->u, p->sync);
    db_p_i64_array(&p->u, p->id, p->nids);
    db_submit(&p->u);
    return flow_wait(f, &p->u.op, page_STEP_save, INGEST_UNIT_MS);
}

static void move_on(struct page_flow *p)
{
    p->listed = (struct ingest_listed){
        .n = p->parse.n + p->parse.bad,
        .fresh = p->nids - (size_t)db_rows(&p->u, 0),
        .min_s = INT64_MAX,
    };
    for (size_t i = 0; i < p->parse.n; i++) {
        int64_t us = p->parse.activity[i].start_us;
        int64_t s = us / 1000000 - (us % 1000000 < 0);
        p->listed.min_s = us != INT64_MIN && s < p->listed.min_s ? s : p->listed.min_s;
    }
    p->next = p->at;
    p->over = !ingest__scan_next(&p->next, &p->listed);
}

static enum flow_next page_save(struct flow *f)
{
    struct page_flow *p = page_of(f);
    if (p->tries == 0) {
        move_on(p);
    }
    if (p->next.page > INGEST_PAGES_MAX) {
        p->problem = "Strava's list has no end";
        return flow_goto(f, page_STEP_stop);
    }
    struct db_unit *u = new_unit(p, DB_TX);
    jobs_add_finish(u, p->b, 1);
    db_add(u, &SQL_ingest_take_page);
    ingest__add_activities(u, p->athlete, p->call.ticket, p->sync, p->parse.activity, p->parse.n);
    db_p_time_us(u, p->at.before_s * 1000000);
    db_p_i64(u, p->at.page);
    db_p_time_us(u, p->next.before_s * 1000000);
    db_p_i64(u, p->next.page);
    db_p_time_us(u, p->next.low_s == INT64_MAX ? INT64_MIN : p->next.low_s * 1000000);
    db_p_bool(u, p->next.fresh);
    db_p_bool(u, p->over);
    db_p_i64(u, (int64_t)p->listed.fresh);
    db_p_i64(u, (int64_t)p->parse.bad);
    db_p_text(u, p->parse.first_bad);
    db_p_text(u, p->s->conf.streams);
    db_p_text(u, p->s->conf.details);
    db_add(u, &SQL_ingest_sync_row);
    db_p_i64(u, p->sync);
    db_submit(u);
    FAULT_POINT("page_sent");
    return flow_wait_any(f, &u->op, page_STEP_saved, INGEST_UNIT_MS);
}

static void tell_end(struct page_flow *p)
{
    const struct db_unit *u = &p->u;
    struct arena *a = p->f.arena;
    if (db_rows(u, 2) == 0 || span_is(db_get_span(u, 2, 0, 2), "running")) {
        return;
    }
    log_info("sync ended", L_I("athlete", p->athlete), L_I("sync", p->sync),
             L_S("mode", db_get_text(u, 2, 0, 1, a)), L_S("state", db_get_text(u, 2, 0, 2, a)),
             L_I("pages", db_get_i64(u, 2, 0, 3)), L_I("listed", db_get_i64(u, 2, 0, 4)),
             L_I("added", db_get_i64(u, 2, 0, 5)), L_I("changed", db_get_i64(u, 2, 0, 6)),
             L_I("gone", db_get_i64(u, 2, 0, 7)), L_I("unreadable", db_get_i64(u, 2, 0, 8)));
}

static enum flow_next page_saved(struct flow *f)
{
    struct page_flow *p = page_of(f);
    if (p->u.op.failed) {
        f->err = p->u.op.err;
        return ingest__is_conflict(&f->err) && ++p->tries < INGEST_TRIES
                   ? flow_goto(f, page_STEP_save)
                   : flow_fail(f);
    }
    jobs_finished(p->b, 1);
    jobs_hint(p->b->jobs);
    tell_end(p);
    return FLOW_DONE;
}

static enum flow_next page_stop(struct flow *f)
{
    struct page_flow *p = page_of(f);
    struct db_unit *u = new_unit(p, DB_TX);
    if (!p->dies) {
        jobs_add_finish(u, p->b, 1);
    }
    db_add(u, &SQL_ingest_sync_fail);
    db_p_i64(u, p->sync);
    db_p_text(u, p->problem);
    db_submit(u);
    return flow_wait(f, &u->op, page_STEP_stopped, INGEST_UNIT_MS);
}

static enum flow_next page_drop(struct flow *f)
{
    struct page_flow *p = page_of(f);
    jobs_add_finish(new_unit(p, DB_TX), p->b, 1);
    db_submit(&p->u);
    return flow_wait(f, &p->u.op, page_STEP_stopped, INGEST_UNIT_MS);
}

static enum flow_next page_stopped(struct flow *f)
{
    struct page_flow *p = page_of(f);
    if (p->problem) {
        log_warn("a sync failed", L_I("athlete", p->athlete), L_I("sync", p->sync),
                 L_S("why", p->problem));
    }
    if (p->dies) {
        f->err = p->why;
        return flow_fail(f);
    }
    jobs_finished(p->b, 1);
    return FLOW_DONE;
}

static void page_end(struct flow *f)
{
    struct page_flow *p = page_of(f);
    strava_parse_done(&p->parse);
    buf_done(&p->call.body);
    db_unit_done(&p->u);
}

static const struct flow_def page_def = {"ingest_page", page_steps, page_STEP_COUNT, page_end};

struct flow *ingest__page_start(struct jobs_batch *b, void *ctx)
{
    struct ingest_sync *s = ctx;
    struct page_flow *p = flow_new(s->loop, &page_def, sizeof(*p), 0);
    p->s = s;
    p->b = b;
    return &p->f;
}
