#include "chaos/chaos.h"

#include <signal.h>

enum { ARGS_MAX = 32, READY_MS = 30000 };

/* CHAOS_TEST='*n13*' runs only these. */
__attribute__((constructor)) static void filter(void)
{
    if (getenv("CHAOS_TEST") != NULL)
        cmocka_set_test_filter(getenv("CHAOS_TEST"));
}

void chaos_needs_faults(void)
{
#ifndef WAYMARK_FAULTS
    puts("skipped: built without fault points (WAYMARK_FAULTS)");
    exit(77);
#endif
}

struct it_db *chaos_db(void)
{
    struct it_db *db = it_db_new();
    it_script(db, it_read_file(WAYMARK_SOURCE_DIR "/test/chaos/data/chaos.sql"));
    return db;
}

struct it_proc *chaos_start(struct it_db *db, const char *fault, const char *const *args)
{
    /* The first of what is given twice loses. */
    const char *all[ARGS_MAX + 8] = {"--db", db->url, "--poll-ms", "200"};
    unsigned n = 4;
    for (; args != NULL && *args != NULL; args++) {
        assert_true(n < ARGS_MAX);
        all[n++] = *args;
    }
    all[n] = NULL;
    const char *env[2] = {fault != NULL ? it_format("WAYMARK_FAULT=%s", fault) : NULL, NULL};
    return it_start_program(QUEUE_WORKER, db, env, all);
}

struct it_proc *chaos_worker(struct it_db *db, const char *fault, const char *const *args)
{
    struct it_proc *p = chaos_start(db, fault, args);
    it_wait_for(p, "ready", READY_MS);
    return p;
}

struct it_proc *chaos_start_by(struct proxy *proxy, struct it_db *db, const char *fault,
                               const char *const *args)
{
    static const char *const name[] = {"worker", "worker-beat", "worker-listen"};
    static const char *const option[] = {"--db", "--beat-db", "--listen-db"};
    const char *all[ARGS_MAX + 1];
    unsigned n = 0;
    for (int i = 0; i < 3; i++) {
        char url[256];
        all[n++] = option[i];
        all[n++] = it_format("%s", proxy_url(proxy, db->name, name[i], url, sizeof(url)));
    }
    for (; args != NULL && *args != NULL; args++) {
        assert_true(n < ARGS_MAX);
        all[n++] = *args;
    }
    all[n] = NULL;
    return chaos_start(db, fault, all);
}

struct it_proc *chaos_worker_by(struct proxy *proxy, struct it_db *db, const char *fault,
                                const char *const *args)
{
    struct it_proc *p = chaos_start_by(proxy, db, fault, args);
    it_wait_for(p, "ready", READY_MS);
    return p;
}

void chaos_reconnect(struct it_db *db)
{
    for (int64_t until = it_now_ms() + END_MS; it_now_ms() < until; it_pause_ms(20)) {
        PQreset(db->pg);
        if (PQstatus(db->pg) == CONNECTION_OK)
            return;
    }
    fail_msg("%s", PQerrorMessage(db->pg));
}

int64_t chaos_owner(struct it_db *db, const struct it_proc *p)
{
    return it_i64(db, "SELECT coalesce(max(id), 0) FROM q.instance WHERE pid = %d", (int)it_pid(p));
}

struct it_result chaos_stop(struct it_proc *p)
{
    it_signal(p, SIGTERM);
    struct it_result r = it_wait(p, END_MS);
    if (r.status != 0)
        fail_msg("it ended with %d\n%s", r.status, r.err);
    return r;
}

int64_t chaos_count(const struct it_result *r, const char *name)
{
    const char *at = strstr(r->out, name);
    assert_non_null(at);
    return strtoll(at + strlen(name), NULL, 10);
}

int64_t chaos_died(struct it_proc *p, int signum)
{
    struct it_result r = it_wait(p, END_MS);
    if (r.status != 128 + signum)
        fail_msg("it ended with %d instead of signal %d\n%s", r.status, signum, r.err);
    return it_now_ms();
}

int64_t chaos_taken_over(struct it_db *db, int64_t owner, int64_t since, int64_t limit_ms)
{
    const char *gone = it_format("SELECT NOT EXISTS (SELECT FROM q.job WHERE owner = %lld)"
                                 " AND NOT EXISTS (SELECT FROM q.instance WHERE id = %lld)",
                                 (long long)owner, (long long)owner);
    if (it_eventually(db, limit_ms - (it_now_ms() - since), gone) < 0)
        fail_msg("after %lld ms the jobs of instance %lld are still its own",
                 (long long)(it_now_ms() - since), (long long)owner);
    return it_now_ms() - since;
}

void chaos_hasten(struct it_db *db)
{
    it_exec(db, "UPDATE q.job SET run_at = now() WHERE state = 'waiting'");
}

const char *chaos_program(void)
{
    return QUEUE_WORKER;
}
