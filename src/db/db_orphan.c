/* A link that breaks need not break at the server's end: what we sent of a transaction then stands
 * there open, with its locks, for as long as the network, or a proxy in between, does not tell. No
 * timeout of the server ends it, since to the server it is active. So whoever gives up a link in
 * the middle of a unit asks the server, on another one, to end that session. */
#include "db/internal.h"
#include "db_sql.h"

enum { ORPHAN_TRIES = 5 };

struct orphan {
    struct db_pool *pool;
    struct arena *arena;
    struct db_unit u;
    int pid;
    char started[DB__STARTED_MAX];
    unsigned tries;
};

static void submit(struct orphan *o);

static void ended(struct op *op)
{
    struct orphan *o = op->waiter;
    struct db_pool *p = o->pool;
    bool again = op->failed && op->err.class == ERR_RETRY && ++o->tries < ORPHAN_TRIES;
    if (!op->failed && db_rows(&o->u, 0) > 0) {
        log_debug("a session whose link broke was ended", L_I("pid", o->pid));
    }
    db_unit_done(&o->u);
    if (again) {
        arena_reset(o->arena);
        submit(o);
        return;
    }
    arena_free(o->arena);
    mem_free(o);
    db__pool_unhold(p);
}

/* It waits for a connection as long as it takes. */
static void submit(struct orphan *o)
{
    db_unit_init(&o->u, o->pool, o->arena, 0);
    db_add(&o->u, &SQL_db_end_session);
    db_p_i64(&o->u, o->pid);
    db_p_text(&o->u, o->started);
    db_submit(&o->u);
    op_await(&o->u.op, ended, o);
}

void db__orphan_end(struct db_pool *p, const struct db_conn *c)
{
    if (c->backend_pid == 0 || c->pipe.fatal) {
        return; /* a pooler's session is not ours; or the server has ended it */
    }
    struct orphan *o = mem_alloc(sizeof(*o));
    o->pool = p;
    o->arena = arena_new(0);
    o->pid = c->backend_pid;
    memcpy(o->started, c->backend_started, sizeof(o->started));
    db__pool_hold(p);
    submit(o);
}
