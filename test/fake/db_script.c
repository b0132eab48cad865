#include "fake/db_script.h"

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "db/internal.h"

enum { MAX_CALLS = 64, MAX_CHECKS = 40, MAX_POOLS = 4 };

struct param_check {
    unsigned call;
    int n;
    char *value;
    void (*check)(const char *value);
};

struct script_unit {
    struct script_unit *next;
    char *statements;
    bool any_flags;
    unsigned flags;
    struct param_check param[MAX_CHECKS];
    size_t nparams;
    PGresult *res[MAX_CALLS];
    bool silent, fails, commit_unknown;
    struct err err;
    void (*on_asked)(void *ctx);
    void *ctx;
    unsigned times_asked;
};

struct db_pool {
    struct loop *loop;
    unsigned index;
    uv_timer_t handle; /* so that closing takes its time, as a real one's does */
    bool closing;
    void (*on_closed)(void *ctx);
    void *ctx;
};

/* A unit on its way. */
struct asked {
    struct asked *next;
    struct ready ready;
    struct db_unit *unit;
    struct script_unit *script;
};

static struct {
    struct script_unit *expected[MAX_POOLS], *always[MAX_POOLS], *past;
    struct asked *asked;
    unsigned pools;
    struct db_pool *open[MAX_POOLS];
} script;

/* ---- writing it ------------------------------------------------------------------------------ */

static struct script_unit *add_to(struct script_unit **list, const char *statements)
{
    struct script_unit *x = mem_alloc(sizeof(*x));
    x->statements = mem_strdup(statements);
    x->any_flags = true;
    while (*list) {
        list = &(*list)->next;
    }
    *list = x;
    return x;
}

struct script_unit *script_expect(unsigned pool, const char *statements)
{
    assert_true(pool < MAX_POOLS);
    return add_to(&script.expected[pool], statements);
}

struct script_unit *script_always(unsigned pool, const char *statements)
{
    assert_true(pool < MAX_POOLS);
    return add_to(&script.always[pool], statements);
}

unsigned script_calls(const struct script_unit *x)
{
    unsigned n = 1;
    for (const char *p = x->statements; (p = strchr(p, ' ')); p++) {
        n++;
    }
    return n;
}

void script_flags(struct script_unit *x, unsigned flags)
{
    x->any_flags = false;
    x->flags = flags;
}

static struct param_check *new_check(struct script_unit *x, unsigned call, int n)
{
    assert_true(x->nparams < MAX_CHECKS);
    struct param_check *p = &x->param[x->nparams++];
    p->call = call;
    p->n = n;
    return p;
}

void script_param(struct script_unit *x, unsigned call, int n, const char *value)
{
    new_check(x, call, n)->value = mem_strdup(value);
}

void script_param_is(struct script_unit *x, unsigned call, int n, void (*check)(const char *value))
{
    new_check(x, call, n)->check = check;
}

static unsigned oid_of(char column)
{
    switch (column) {
    case 'i':
    case 'I':
        return DB__OID_INT8;
    case 'd':
        return DB__OID_INT4;
    case 'b':
        return DB__OID_BOOL;
    case 'f':
        return DB__OID_FLOAT8;
    case 't':
    case 'T':
        return DB__OID_TEXT;
    case 'w':
        return DB__OID_BYTEA;
    default:
        fail_msg("no column type '%c'", column);
        return 0;
    }
}

static PGresult *result_new(const char *columns)
{
    PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    int n = (int)strlen(columns);
    PGresAttDesc *desc = mem_alloc(((size_t)n + 1) * sizeof(*desc));
    for (int i = 0; i < n; i++) {
        desc[i].name = (char *)"";
        desc[i].typid = oid_of(columns[i]);
        desc[i].format = 1;
    }
    assert_true(n == 0 || PQsetResultAttrs(res, n, desc));
    mem_free(desc);
    return res;
}

static void set_cell(PGresult *res, int row, int col, const void *p, size_t n)
{
    /* libpq reads the value only. */
    assert_true(PQsetvalue(res, row, col, (char *)p, p ? (int)n : -1));
}

