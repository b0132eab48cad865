/* A unit's life outside the pool: its calls and its results' memory. */
#include "db/internal.h"

static void on_cancel(struct op *op)
{
    db__pool_cancel(container_of(op, struct db_unit, op));
}

void db_unit_init(struct db_unit *u, struct db_pool *p, struct arena *a, unsigned flags)
{
    CHECK(p != NULL && a != NULL);
    *u = (struct db_unit){.pool = p, .arena = a, .flags = flags};
    op_init(&u->op, db_pool_loop(p), on_cancel);
}

struct db_call *db__unit_call(const struct db_unit *u, unsigned index)
{
    CHECK(index < u->n);
    return u->call[index];
}

void db_add(struct db_unit *u, const struct db_stmt *s)
{
    CHECK(u->op.state == OP_IDLE);
    CHECK(u->n == 0 || u->call[u->n - 1]->at == u->call[u->n - 1]->stmt->nparams);
    if (u->n == u->cap) {
        unsigned cap = u->cap == 0 ? 4 : u->cap * 2;
        struct db_call **grown = arena_new_array(u->arena, struct db_call *, cap);
        if (u->n > 0)
            memcpy(grown, u->call, u->n * sizeof(struct db_call *));
        u->call = grown;
        u->cap = cap;
    }
    struct db_call *c = arena_alloc(u->arena, sizeof(*c));
    size_t n = (size_t)s->nparams;
    c->stmt = s;
    c->value = arena_new_array(u->arena, const char *, n + 1);
    c->length = arena_new_array(u->arena, int, n + 1);
    c->format = arena_new_array(u->arena, int, n + 1);
    c->type = arena_new_array(u->arena, unsigned, n + 1);
    for (size_t i = 0; i < n; i++) {
        c->type[i] = db_type_oid(s->types[i]);
        CHECK(c->type[i] != 0);
    }
    u->call[u->n++] = c;
}

void db_submit(struct db_unit *u)
{
    CHECK(u->n > 0 && u->call[u->n - 1]->at == u->call[u->n - 1]->stmt->nparams);
    op_begin(&u->op);
    if (u->refused != NULL)
        op_finish(&u->op, u->refused);
    else
        db__pool_submit(u->pool, u);
}

void db_unit_done(struct db_unit *u)
{
    if (u == NULL)
        return;
    CHECK(u->op.state != OP_PENDING);
    for (unsigned i = 0; i < u->n; i++) {
        PQclear(u->call[i]->res);
        u->call[i]->res = NULL;
    }
    u->n = u->cap = 0;
}
