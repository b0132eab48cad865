/* Somebody says that an athlete has withdrawn; whoever it was, only Strava's word counts. */
#include "people/internal.h"

#include <jansson.h>

enum { PAYLOAD_MAX = 4096, PAYLOAD_DEPTH = 4 };

struct check_flow {
    struct flow f;
    struct people_checks *x;
    struct jobs_batch *b;
    struct strava_verify verify;
    struct people_count count;
    struct db_unit u;
    struct op op;
    unsigned tries;
};
#define CHECK_STEPS(STEP)                                                                          \
    STEP(check, verify)                                                                            \
    STEP(check, finish) /* with all that is erased, if it is so */                                 \
    STEP(check, finished)                                                                          \
    STEP(check, report)
FLOW_STEPS(check, CHECK_STEPS);

static struct check_flow *check_of(struct flow *f)
{
    return container_of(f, struct check_flow, f);
}

static int read_athlete(const char *payload, int64_t *ret, struct err *err)
{
    json_t *root = json_read(span_of(payload), PAYLOAD_MAX, PAYLOAD_DEPTH, err);
    const json_t *v = json_object_get(root, "athlete");
    int rc = json_is_integer(v) ? 0 : -1;
    if (rc == 0) {
        *ret = json_integer_value(v);
    } else {
        (void)err_set(err, ERR_DATA, ERR_BUG, "the payload of strava.check names no athlete");
    }
    json_decref(root);
    return rc;
}

static enum flow_next check_verify(struct flow *f)
{
    struct check_flow *c = check_of(f);
    CHECK(c->b->n == 1);
    const struct jobs_job *j = &c->b->job[0];
    if (read_athlete(j->payload, &c->verify.athlete_id, &f->err) != 0) {
        return flow_fail(f);
    }
    c->verify.extra = c->b->unpaid;
    c->verify.again = j->attempt > 1 || j->crashes > 0;
    flow_call(strava_verify_flow(c->x->strava, &c->verify), &c->op);
    return flow_wait(f, &c->op, check_STEP_finish, 0);
}

static enum flow_next check_finish(struct flow *f)
{
    struct check_flow *c = check_of(f);
    db_unit_done(&c->u);
    db_unit_init(&c->u, c->x->pool, f->arena, DB_TX);
    c->u.statement_timeout_ms = PEOPLE_ERASE_MS;
    jobs_add_finish(&c->u, c->b, 1);
    if (c->verify.answer == STRAVA_LEFT) {
        people__add_depart(&c->u, c->verify.athlete_id, "strava", true);
    } else if (c->verify.answer == STRAVA_UNPROVEN) {
        db_add(&c->u, &SQL_people_unproven);
        db_p_i64(&c->u, c->verify.athlete_id);
    }
    db_submit(&c->u);
    return flow_wait_any(f, &c->u.op, check_STEP_finished, PEOPLE_ERASE_MS + PEOPLE_CALL_MS);
}

static enum flow_next check_finished(struct flow *f)
{
    struct check_flow *c = check_of(f);
    if (c->u.op.failed) {
        if (people__try_again(&c->u.op.err) && ++c->tries < PEOPLE_TRIES) {
            return flow_goto(f, check_STEP_finish);
        }
        f->err = c->u.op.err;
        return flow_fail(f);
    }
    jobs_finished(c->b, 1);
    if (c->verify.answer != STRAVA_LEFT) {
        log_warn(c->verify.answer == STRAVA_STAYS
                     ? "it was said that an athlete has withdrawn, and it is not so"
                     : "it was said that an athlete has withdrawn, and nobody can prove it",
                 L_I("athlete", c->verify.athlete_id));
        return FLOW_DONE;
    }
    people__read_places(&c->u, 1, true, f->arena, &c->count);
    db_unit_done(&c->u);
    flow_call(people__sweep_flow(c->x->pool, c->verify.athlete_id, f->arena, &c->count), &c->op);
    return flow_wait_any(f, &c->op, check_STEP_report, 0);
}

/* The job is done with whatever came of the sweep: the erasure is committed. */
static enum flow_next check_report(struct flow *f)
{
    struct check_flow *c = check_of(f);
    if (c->op.failed) {
        log_err(LOG_LEVEL_ERROR, "what is left of an erased athlete could not be swept up",
                &c->op.err);
    }
    if (c->count.there) {
        people__log_departure(c->verify.athlete_id, "strava", &c->count);
    }
    return FLOW_DONE;
}

static void check_end(struct flow *f)
{
    db_unit_done(&check_of(f)->u);
}

static const struct flow_def check_def = {"people_check", check_steps, check_STEP_COUNT, check_end};

static struct flow *check_start(struct jobs_batch *b, void *ctx)
{
    struct people_checks *x = ctx;
    struct check_flow *c = flow_new(db_pool_loop(x->pool), &check_def, sizeof(*c), 0);
    c->x = x;
    c->b = b;
    return &c->f;
}

void people_check_kind(struct people_checks *x, struct jobs_kind *out)
{
    *out = (struct jobs_kind){.name = "strava.check",
                              .batch_max = 1,
                              .start = check_start,
                              .ctx = x,
                              .timeout_ms = 2 * PEOPLE_ERASE_MS,
                              .rate = STRAVA_RATE};
}
