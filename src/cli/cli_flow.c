/* Small flows that several commands are made of. */
#include "cli/internal.h"
#include "store/store.h"

struct query_flow {
    struct flow f;
    struct cli *c;
    const struct db_stmt *stmt;
    void (*add)(struct cli *c, struct db_unit *u);
    int (*show)(struct cli *c, const struct db_unit *u);
    struct db_unit u;
};
#define QUERY_STEPS(STEP)                                                                          \
    STEP(query, ask)                                                                               \
    STEP(query, show)
FLOW_STEPS(query, QUERY_STEPS);

static enum flow_next query_ask(struct flow *f)
{
    struct query_flow *q = container_of(f, struct query_flow, f);
    db_unit_init(&q->u, q->c->app.pool, f->arena, 0);
    db_add(&q->u, q->stmt);
    if (q->add) {
        q->add(q->c, &q->u);
    }
    db_submit(&q->u);
    return flow_wait(f, &q->u.op, query_STEP_show, 60000);
}

static enum flow_next query_show(struct flow *f)
{
    struct query_flow *q = container_of(f, struct query_flow, f);
    if (q->show(q->c, &q->u) != 0) {
        f->err = q->c->err;
        return flow_fail(f);
    }
    return FLOW_DONE;
}

static void query_end(struct flow *f)
{
    db_unit_done(&container_of(f, struct query_flow, f)->u);
}

static const struct flow_def query_def = {"query", query_steps, query_STEP_COUNT, query_end};

struct flow *cli__query_flow(struct cli *c, const struct db_stmt *s,
                             void (*add)(struct cli *c, struct db_unit *u),
                             int (*show)(struct cli *c, const struct db_unit *u))
{
    struct query_flow *q = flow_new(c->app.loop, &query_def, sizeof(*q), 0);
    q->c = c;
    q->stmt = s;
    q->add = add;
    q->show = show;
    return &q->f;
}

/* ---- which athlete -----------------------------------------------------------------------------
 */

struct athlete_flow {
    struct flow f;
    struct cli *c;
    int64_t *ret;
    struct db_unit u;
};
#define ATHLETE_STEPS(STEP)                                                                        \
    STEP(athlete, ask)                                                                             \
    STEP(athlete, choose)
FLOW_STEPS(athlete, ATHLETE_STEPS);

static enum flow_next athlete_ask(struct flow *f)
{
    struct athlete_flow *a = container_of(f, struct athlete_flow, f);
    if (cli_option_i64(a->c, "athlete", INT64_MIN + 1, INT64_MAX, 0, a->ret) != 0) {
        f->err = a->c->err;
        return flow_fail(f);
    }
    db_unit_init(&a->u, a->c->app.pool, f->arena, DB_READONLY);
    db_add(&a->u, &SQL_store_athletes);
    db_submit(&a->u);
    return flow_wait(f, &a->u.op, athlete_STEP_choose, 60000);
}

static enum flow_next athlete_choose(struct flow *f)
{
    struct athlete_flow *a = container_of(f, struct athlete_flow, f);
    int n = db_rows(&a->u, 0);
    struct buf ids = {0};
    bool known = false;
    for (int i = 0; i < n; i++) {
        int64_t id = db_get_i64(&a->u, 0, i, 0);
        known = known || id == *a->ret;
        if (i < 10) {
            buf_printf(&ids, "%s%lld", i ? ", " : "", (long long)id);
        }
    }
    int rc = 0;
    if (cli_option(a->c, "athlete")) {
        if (!known) {
            rc =
                err_set(&f->err, ERR_DATA, ERR_PERMANENT, "there is no athlete %lld; there %s %s%s",
                        (long long)*a->ret, n == 1 ? "is" : "are",
                        n ? ids.p : "none yet: waymark import makes one", n > 10 ? ", ..." : "");
        }
    } else if (n == 1) {
        *a->ret = db_get_i64(&a->u, 0, 0, 0);
    } else if (n > 1) {
        rc = err_set(&f->err, ERR_USAGE, ERR_PERMANENT,
                     "there are %d athletes (%s%s): say which with --athlete ID", n, ids.p,
                     n > 10 ? ", ..." : "");
    }
    buf_done(&ids);
    return rc == 0 ? FLOW_DONE : flow_fail(f);
}

static void athlete_end(struct flow *f)
{
    db_unit_done(&container_of(f, struct athlete_flow, f)->u);
}

static const struct flow_def athlete_def = {"athlete", athlete_steps, athlete_STEP_COUNT,
                                            athlete_end};

struct flow *cli__athlete_flow(struct cli *c, int64_t *ret)
{
    struct athlete_flow *a = flow_new(c->app.loop, &athlete_def, sizeof(*a), 0);
    a->c = c;
    a->ret = ret;
    return &a->f;
}