void script_row(struct script_unit *x, unsigned call, const char *columns, ...)
{
    assert_true(call < MAX_CALLS);
    if (!x->res[call]) {
        x->res[call] = result_new(columns);
    }
    PGresult *res = x->res[call];
    int row = PQntuples(res);
    va_list ap;
    va_start(ap, columns);
    for (int col = 0; columns[col]; col++) {
        uint64_t bits = 0;
        uint32_t word = 0;
        unsigned char flag = 0;
        double f = 0;
        struct span s = {0};
        assert_int_equal(PQftype(res, col), oid_of(columns[col]));
        switch (columns[col]) {
        case 'i':
            bits = htobe64((uint64_t)va_arg(ap, int64_t));
            set_cell(res, row, col, &bits, 8);
            break;
        case 'd':
            word = htobe32((uint32_t)va_arg(ap, int));
            set_cell(res, row, col, &word, 4);
            break;
        case 'b':
            flag = va_arg(ap, int) != 0;
            set_cell(res, row, col, &flag, 1);
            break;
        case 'f':
            f = va_arg(ap, double);
            memcpy(&bits, &f, 8);
            bits = htobe64(bits);
            set_cell(res, row, col, &bits, 8);
            break;
        case 'I':
        case 'T':
            set_cell(res, row, col, NULL, 0);
            break;
        default:
            s = columns[col] == 't' ? span_of(va_arg(ap, const char *)) : va_arg(ap, struct span);
            set_cell(res, row, col, s.p, s.n);
        }
    }
    va_end(ap);
}

void script_fails(struct script_unit *x, const char *sqlstate, const char *msg)
{
    x->fails = true;
    (void)err_set(&x->err, ERR_PG, db__sqlstate_class(sqlstate), "%s", msg);
    snprintf(x->err.sqlstate, sizeof(x->err.sqlstate), "%s", sqlstate);
}

void script_retry_after(struct script_unit *x, int64_t ms)
{
    assert_true(x->fails);
    x->err.retry_after_ms = ms;
}

void script_commit_unknown(struct script_unit *x)
{
    script_fails(x, "08006", "lost the connection to the database");
    x->commit_unknown = true;
}

void script_silent(struct script_unit *x)
{
    x->silent = true;
}

void script_on_asked(struct script_unit *x, void (*fn)(void *ctx), void *ctx)
{
    x->on_asked = fn;
    x->ctx = ctx;
}

bool script_asked(const struct script_unit *x)
{
    return x->times_asked > 0;
}

/* ---- begin and end --------------------------------------------------------------------------- */

static void free_list(struct script_unit **list)
{
    while (*list) {
        struct script_unit *x = *list;
        *list = x->next;
        for (size_t i = 0; i < x->nparams; i++) {
            mem_free(x->param[i].value);
        }
        for (unsigned i = 0; i < MAX_CALLS; i++) {
            PQclear(x->res[i]);
        }
        mem_free(x->statements);
        mem_free(x);
    }
}

void script_begin(void)
{
    for (unsigned i = 0; i < MAX_POOLS; i++) {
        free_list(&script.expected[i]);
        free_list(&script.always[i]);
    }
    free_list(&script.past);
    memset(&script, 0, sizeof(script));
}

bool script_played(void)
{
    for (unsigned i = 0; i < MAX_POOLS; i++) {
        if (script.expected[i]) {
            return false;
        }
    }
    return script.asked == NULL;
}

void script_end(void)
{
    for (unsigned i = 0; i < MAX_POOLS; i++) {
        if (script.expected[i]) {
            fail_msg("this unit never came to pool %u: %s", i, script.expected[i]->statements);
        }
        if (script.open[i]) {
            fail_msg("pool %u was not closed", i);
        }
    }
    assert_null(script.asked);
    script_begin();
}

/* ---- reading parameters ---------------------------------------------------------------------- */

