/* Departure: everything of an athlete goes in one transaction. Work that was under way then may
 * still leave something behind, such as that it ended: that is swept up until a count finds
 * nothing. */
#include "people/internal.h"

#include <string.h>

void people__add_depart(struct db_unit *u, int64_t athlete_id, const char *who, bool tell)
{
    db_add(u, &SQL_people_depart);
    db_p_i64(u, athlete_id);
    db_p_text(u, who);
    db_p_bool(u, tell);
}

void people__read_places(const struct db_unit *u, unsigned call, bool erased, struct arena *a,
                         struct people_count *ret)
{
    size_t n = (size_t)db_rows(u, call);
    *ret = (struct people_count){.place = arena_new_array(a, struct people_place, n + 1), .n = n};
    for (size_t i = 0; i < n; i++) {
        struct people_place *p = &ret->place[i];
        p->name = db_get_text(u, call, (int)i, 0, a);
        p->rows = db_get_i64(u, call, (int)i, 1);
        p->left = erased ? db_get_i64(u, call, (int)i, 2) : p->rows;
        ret->rows += p->rows;
        ret->left += p->left;
        ret->there = ret->there || (strcmp(p->name, "athletes") == 0 && p->rows > 0);
    }
}

bool people__try_again(const struct err *err)
{
    return strcmp(err->sqlstate, "40P01") == 0 || strcmp(err->sqlstate, "40001") == 0 ||
           strcmp(err->sqlstate, "55P03") == 0;
}

void people__log_departure(int64_t athlete_id, const char *who, const struct people_count *c)
{
    log_info("everything of an athlete was erased", L_I("athlete", athlete_id), L_S("who", who),
             L_I("rows", c->rows), L_I("left", c->left));
}

/* ---- what comes in late ---------------------------------------------------------------------- */

struct sweep_flow {
    struct flow f;
    struct db_pool *pool;
    int64_t athlete_id;
    struct arena *arena, *turn;
    struct people_count *ret; /* its left is what was found last */
    struct db_unit u;
    struct timer_op pause;
    unsigned looks, tries;
};
#define SWEEP_STEPS(STEP)                                                                          \
    STEP(sweep, look)                                                                              \
    STEP(sweep, judge) /* ends when nothing is there */                                            \
    STEP(sweep, erase)                                                                             \
    STEP(sweep, rest) /* -> look */
FLOW_STEPS(sweep, SWEEP_STEPS);

static struct sweep_flow *sweep_of(struct flow *f)
{
    return container_of(f, struct sweep_flow, f);
}

static void sweep_begin(struct sweep_flow *x, const struct db_stmt *s, unsigned flags)
{
    db_unit_done(&x->u);
    arena_reset(x->turn);
    db_unit_init(&x->u, x->pool, x->turn, flags);
    x->u.statement_timeout_ms = PEOPLE_ERASE_MS;
    db_add(&x->u, s);
    db_p_i64(&x->u, x->athlete_id);
    db_submit(&x->u);
}

static enum flow_next sweep_look(struct flow *f)
{
    struct sweep_flow *x = sweep_of(f);
    sweep_begin(x, &SQL_people_count, DB_READONLY);
    return flow_wait(f, &x->u.op, sweep_STEP_judge, PEOPLE_ERASE_MS + PEOPLE_CALL_MS);
}

static int stays(struct sweep_flow *x, const struct people_count *now, struct err *err)
{
    struct buf names = {0};
    for (size_t i = 0; i < now->n; i++) {
        if (now->place[i].left > 0) {
            buf_printf(&names, "%s%s", names.n ? ", " : "", now->place[i].name);
        }
    }
    int rc = err_set(err, ERR_DATA, ERR_BUG,
                     "of the erased athlete %lld there are still %lld rows, in %s: repeat it with "
                     "waymark athlete erase",
                     (long long)x->athlete_id, (long long)now->left, names.p);
    buf_done(&names);
    return rc;
}

static enum flow_next sweep_judge(struct flow *f)
{
    struct sweep_flow *x = sweep_of(f);
    struct people_count now;
    people__read_places(&x->u, 0, false, x->turn, &now);
    x->ret->left = now.left;
    if (now.left == 0) {
        return FLOW_DONE;
    }
    if (++x->looks > PEOPLE_SWEEPS) {
        (void)stays(x, &now, &f->err);
        return flow_fail(f);
    }
    return FLOW_NEXT;
}

static enum flow_next sweep_erase(struct flow *f)
{
    struct sweep_flow *x = sweep_of(f);
    sweep_begin(x, &SQL_people_sweep, DB_TX);
    return flow_wait_any(f, &x->u.op, sweep_STEP_rest, PEOPLE_ERASE_MS + PEOPLE_CALL_MS);
}

static enum flow_next sweep_rest(struct flow *f)
{
    struct sweep_flow *x = sweep_of(f);
    if (x->u.op.failed && !(people__try_again(&x->u.op.err) && ++x->tries < PEOPLE_TRIES)) {
        f->err = x->u.op.err;
        return flow_fail(f);
    }
    timer_op_start(&x->pause, f->loop, PEOPLE_SWEEP_MS);
    return flow_wait(f, &x->pause.op, sweep_STEP_look, 0);
}

