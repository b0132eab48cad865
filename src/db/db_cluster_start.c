/* From a folder to a server that answers: the first time, after a crash, and when a former owner
 * has gone. */
#include "db/cluster.h"

#include <signal.h>

#define UP_STEPS(STEP)                                                                             \
    STEP(up, pause)                                                                                \
    STEP(up, lock)    /* ours, or somebody else's: attach */                                       \
    STEP(up, orphans) /* stop what a killed owner left running; repeats */                         \
    STEP(up, init)    /* initdb into pgdata.tmp-PID if there are no data */                        \
    STEP(up, adopt)   /* and rename it into place */                                               \
    STEP(up, launch)                                                                               \
    STEP(up, answer)                                                                               \
    STEP(up, answered) /* not yet: answer again */                                                 \
    STEP(up, database)                                                                             \
    STEP(up, create)                                                                               \
    STEP(up, finish)                                                                               \
    STEP(up, attach)                                                                               \
    STEP(up, attached) /* not yet: lock again, its owner may have gone */
FLOW_STEPS(up, UP_STEPS);

#define ORPHAN_QUIT_MS 10000
#define ORPHAN_KILL_MS 20000
#define ORPHAN_FAIL_MS 30000
#define ATTACH_FAIL_MS 60000
/* Recovery of a large database after a crash takes its time, and the server says meanwhile that it
 * is at it. */
#define ANSWER_FAIL_MS   60000
#define RECOVERY_FAIL_MS (INT64_C(30) * 60 * 1000)
#define INITDB_MS        (INT64_C(10) * 60 * 1000)
#define QUERY_MS         60000

struct up {
    struct flow flow;
    struct db_cluster *c;
    struct db_cluster **ret;
    bool first;
    int64_t delay_ms;
    struct timer_op timer;
    int64_t since_ms; /* of the wait under way */
    int sent;         /* signals sent to orphans so far */
    bool told;
    char *tmp; /* initdb's folder */
    struct db__child initdb;
    bool no_initdb; /* it could not even be started; flow.err says why */
    struct db__session session;
};

static struct up *up_of(struct flow *f)
{
    return container_of(f, struct up, flow);
}

static enum flow_next wait_ms(struct up *u, int64_t ms, unsigned next)
{
    timer_op_start(&u->timer, u->flow.loop, ms);
    return flow_wait(&u->flow, &u->timer.op, next, 0);
}

static enum flow_next up_pause(struct flow *f)
{
    struct up *u = up_of(f);
    u->since_ms = loop_now_ms(f->loop);
    return u->delay_ms > 0 ? wait_ms(u, u->delay_ms, up_STEP_lock) : FLOW_NEXT;
}

static enum flow_next up_lock(struct flow *f)
{
    struct up *u = up_of(f);
    if (!u->c->owned) {
        int r = db__cluster_lock(u->c, &f->err);
        if (r < 0)
            return flow_fail(f);
        if (r == 0)
            return flow_goto(f, up_STEP_attach);
        u->c->owned = true;
    }
    u->since_ms = loop_now_ms(f->loop);
    return FLOW_NEXT;
}

static enum flow_next up_orphans(struct flow *f)
{
    static const int signals[] = {SIGINT, SIGQUIT, SIGKILL};
    static const int64_t after_ms[] = {0, ORPHAN_QUIT_MS, ORPHAN_KILL_MS};
    struct up *u = up_of(f);
    int64_t waited = loop_now_ms(f->loop) - u->since_ms;
    bool send = u->sent < (int)COUNT_OF(signals) && waited >= after_ms[u->sent];
    unsigned n = db__cluster_orphans(u->c, send ? signals[u->sent] : 0);
    if (n == 0)
        return FLOW_NEXT;
    if (u->sent == 0)
        log_info("stopping the server that an earlier process left running",
                 L_S("data", u->c->data), L_I("processes", n));
    u->sent += send;
    if (waited < ORPHAN_FAIL_MS)
        return wait_ms(u, 50, up_STEP_orphans);
    err_set(&f->err, ERR_SYS, ERR_RETRY, "%u old server processes on %s do not end", n, u->c->data);
    return flow_fail(f);
}

/* ---- data ------------------------------------------------------------------------------------ */