static int64_t read_be(const char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        v = v << 8 | (unsigned char)p[i];
    }
    return n == 4 ? (int32_t)(uint32_t)v : n == 2 ? (int16_t)(uint16_t)v : (int64_t)v;
}

static void render_scalar(struct buf *out, unsigned type, const char *p, size_t n)
{
    int64_t bits;
    double f;
    char iso[40];
    switch (type) {
    case DB__OID_INT8:
    case DB__OID_INT4:
    case DB__OID_INT2:
        buf_printf(out, "%lld", (long long)read_be(p, n));
        break;
    case DB__OID_BOOL:
        buf_puts(out, p[0] ? "t" : "f");
        break;
    case DB__OID_FLOAT8:
        bits = read_be(p, 8);
        memcpy(&f, &bits, 8);
        buf_printf(out, "%.9g", f);
        break;
    case DB__OID_TIMESTAMPTZ:
        buf_puts(out, time_format_iso(read_be(p, 8) + DB__PG_EPOCH_US, iso));
        break;
    case DB__OID_BYTEA:
        buf_printf(out, "<%zu bytes>", n);
        break;
    default:
        buf_put(out, p, n);
    }
}

/* Layout: see db_params.c. */
static void render_array(struct buf *out, unsigned elem, const char *p)
{
    int64_t n = read_be(p, 4) == 0 ? 0 : read_be(p + 12, 4);
    p += 20;
    buf_putc(out, '{');
    for (int64_t i = 0; i < n; i++) {
        int64_t len = read_be(p, 4);
        p += 4;
        if (i > 0) {
            buf_putc(out, ',');
        }
        if (len < 0) {
            buf_puts(out, "NULL");
            continue;
        }
        render_scalar(out, elem, p, (size_t)len);
        p += len;
    }
    buf_putc(out, '}');
}

static void check_param(const struct db_unit *u, const struct param_check *want)
{
    if (want->call >= u->n || want->n > u->call[want->call]->stmt->nparams) {
        fail_msg("the script asks for $%d of call %u, which there is not", want->n, want->call);
    }
    const struct db_call *c = u->call[want->call];
    int i = want->n - 1;
    unsigned elem = db__element_oid(c->type[i]);
    struct buf got = {0};
    if (!c->value[i]) {
        buf_puts(&got, "NULL");
    } else if (elem != 0) {
        render_array(&got, elem, c->value[i]);
    } else {
        buf_put(&got, "", 0);
        render_scalar(&got, c->type[i], c->value[i], (size_t)c->length[i]);
    }
    if (want->check) {
        want->check(got.p);
    } else if (strcmp(got.p, want->value) != 0) {
        fail_msg("%s: $%d is %s, the script says %s", c->stmt->name, want->n, got.p, want->value);
    }
    buf_done(&got);
}

/* ---- playing it ------------------------------------------------------------------------------ */

static void names_of(const struct db_unit *u, struct buf *out)
{
    for (unsigned i = 0; i < u->n; i++) {
        buf_printf(out, "%s%s", i ? " " : "", u->call[i]->stmt->name);
    }
}

static struct script_unit *take(unsigned pool, const char *names)
{
    struct script_unit *x = script.expected[pool];
    if (x && strcmp(x->statements, names) == 0) {
        script.expected[pool] = x->next;
        x->next = script.past;
        script.past = x;
        return x;
    }
    for (struct script_unit *y = script.always[pool]; y; y = y->next) {
        if (strcmp(y->statements, names) == 0) {
            return y;
        }
    }
    fail_msg("pool %u was asked for\n  %s\nbut the script says\n  %s", pool, names,
             x ? x->statements : "(nothing more)");
    return NULL;
}

static void finish(struct asked *q, const struct err *err)
{
    struct asked **at = &script.asked;
    while (*at != q) {
        at = &(*at)->next;
    }
    *at = q->next;
    struct db_unit *u = q->unit;
    mem_free(q);
    op_finish(&u->op, err);
}