static void sweep_end(struct flow *f)
{
    struct sweep_flow *x = sweep_of(f);
    db_unit_done(&x->u);
    arena_free(x->turn);
}

static const struct flow_def sweep_def = {"people_sweep", sweep_steps, sweep_STEP_COUNT, sweep_end};

struct flow *people__sweep_flow(struct db_pool *pool, int64_t athlete_id, struct arena *a,
                                struct people_count *ret)
{
    struct sweep_flow *x = flow_new(db_pool_loop(pool), &sweep_def, sizeof(*x), 0);
    x->pool = pool;
    x->athlete_id = athlete_id;
    x->arena = a;
    x->turn = arena_new(0);
    x->ret = ret;
    return &x->f;
}

/* ---- erasing --------------------------------------------------------------------------------- */

struct erase_flow {
    struct flow f;
    struct db_pool *pool;
    const struct people_erasure *e;
    struct people_count count;
    struct db_unit u;
    struct op op;
    unsigned tries;
};
#define ERASE_STEPS(STEP)                                                                          \
    STEP(erase, depart)                                                                            \
    STEP(erase, departed) /* -> depart, if somebody was in the way */                              \
    STEP(erase, report)
FLOW_STEPS(erase, ERASE_STEPS);

static struct erase_flow *erase_of(struct flow *f)
{
    return container_of(f, struct erase_flow, f);
}

static enum flow_next erase_depart(struct flow *f)
{
    struct erase_flow *x = erase_of(f);
    db_unit_done(&x->u);
    db_unit_init(&x->u, x->pool, f->arena, DB_TX);
    x->u.statement_timeout_ms = PEOPLE_ERASE_MS;
    people__add_depart(&x->u, x->e->athlete_id, x->e->who, x->e->tell);
    db_submit(&x->u);
    return flow_wait_any(f, &x->u.op, erase_STEP_departed, PEOPLE_ERASE_MS + PEOPLE_CALL_MS);
}

static enum flow_next erase_departed(struct flow *f)
{
    struct erase_flow *x = erase_of(f);
    if (x->u.op.failed) {
        if (people__try_again(&x->u.op.err) && ++x->tries < PEOPLE_TRIES) {
            return flow_goto(f, erase_STEP_depart);
        }
        f->err = x->u.op.err;
        return flow_fail(f);
    }
    people__read_places(&x->u, 0, true, x->e->arena, &x->count);
    db_unit_done(&x->u);
    flow_call(people__sweep_flow(x->pool, x->e->athlete_id, x->e->arena, &x->count), &x->op);
    return flow_wait(f, &x->op, erase_STEP_report, 0);
}

static enum flow_next erase_report(struct flow *f)
{
    struct erase_flow *x = erase_of(f);
    if (x->count.there) {
        people__log_departure(x->e->athlete_id, x->e->who, &x->count);
    }
    for (size_t i = 0; i < x->count.n; i++) {
        x->count.place[i].left = 0; /* of all of them, as was just counted */
    }
    if (x->e->ret) {
        *x->e->ret = x->count;
    }
    return FLOW_DONE;
}

static void erase_end(struct flow *f)
{
    db_unit_done(&erase_of(f)->u);
}

static const struct flow_def erase_def = {"people_erase", erase_steps, erase_STEP_COUNT, erase_end};

struct flow *people_erase_flow(struct db_pool *pool, const struct people_erasure *e)
{
    struct erase_flow *x = flow_new(db_pool_loop(pool), &erase_def, sizeof(*x), 0);
    x->pool = pool;
    x->e = e;
    return &x->f;
}

/* ---- counting -------------------------------------------------------------------------------- */

struct count_flow {
    struct flow f;
    struct db_pool *pool;
    int64_t athlete_id;
    struct arena *arena;
    struct people_count *ret;
    struct db_unit u;
};
#define COUNT_STEPS(STEP)                                                                          \
    STEP(count, ask)                                                                               \
    STEP(count, read)
FLOW_STEPS(count, COUNT_STEPS);

static struct count_flow *count_of(struct flow *f)
{
    return container_of(f, struct count_flow, f);
}

static enum flow_next count_ask(struct flow *f)
{
    struct count_flow *x = count_of(f);
    db_unit_init(&x->u, x->pool, f->arena, DB_READONLY);
    x->u.statement_timeout_ms = PEOPLE_ERASE_MS;
    db_add(&x->u, &SQL_people_count);
    db_p_i64(&x->u, x->athlete_id);
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, count_STEP_read, PEOPLE_ERASE_MS + PEOPLE_CALL_MS);
}

static enum flow_next count_read(struct flow *f)
{
    struct count_flow *x = count_of(f);
    people__read_places(&x->u, 0, false, x->arena, x->ret);
    return FLOW_DONE;
}

static void count_end(struct flow *f)
{
    db_unit_done(&count_of(f)->u);
}

static const struct flow_def count_def = {"people_count", count_steps, count_STEP_COUNT, count_end};

struct flow *people_count_flow(struct db_pool *pool, int64_t athlete_id, struct arena *a,
                               struct people_count *ret)
{
    struct count_flow *x = flow_new(db_pool_loop(pool), &count_def, sizeof(*x), 0);
    x->pool = pool;
    x->athlete_id = athlete_id;
    x->arena = a;
    x->ret = ret;
    return &x->f;
}