static struct db__child_how how_to_run(const struct db_cluster *c, const char *const *argv)
{
    return (struct db__child_how){.argv = argv,
                                  .log = c->log,
                                  .uid = c->uid,
                                  .gid = c->gid,
                                  .user = c->user,
                                  .switch_user = c->switch_user};
}

static enum flow_next up_init(struct flow *f)
{
    struct up *u = up_of(f);
    struct db_cluster *c = u->c;
    db__cluster_clean(c);
    int r = db__cluster_inspect(c, &f->err);
    if (r < 0)
        return flow_fail(f);
    if (r > 0)
        return flow_goto(f, up_STEP_launch);
    if (!u->first) {
        err_set(&f->err, ERR_SYS, ERR_RETRY, "%s has disappeared while we were running", c->data);
        return flow_fail(f);
    }
    u->tmp = db__cluster_new_data(c, &f->err);
    if (u->tmp == NULL)
        return flow_fail(f);
    db__cluster_rotate_log(c);
    const char *initdb = arena_printf(f->arena, "%s/initdb", c->bin);
    const char *argv[] = {initdb, "-D",   u->tmp,     "-U",      "waymark",           "-A", "trust",
                          "-E",   "UTF8", "--locale", "C.UTF-8", "--no-instructions", NULL};
    const struct db__child_how how = how_to_run(c, argv);
    log_info("creating a private database", L_S("path", c->data));
    u->no_initdb = db__child_start(&u->initdb, f->loop, &how, &f->err) < 0;
    return flow_wait_any(f, &u->initdb.op, up_STEP_adopt, INITDB_MS);
}

static enum flow_next up_adopt(struct flow *f)
{
    struct up *u = up_of(f);
    char reason[300];
    if (u->no_initdb)
        return flow_fail(f);
    if (u->initdb.status != 0 || u->initdb.signal != 0) {
        err_set(&f->err, ERR_SYS, ERR_RETRY, "initdb in %s failed: %s", u->c->dir,
                u->initdb.signal != 0 ? "it was stopped" : db__cluster_log_reason(u->c, reason));
        return flow_fail(f);
    }
    return db__cluster_adopt_data(u->c, u->tmp, &f->err) == 0 ? FLOW_NEXT : flow_fail(f);
}

/* ---- server ---------------------------------------------------------------------------------- */

/* The setting is a list: a path with a comma or a space must stand in quotes. */
static const char *socket_setting(struct arena *a, const char *dir)
{
    struct buf b = {0};
    buf_puts(&b, "unix_socket_directories=\"");
    for (const char *p = dir; *p != '\0'; p++) {
        if (*p == '"')
            buf_putc(&b, '"');
        buf_putc(&b, *p);
    }
    buf_putc(&b, '"');
    const char *text = arena_strdup(a, b.p);
    buf_done(&b);
    return text;
}

static enum flow_next up_launch(struct flow *f)
{
    struct up *u = up_of(f);
    struct db_cluster *c = u->c;
    struct arena *a = f->arena;
    const char *settings[] = {
        "listen_addresses=", socket_setting(a, c->run), "unix_socket_permissions=0700", "port=5432",
        arena_printf(a, "max_connections=%u", c->max_connections),
        arena_printf(a, "shared_buffers=%uMB", c->shared_buffers_mb), "jit=off",
        "max_wal_size=256MB",
        /* Nobody replicates from here. */
        "wal_level=minimal", "max_wal_senders=0", "cluster_name=waymark",
        "log_line_prefix=%m [%p] ", "log_checkpoints=off",
        /* A failed statement is reported by who sent it; its text may hold what is private. */
        "log_min_error_statement=panic"};
    const char *argv[4 + 2 * COUNT_OF(settings)] = {arena_printf(a, "%s/postgres", c->bin), "-D",
                                                    c->data};
    size_t n = 3;
    for (size_t i = 0; i < COUNT_OF(settings); i++) {
        argv[n++] = "-c";
        argv[n++] = settings[i];
    }
    argv[n] = NULL;
    db__cluster_rotate_log(c);
    c->ready = false;
    u->since_ms = loop_now_ms(f->loop);
    const struct db__child_how how = how_to_run(c, argv);
    c->postgres.on_exit = db__cluster_postgres_exited;
    return db__child_start(&c->postgres, f->loop, &how, &f->err) == 0 ? FLOW_NEXT : flow_fail(f);
}