static void answer(struct asked *q)
{
    const struct script_unit *x = q->script;
    struct db_unit *u = q->unit;
    if (x->fails) {
        u->commit_unknown = x->commit_unknown;
        finish(q, &x->err);
        return;
    }
    for (unsigned i = 0; i < u->n; i++) {
        u->call[i]->res = x->res[i] ? PQcopyResult(x->res[i], PG_COPYRES_ATTRS | PG_COPYRES_TUPLES)
                                    : PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    }
    finish(q, NULL);
}

static void finish_cancelled(struct asked *q)
{
    struct err err;
    (void)err_set(&err, ERR_PG, ERR_RETRY, "canceling statement due to user request");
    memcpy(err.sqlstate, "57014", 6);
    finish(q, &err);
}

static void run_asked(struct ready *r)
{
    struct asked *q = container_of(r, struct asked, ready);
    struct script_unit *x = q->script;
    if (x->on_asked) {
        x->on_asked(x->ctx);
    }
    if (!x->silent) {
        answer(q);
    } else if (q->unit->op.cancelled) {
        finish_cancelled(q);
    }
}

void script_answer(struct script_unit *x)
{
    struct asked *q = script.asked;
    while (q && q->script != x) {
        q = q->next;
    }
    if (!q || q->ready.queued) {
        fail_msg("nobody waits for the answer to %s", x->statements);
    }
    answer(q);
}

void db__pool_submit(struct db_pool *p, struct db_unit *u)
{
    struct buf names = {0};
    names_of(u, &names);
    if (p->closing) {
        fail_msg("pool %u is closed, but was asked for %s", p->index, names.p);
    }
    struct script_unit *x = take(p->index, names.p);
    if (!x->any_flags && x->flags != u->flags) {
        fail_msg("%s: flags %u, the script says %u", names.p, u->flags, x->flags);
    }
    for (size_t i = 0; i < x->nparams; i++) {
        check_param(u, &x->param[i]);
    }
    buf_done(&names);
    x->times_asked++;
    struct asked *q = mem_alloc(sizeof(*q));
    *q = (struct asked){.next = script.asked, .ready = {.fn = run_asked}, .unit = u, .script = x};
    script.asked = q;
    loop_ready(p->loop, &q->ready);
}

/* What has been answered already stays so. */
void db__pool_cancel(struct db_unit *u)
{
    struct asked *q = script.asked;
    while (q && q->unit != u) {
        q = q->next;
    }
    assert_non_null(q);
    if (!q->ready.queued) {
        finish_cancelled(q);
    }
}

/* ---- the pool -------------------------------------------------------------------------------- */

struct db_pool *db_pool_open(struct loop *l, const struct db_conf *conf)
{
    assert_true(script.pools < MAX_POOLS && conf->max_conns >= 1);
    struct db_pool *p = mem_alloc(sizeof(*p));
    p->loop = l;
    p->index = script.pools++;
    assert_int_equal(uv_timer_init(loop_uv(l), &p->handle), 0);
    script.open[p->index] = p;
    return p;
}

static void handle_closed(uv_handle_t *h)
{
    struct db_pool *p = container_of((uv_timer_t *)(void *)h, struct db_pool, handle);
    script.open[p->index] = NULL;
    void (*fn)(void *) = p->on_closed;
    void *ctx = p->ctx;
    mem_free(p);
    if (fn) {
        fn(ctx);
    }
}

void db_pool_close(struct db_pool *p, void (*on_closed)(void *ctx), void *ctx)
{
    struct err err;
    p->closing = true;
    p->on_closed = on_closed;
    p->ctx = ctx;
    (void)err_set(&err, ERR_PG, ERR_RETRY, "the database pool is closing");
    for (struct asked *q = script.asked, *next; q; q = next) {
        next = q->next;
        if (q->unit->pool == p && !q->ready.queued) {
            finish(q, &err);
        }
    }
    uv_close((uv_handle_t *)&p->handle, handle_closed);
}

struct loop *db_pool_loop(struct db_pool *p)
{
    return p->loop;
}