static enum flow_next server_ended(struct up *u)
{
    char reason[300];
    err_set(&u->flow.err, ERR_SYS, ERR_RETRY,
            "the private PostgreSQL in %s does not start: %s (see %s)", u->c->dir,
            db__cluster_log_reason(u->c, reason), u->c->log);
    return flow_fail(&u->flow);
}

static enum flow_next up_answer(struct flow *f)
{
    struct up *u = up_of(f);
    if (!u->c->postgres.running)
        return server_ended(u);
    db__session_init(&u->session, f->loop, &u->c->admin_conf, u->c->admin_dsn);
    db__session_open(&u->session);
    return flow_wait_any(f, &u->session.op, up_STEP_answered, 0);
}

static enum flow_next up_answered(struct flow *f)
{
    struct up *u = up_of(f);
    int64_t waited = loop_now_ms(f->loop) - u->since_ms;
    if (!u->session.op.failed)
        return FLOW_NEXT;
    if (!u->c->postgres.running)
        return server_ended(u);
    bool recovering = strcmp(u->session.op.err.sqlstate, "57P03") == 0;
    if (db__err_hopeless(&u->session.op.err) ||
        waited > (recovering ? RECOVERY_FAIL_MS : ANSWER_FAIL_MS)) {
        f->err = u->session.op.err;
        (void)err_wrap(&f->err, "the private PostgreSQL in %s: ", u->c->dir);
        return flow_fail(f);
    }
    if (waited > 5000 && !u->told) {
        u->told = true;
        log_info("waiting for the database to recover", L_S("reason", u->session.op.err.msg));
    }
    return wait_ms(u, waited < 1000 ? 10 : 200, up_STEP_answer);
}

static enum flow_next up_database(struct flow *f)
{
    struct up *u = up_of(f);
    db__session_query(&u->session, "looking for the database",
                      "SELECT FROM pg_database WHERE datname = 'waymark'", 0, NULL);
    return flow_wait(f, &u->session.op, up_STEP_create, QUERY_MS);
}

static enum flow_next up_create(struct flow *f)
{
    struct up *u = up_of(f);
    if (db__session_rows(&u->session) > 0)
        return FLOW_NEXT;
    db__session_query(&u->session, "creating the database", "CREATE DATABASE waymark", 0, NULL);
    return flow_wait(f, &u->session.op, up_STEP_finish, QUERY_MS);
}

static enum flow_next up_finish(struct flow *f)
{
    db__cluster_supervise(up_of(f)->c);
    return FLOW_DONE;
}

/* ---- somebody else's server ------------------------------------------------------------------ */

static enum flow_next up_attach(struct flow *f)
{
    struct up *u = up_of(f);
    db__session_init(&u->session, f->loop, &u->c->conf, u->c->dsn);
    db__session_open(&u->session);
    return flow_wait_any(f, &u->session.op, up_STEP_attached, 0);
}

static enum flow_next up_attached(struct flow *f)
{
    struct up *u = up_of(f);
    if (!u->session.op.failed) {
        db__cluster_supervise(u->c);
        return FLOW_DONE;
    }
    if (loop_now_ms(f->loop) - u->since_ms < ATTACH_FAIL_MS)
        return wait_ms(u, 100, up_STEP_lock);
    err_set(&f->err, ERR_SYS, ERR_RETRY,
            "another process holds %s/owner.lock, but its server does not answer: %.200s",
            u->c->dir, u->session.op.err.msg);
    return flow_fail(f);
}

static void up_end(struct flow *f)
{
    struct up *u = up_of(f);
    if (u->session.loop != NULL)
        db__session_close(&u->session);
    /* What initdb made and nobody adopted; after the rename there is nothing of that name. */
    if (u->tmp != NULL)
        db__remove_tree(u->tmp);
    mem_free(u->tmp);
    if (!u->first)
        return;
    if (f->failed)
        db__cluster_destroy(u->c);
    else
        *u->ret = u->c;
}

static const struct flow_def up_def = {"db_cluster", up_steps, up_STEP_COUNT, up_end};

struct flow *db__cluster_up_flow(struct db_cluster *c, bool first, int64_t delay_ms,
                                 struct db_cluster **ret)
{
    struct up *u = flow_new(c->loop, &up_def, sizeof(*u), 0);
    u->c = c;
    u->first = first;
    u->delay_ms = delay_ms;
    u->ret = ret;
    return &u->flow;
}
