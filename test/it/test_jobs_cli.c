/* `waymark jobs`: every command does what it says to the jobs that are meant, and to no others; it
 * writes down who did it; and what it prints is harmless. */
#include "it/load.h"

#include <signal.h>

enum { USAGE = 2, AGAIN = 75, SOON_MS = 20000 };

/* An empty queue, with nothing said about it. */
static struct it_db *fresh(void)
{
    struct it_db *db = it_db_again();
    it_exec(db,
            "TRUNCATE q.pause, q.cron, q.rate, q.audit, q.halted, q.flow;"
            "ALTER SEQUENCE q.job_id_seq RESTART 1; ALTER SEQUENCE q.instance_id_seq RESTART 1");
    return db;
}

/* Jobs 1 to 9 live, 11 to 14 dead, 21 to 23 done. */
static struct it_db *scene(void)
{
    struct it_db *db = fresh();
    it_exec(
        db,
        "INSERT INTO q.job (id, queue, kind, state, tenant, run_at, owner, last_error,"
        " created_at) OVERRIDING SYSTEM VALUE SELECT id, queue, kind, state::q.state, tenant,"
        " CASE WHEN state = 'waiting' THEN now() + interval '1 hour' END,"
        " CASE WHEN state = 'running' THEN 99 END, e, now() - age::interval FROM (VALUES"
        " (1, 'red', 'a', 'ready', 7, NULL, '1 min'), (2, 'red', 'b', 'ready', NULL, NULL, '3 d'),"
        " (3, 'red', 'a', 'waiting', 7, 'HTTP 500: no', '2 h'),"
        " (4, 'blue', 'a', 'waiting', 8, 'timeout', '1 min'),"
        " (5, 'blue', 'a', 'running', 7, NULL, '1 min'),"
        " (6, 'blue', 'b', 'running', 8, 'timeout', '3 d'))"
        " v(id, queue, kind, state, tenant, e, age);"
        "INSERT INTO q.job (id, queue, kind, lane, state) OVERRIDING SYSTEM VALUE VALUES"
        " (7, 'red', 'l', 'L', 'ready'), (8, 'red', 'l', 'L', 'blocked'),"
        " (9, 'red', 'l', 'L', 'blocked');"
        "INSERT INTO q.dead (id, queue, kind, prio, attempt, max_attempts, crashes, tenant,"
        " payload, last_error, created_at, reason, died_at) SELECT id, queue, kind, 0, 8, 8, 0,"
        " tenant, '{}', e, now() - interval '9 d', 'attempts', now() - age::interval FROM (VALUES"
        " (11, 'red', 'a', 7, 'HTTP 500: no', '1 min'), (12, 'red', 'b', 8, 'HTTP 404', '2 h'),"
        " (13, 'blue', 'a', 7, 'HTTP 404', '3 d'), (14, 'blue', 'b', NULL, NULL, '3 d'))"
        " v(id, queue, kind, tenant, e, age);"
        "INSERT INTO q.done (id, attempt, queue, kind, tenant, outcome, created_at, finished_at)"
        " SELECT id, 1, queue, kind, tenant, 'done', now() - interval '9 d',"
        " now() - age::interval FROM (VALUES (21, 'red', 'a', 7, '1 min'),"
        " (22, 'blue', 'a', 8, '2 h'), (23, 'blue', 'b', NULL, '3 d'))"
        " v(id, queue, kind, tenant, age);"
        "SELECT setval('q.job_id_seq', 100)");
    return db;
}

static const char *ids(struct it_db *db, const char *from)
{
    return it_text(db, "SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), '') FROM %s", from);
}

/* What stands at that path of what it printed, which must be JSON. */
static const char *json(struct it_db *db, const struct it_result *r, const char *path)
{
    const char *param[] = {r->out, path};
    PGresult *res = it_ask(db, "SELECT $1::jsonb #>> $2::text[]", 2, param);
    return PQgetvalue(res, 0, 0);
}

/* The last thing that was done: command, jobs, complete. */
static const char *audit(struct it_db *db)
{
    return it_text(db, "SELECT concat_ws(' ', command, jobs, complete) FROM q.audit"
                       " ORDER BY id DESC LIMIT 1");
}

static struct it_result refused(struct it_db *db, const char *const *args, int status,
                                const char *what)
{
    struct it_result r = it_must(db, NULL, args, status);
    load_one_line(&r, what);
    assert_string_equal(r.out, "");
    return r;
}

/* ---- which jobs ------------------------------------------------------------------------------ */

static const struct {
    const char *option[8];
    const char *listed; /* by list */
    const char *dead;   /* of those, what discard takes */
    const char *done;   /* and purge */
} filter_row[] = {
    {{NULL}, "5 6 11 12 13 14 1 2 3 4 7 8 9", NULL, NULL},
    {{"--queue", "red"}, "11 12 1 2 3 7 8 9", "11 12", "21"},
    {{"--kind", "b"}, "6 12 14 2", "12 14", "23"},
    {{"--athlete", "7"}, "5 11 13 1 3", "11 13", "21"},
    {{"--athlete=-7"}, "", "", ""},
    {{"--error", "HTTP 4"}, "12 13", "12 13", NULL},
    {{"--error", "%"}, "", "", NULL},
    {{"--older", "1h"}, "6 12 13 14 2 3", "12 13 14", "22 23"},
    {{"--newer", "1h"}, "5 11 1 4 7 8 9", "11", "21"},
    {{"--older", "1h", "--newer", "1d"}, "12 3", "12", "22"},
    {{"--queue=blue", "--kind=a", "--athlete=7"}, "5 13", "13", ""},
    {{"--queue", "red", "--error", "500", "--newer", "5h"}, "11 3", "11", NULL},
    {{"3", "13", "77", "13"}, "13 3", "13", ""},
    {{"11", "12", "--kind", "a"}, "11", "11", ""},
    {{"--queue", "' OR true --"}, "", "", ""},
};

/* COMMAND OPTIONS MORE... */
static struct it_result with(struct it_db *db, const char *command, const char *const *option,
                             const char *const *more)
{
    const char *args[20] = {"jobs", command};
    size_t n = 2;
    for (size_t i = 0; i < 8 && option[i]; i++)
        args[n++] = option[i];
    for (size_t i = 0; more[i]; i++)
        args[n++] = more[i];
    return it_run(db, NULL, args);
}

static const char *listed_ids(struct it_db *db, const struct it_result *r)
{
    const char *param[] = {r->out};
    PGresult *res = it_ask(db,
                           "SELECT coalesce(string_agg(j->>'id', ' ' ORDER BY n), '') FROM "
                           "jsonb_array_elements($1::jsonb) WITH ORDINALITY x(j, n)",
                           1, param);
    return PQgetvalue(res, 0, 0);
}

/* The same numbers, in whatever order. */
static const char *sorted(struct it_db *db, const char *list)
{
    return it_text(db,
                   "SELECT coalesce(string_agg(x, ' ' ORDER BY x::int), '') FROM "
                   "string_to_table('%s', ' ') x",
                   list);
}

static void filters_choose(void **state)
{
    (void)state;
    struct it_db *db = scene();
    for (size_t i = 0; i < sizeof(filter_row) / sizeof(filter_row[0]); i++) {
        const char *const *option = filter_row[i].option;
        struct it_result r = with(db, "list", option, IT_LIST("--json"));
        assert_int_equal(r.status, 0);
        if (strcmp(sorted(db, listed_ids(db, &r)), sorted(db, filter_row[i].listed)) != 0)
            fail_msg("%s: %s", option[0], listed_ids(db, &r));
        if (filter_row[i].dead) {
            it_exec(db, "CREATE TABLE kept AS TABLE q.dead; ALTER TABLE kept DROP cause");
            r = with(db, "discard", option, IT_LIST("--quiet"));
            assert_true(r.status == 0 || strstr(r.err, "waymark: ") != NULL);
            const char *gone = ids(db, "kept k WHERE NOT EXISTS (SELECT FROM q.dead d"
                                       " WHERE d.id = k.id)");
            if (strcmp(gone, filter_row[i].dead) != 0)
                fail_msg("%s discards %s", option[0], gone);
            it_exec(db, "TRUNCATE q.dead; INSERT INTO q.dead TABLE kept; DROP TABLE kept");
        }
        if (filter_row[i].done) {
            it_exec(db, "CREATE TABLE kept AS TABLE q.done");
            (void)with(db, "purge", option, IT_LIST("--quiet"));
            const char *gone = ids(db, "kept k WHERE NOT EXISTS (SELECT FROM q.done d"
                                       " WHERE d.id = k.id)");
            if (strcmp(gone, filter_row[i].done) != 0)
                fail_msg("%s purges %s", option[0], gone);
            it_exec(db, "TRUNCATE q.done; INSERT INTO q.done TABLE kept; DROP TABLE kept");
        }
    }
}

static void states_choose(void **state)
{
    (void)state;
    struct it_db *db = scene();
    static const char *const row[][2] = {{"running", "6 5"},
                                         {"dead", "14 13 12 11"},
                                         {"ready", "7 2 1"},
                                         {"waiting", "4 3"},
                                         {"blocked", "9 8"},
                                         {"done", "23 22 21"},
                                         {"dead,running", "6 5 14 13 12 11"},
                                         {"done,done", "23 22 21"}};
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct it_result r =
            it_must(db, NULL, IT_LIST("jobs", "list", "--json", "--state", row[i][0]), 0);
        assert_string_equal(listed_ids(db, &r), row[i][1]); /* the newest first */
    }
    struct it_result r = it_must(db, NULL, IT_LIST("jobs", "list", "--limit", "3"), 0);
    assert_non_null(strstr(r.out, "the first 3"));
    assert_null(strstr(r.out, "13  "));
    r = it_must(db, NULL, IT_LIST("jobs", "list", "--queue", "none"), 0);
    assert_string_equal(r.out, "There is no such job.\n");
}

static void a_dry_run_touches_nothing(void **state)
{
    (void)state;
    struct it_db *db = scene();
    static const struct {
        const char *args[8];
        const char *n;
    } row[] = {
        {{"jobs", "retry", "--dry-run"}, "6"},
        {{"jobs", "retry", "--state", "dead", "--dry-run"}, "4"},
        {{"jobs", "retry", "--dry-run", "--queue", "red"}, "3"},
        {{"jobs", "cancel", "--dry-run"}, "9"},
        {{"jobs", "cancel", "--state", "running,blocked", "--dry-run"}, "4"},
        {{"jobs", "discard", "--dry-run", "--kind", "b"}, "2"},
        {{"jobs", "purge", "--dry-run", "--older", "1h"}, "2"},
        {{"jobs", "move", "--dry-run", "--to", "green"}, "11"},
        {{"jobs", "move", "--dry-run", "--to", "green", "--state", "dead"}, "4"},
        {{"jobs", "discard", "--dry-run", "11", "12"}, "2"},
    };
    const char *whole =
        "SELECT md5(concat((SELECT string_agg(j::text, ',' ORDER BY id) FROM q.job j),"
        "(SELECT string_agg(d::text, ',' ORDER BY id) FROM q.dead d),"
        "(SELECT string_agg(h::text, ',' ORDER BY id) FROM q.done h)))";
    const char *before = it_text(db, "%s", whole);
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct it_result r = it_must(db, NULL, row[i].args, 0);
        if (strncmp(r.out, row[i].n, strlen(row[i].n)) != 0 || !strstr(r.out, " would be "))
            fail_msg("%s: %s", row[i].args[1], r.out);
    }
    struct it_result r = it_must(db, NULL, IT_LIST("jobs", "retry", "--dry-run", "--json"), 0);
    assert_string_equal(json(db, &r, "{jobs}"), "6");
    assert_string_equal(json(db, &r, "{dry_run}"), "true");
    assert_string_equal(it_text(db, "%s", whole), before);
    it_holds(db, "NOT EXISTS (SELECT FROM q.audit)");
}

/* ---- what is done with them ------------------------------------------------------------------ */

static void retry_puts_back(void **state)
{
    (void)state;
    struct it_db *db = scene();
    struct it_result r = it_must(db, NULL, IT_LIST("jobs", "retry", "--queue", "red"), 0);
    assert_non_null(strstr(r.out, "3 jobs retried"));
    assert_string_equal(ids(db, "q.dead"), "13 14");
    it_holds(db, "(SELECT count(*) FROM q.job WHERE id IN (3, 11, 12) AND state = 'ready'"
                 " AND run_at IS NULL) = 3");
    it_holds(db, "(SELECT state FROM q.job WHERE id = 4) = 'waiting'");
    assert_string_equal(audit(db), "jobs retry 3 t");
    it_holds(db, "(SELECT filter FROM q.audit) = '{\"queue\": \"red\"}'");
    it_holds(db, "(SELECT who FROM q.audit) = '%s'", load_output("echo -n $(id -un)@$(hostname)"));

    it_must(db, NULL, IT_LIST("jobs", "retry", "--state", "dead", "--all"), 0);
    it_holds(db, "NOT EXISTS (SELECT FROM q.dead)");
    it_holds(db, "(SELECT state FROM q.job WHERE id = 4) = 'waiting'");
    assert_string_equal(audit(db), "jobs retry 2 t");

    r = it_must(db, NULL, IT_LIST("jobs", "retry", "4", "--json"), 0);
    assert_string_equal(json(db, &r, "{jobs}"), "1");
    assert_string_equal(json(db, &r, "{complete}"), "true");
    it_holds(db, "(SELECT state FROM q.job WHERE id = 4) = 'ready'");
    assert_string_equal(audit(db), "jobs retry 1 t");
    it_holds(db, "(SELECT filter FROM q.audit ORDER BY id DESC LIMIT 1) = '{\"ids\": [4]}'");
}

static void cancel_takes_out_or_asks(void **state)
{
    (void)state;
    struct it_db *db = scene();
    struct it_result r = it_must(db, NULL, IT_LIST("jobs", "cancel", "--athlete", "7"), 0);
    assert_non_null(strstr(r.out, "3 jobs cancelled"));
    assert_non_null(strstr(r.out, "1 of them ran"));
    assert_string_equal(ids(db, "q.job"), "2 4 5 6 7 8 9");
    it_holds(db, "(SELECT cancel AND state = 'running' FROM q.job WHERE id = 5)");
    it_holds(db, "(SELECT NOT cancel FROM q.job WHERE id = 6)");
    assert_string_equal(ids(db, "q.done WHERE outcome = 'cancelled'"), "1 3");
    assert_string_equal(audit(db), "jobs cancel 3 t");
    /* The head of a lane: the next one goes on. */
    it_must(db, NULL, IT_LIST("jobs", "cancel", "7"), 0);
    it_holds(db, "(SELECT state FROM q.job WHERE id = 8) = 'ready'");
    assert_string_equal(ids(db, "q.dead"), "11 12 13 14");
}

static void discard_and_purge_forget(void **state)
{
    (void)state;
    struct it_db *db = scene();
    it_exec(db, "UPDATE q.dead SET lane = 'M', halt = true WHERE id = 11;"
                "INSERT INTO q.halted (lane, job) VALUES ('M', 11);"
                "INSERT INTO q.job (id, queue, kind, lane, state) OVERRIDING SYSTEM VALUE VALUES"
                " (31, 'red', 'l', 'M', 'blocked')");
    it_must(db, NULL, IT_LIST("jobs", "discard", "11", "14"), 0);
    assert_string_equal(ids(db, "q.dead"), "12 13");
    assert_string_equal(audit(db), "jobs discard 2 t");
    it_holds(db, "(SELECT state FROM q.job WHERE id = 31) = 'ready'");
    it_must(db, NULL, IT_LIST("jobs", "purge", "--older", "1h"), 0);
    assert_string_equal(ids(db, "q.done"), "21");
    assert_string_equal(audit(db), "jobs purge 2 t");
    it_must(db, NULL, IT_LIST("jobs", "purge", "--all"), 0);
    assert_string_equal(ids(db, "q.done"), "");
    it_holds(db, "(SELECT filter FROM q.audit ORDER BY id DESC LIMIT 1) = '{\"all\": true}'");
    assert_string_equal(ids(db, "q.job"), "1 2 3 4 5 6 7 8 9 31");
}

static void move_leaves_what_runs(void **state)
{
    (void)state;
    struct it_db *db = scene();
    it_exec(db, "UPDATE q.job SET fair = 5000 WHERE id = 4; UPDATE q.dead SET queue = 'green'"
                " WHERE id = 14; INSERT INTO q.job (id, queue, kind, tenant, fair)"
                " OVERRIDING SYSTEM VALUE VALUES (41, 'green', 'a', 8, 3)");
    it_must(db, NULL, IT_LIST("jobs", "move", "--queue", "blue", "--to", "green"), 0);
    assert_string_equal(ids(db, "q.job WHERE queue = 'green'"), "4 41");
    assert_string_equal(ids(db, "q.job WHERE queue = 'blue'"), "5 6");
    assert_string_equal(ids(db, "q.dead WHERE queue = 'green'"), "13 14");
    it_holds(db, "(SELECT fair FROM q.job WHERE id = 4) = 4"); /* behind his own, by that clock */
    assert_string_equal(audit(db), "jobs move 2 t");
    it_holds(db, "(SELECT filter FROM q.audit) = '{\"to\": \"green\", \"queue\": \"blue\"}'");
    struct it_result r = it_must(db, NULL, IT_LIST("jobs", "move", "5", "8", "--to", "green"), 1);
    assert_non_null(strstr(r.err, "job 5 is running"));
    assert_string_equal(ids(db, "q.job WHERE queue = 'green'"), "4 8 41");
}

static void ids_that_are_not_there(void **state)
{
    (void)state;
    struct it_db *db = scene();
    struct it_result r = it_must(db, NULL, IT_LIST("jobs", "retry", "1", "11", "21", "77"), 1);
    assert_non_null(strstr(r.err, "waymark: job 1 is ready: jobs retry is for"));
    assert_non_null(strstr(r.err, "waymark: job 21 is done: "));
    assert_non_null(strstr(r.err, "waymark: there is no job 77: "));
    assert_null(strstr(r.err, "job 11"));
    assert_non_null(strstr(r.out, "1 job retried"));
    assert_string_equal(ids(db, "q.dead"), "12 13 14");
    r = it_must(db, NULL, IT_LIST("jobs", "discard", "77"), 1);
    load_one_line(&r, "there is no job 77: see waymark jobs list");
    assert_null(strstr(audit(db), "discard"));
}

static void bad_input_is_refused(void **state)
{
    (void)state;
    struct it_db *db = scene();
    static const struct {
        const char *args[8];
        const char *what;
    } row[] = {
        {{"jobs", "retry"}, "--all"},
        {{"jobs", "discard"}, "--all"},
        {{"jobs", "purge"}, "--all"},
        {{"jobs", "cancel"}, "--all"},
        {{"jobs", "move", "--to", "x"}, "--all"},
        {{"jobs", "retry", "--state", "dead,waiting"}, "--all"},
        {{"jobs", "retry", "--state", "running", "5"}, "--state running: must be dead or waiting"},
        {{"jobs", "retry", "--state", ""}, "--state"},
        {{"jobs", "retry", "eleven"}, "eleven is no job"},
        {{"jobs", "list", "--state", "lost"}, "--state lost"},
        {{"jobs", "list", "--limit", "0"}, "--limit 0"},
        {{"jobs", "list", "--older", "soon"}, "--older soon"},
        {{"jobs", "list", "--athlete", "me"}, "--athlete me"},
        {{"jobs", "purge", "--error", "x"}, "no option --error"},
        {{"jobs", "move", "11"}, "--to QUEUE"},
        {{"jobs", "show", "x"}, "x is no job"},
        {{"jobs", "show"}, "usage: waymark jobs show ID"},
        {{"jobs", "pause"}, "--queue"},
        {{"jobs", "pause", "--queue", ""}, "--queue"},
        {{"jobs", "resume"}, "--queue"},
        {{"jobs", "drain", "x"}, "x is no instance"},
        {{"jobs", "cron", "add", "x", "0 3 * * *"}, "--kind"},
        {{"jobs", "rates", "set", "x", "--cap15", "5"}, "--capday"},
        {{"jobs", "rates", "set", "x", "--cap15=5", "--capday=-1"}, "--capday -1"},
        {{"jobs", "rates", "set", "x", "--cap15=5", "--capday=5", "--reserve=2"}, "--reserve 2"},
    };
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
        refused(db, row[i].args, USAGE, row[i].what);
    refused(db, IT_LIST("jobs", "show", "77"), 1, "no job 77");
    refused(db, IT_LIST("jobs", "drain", "77"), 1, "no instance 77");
    it_holds(db, "NOT EXISTS (SELECT FROM q.audit)");
    assert_string_equal(ids(db, "q.dead"), "11 12 13 14");
}

/* ---- many ------------------------------------------------------------------------------------ */

static void bury_many(struct it_db *db, int n)
{
    it_exec(
        db,
        "INSERT INTO q.dead (id, queue, kind, prio, attempt, max_attempts, crashes, payload,"
        " last_error, created_at, reason, ukey, tenant, lane)"
        " SELECT n, 'q', 'k', 0, 8, 8, 0, '{}', 'HTTP 500', now(), 'attempts', 'u' || n, n %% 9,"
        " CASE WHEN n %% 10 = 0 THEN 'lane' || n %% 100 END FROM generate_series(1, %d) n",
        n);
}

static void many_at_once(void **state)
{
    (void)state;
    enum { MANY = 5000 };
    struct it_db *db = fresh();
    bury_many(db, MANY);
    struct it_result r =
        it_must(db, NULL, IT_LIST("jobs", "retry", "--queue", "q", "--error=500"), 0);
    print_message("%d dead letters retried in %lld ms\n", MANY, (long long)r.ms);
    assert_true(r.ms < 10000);
    assert_non_null(strstr(r.err, "retrying: 5000 of 5000 (100 %)"));
    it_holds(db, "NOT EXISTS (SELECT FROM q.dead) AND (SELECT count(*) FROM q.job) = %d", MANY);
    it_holds(db, "(SELECT count(*) FROM q.job WHERE state <> 'blocked' AND lane IS NOT NULL) = 10");
    it_holds(db, "(SELECT count(*) FROM q.audit) = 1");
    assert_string_equal(audit(db), "jobs retry 5000 t");
    /* A number that pages divide, and all by their ids. */
    r = it_must(db, NULL, IT_LIST("jobs", "cancel", "--kind", "k", "--json"), 0);
    assert_string_equal(r.err, "");
    assert_string_equal(json(db, &r, "{jobs}"), "5000");
    assert_string_equal(audit(db), "jobs cancel 5000 t");
    it_holds(db, "NOT EXISTS (SELECT FROM q.job) AND (SELECT count(*) FROM q.done) = %d", MANY);
}

/* Whatever the server believes of the table, twenty pages of it are not twenty times all of it. */
static void pages_are_read_once(void **state)
{
    (void)state;
    enum { MANY = 20000 };
    struct it_db *db = fresh();
    it_exec(db, "ANALYZE q.dead"); /* empty */
    bury_many(db, MANY);
    it_exec(db, "SELECT pg_stat_reset_single_table_counters('q.dead'::regclass)");
    it_must(db, NULL, IT_LIST("jobs", "retry", "--queue", "q", "--error", "HTTP"), 0);
    it_holds(db, "NOT EXISTS (SELECT FROM q.dead)");
    assert_true(it_eventually(db, SOON_MS,
                              "SELECT n_tup_del >= 20000 FROM pg_stat_user_tables"
                              " WHERE relid = 'q.dead'::regclass") >= 0);
    int64_t seen = it_i64(db, "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables"
                              " WHERE relid = 'q.dead'::regclass");
    print_message("%lld rows read for %d dead letters\n", (long long)seen, MANY);
    /* Counted, found, their lanes looked up, deleted. To look through the rest for each page would
     * be ten times all of it on top. */
    assert_in_range(seen, 3 * MANY, 8 * MANY);
}

static void many_ids(void **state)
{
    (void)state;
    enum { GIVEN = 2500 };
    static char text[GIVEN][8];
    static const char *args[GIVEN + 4] = {"jobs", "discard"};
    struct it_db *db = fresh();
    bury_many(db, 3000);
    for (int i = 0; i < GIVEN; i++) {
        (void)snprintf(text[i], sizeof(text[i]), "%d", GIVEN - i);
        args[2 + i] = text[i];
    }
    it_must(db, NULL, args, 0);
    it_holds(db, "(SELECT min(id) FROM q.dead) = 2501 AND (SELECT count(*) FROM q.dead) = 500");
    assert_string_equal(audit(db), "jobs discard 2500 t");
    it_holds(db, "(SELECT filter FROM q.audit) = '{\"ids\": 2500}'");
}

static void a_signal_stops_between_pages(void **state)
{
    (void)state;
    struct it_db *db = fresh();
    bury_many(db, 3500);
    it_exec(db, "BEGIN; SELECT FROM q.dead WHERE id = 1500 FOR UPDATE");
    struct it_proc *p = it_start(db, NULL, IT_LIST("jobs", "retry", "--queue", "q"));
    assert_true(
        it_eventually(db, SOON_MS, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)") >= 0);
    it_signal(p, SIGINT);
    it_pause_ms(200);
    it_exec(db, "COMMIT");
    struct it_result r = it_wait(p, SOON_MS);
    assert_int_equal(r.status, AGAIN);
    assert_non_null(strstr(r.err, "stopped by a signal after 2000 of 3500 jobs"));
    it_holds(db, "(SELECT count(*) FROM q.job) = 2000 AND (SELECT min(id) FROM q.dead) = 2001");
    assert_string_equal(audit(db), "jobs retry 2000 f");
    it_must(db, NULL, IT_LIST("jobs", "retry", "--queue", "q"), 0);
    it_holds(db, "(SELECT count(*) FROM q.job) = 3500 AND NOT EXISTS (SELECT FROM q.dead)");
    assert_string_equal(audit(db), "jobs retry 1500 t");
}

/* The server asks after a while who waits for whom, and sends away the one who asked: theirs is
 * four seconds, ours longer than the test. */
static void a_deadlock_is_no_failure(void **state)
{
    (void)state;
    struct it_db *db = fresh();
    bury_many(db, 100);
    it_exec(db, "ALTER DATABASE %s SET deadlock_timeout = '4s'", db->name);
    it_exec(db, "BEGIN; SET LOCAL deadlock_timeout = '5min';"
                "SELECT FROM q.dead WHERE id = 50 FOR UPDATE");
    struct it_proc *p = it_start(db, NULL, IT_LIST("jobs", "discard", "--queue", "q"));
    assert_true(
        it_eventually(db, SOON_MS, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)") >= 0);
    it_exec(db, "SELECT FROM q.dead WHERE id = 1 FOR UPDATE; COMMIT");
    it_exec(db, "ALTER DATABASE %s RESET deadlock_timeout", db->name);
    struct it_result r = it_wait(p, SOON_MS);
    assert_int_equal(r.status, 0);
    assert_true(r.ms >= 4000);
    it_holds(db, "NOT EXISTS (SELECT FROM q.dead)");
    assert_string_equal(audit(db), "jobs discard 100 t");
}

/* ---- one job --------------------------------------------------------------------------------- */

/* JSON keeps marks that turn the direction of text: it is not for people. */
static void is_tame(const char *text, bool for_people)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if ((*p < 0x20 && *p != '\n') || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0) ||
            (for_people && *p == 0xe2 && p[1] == 0x80 && p[2] == 0xae))
            fail_msg("a control character:\n%s", text);
    }
}

static void secrets_are_masked(void **state)
{
    (void)state;
    struct it_db *db = scene();
    it_exec(
        db,
        "UPDATE q.job SET payload = '{\"activity\": 4, \"access_token\": \"hush1\", \"API-Key\":"
        " {\"a\": [\"hush2\", \"}\"], \"b\": \"hush2\"}, \"deep\": [{\"PASSWORD\": \"hu\\\"sh3\","
        " \"name\": \"to\\\\\"}, {\"client_secret\": 5}], \"h\": {\"Authorization\": \"Bearer"
        " hush4\"}, \"note\": \"a token, a secret: shown\"}' WHERE id = 1");
    struct it_result r = it_must(db, NULL, IT_LIST("jobs", "show", "1", "--json"), 0);
    assert_string_equal(json(db, &r, "{payload,access_token}"), "***");
    assert_string_equal(json(db, &r, "{payload,API-Key}"), "***");
    assert_string_equal(json(db, &r, "{payload,deep,0,PASSWORD}"), "***");
    assert_string_equal(json(db, &r, "{payload,deep,0,name}"), "to\\");
    assert_string_equal(json(db, &r, "{payload,deep,1,client_secret}"), "***");
    assert_string_equal(json(db, &r, "{payload,h,Authorization}"), "***");
    assert_string_equal(json(db, &r, "{payload,note}"), "a token, a secret: shown");
    assert_string_equal(json(db, &r, "{payload,activity}"), "4");
    assert_null(strstr(r.out, "hush"));
    r = it_must(db, NULL, IT_LIST("jobs", "show", "1"), 0);
    assert_null(strstr(r.out, "hush"));
    assert_non_null(strstr(r.out, "\"activity\": 4"));
}

static void nothing_is_obeyed(void **state)
{
    (void)state;
    struct it_db *db = scene();
    it_exec(db, "UPDATE q.dead SET last_error = E'a\\x1b[2Jb\\u009b31m\\r\\nwaymark: fine\\u202e',"
                " payload = jsonb_build_object(E'k\\u009b', E'\\x1b]0;x\\x07\\u202e\\u007f'),"
                " kind = E'k\\x1b[1m', lane = E'l\\u009bm';"
                "INSERT INTO q.pause (queue, kind) VALUES (E'q\\x1b[1m', E'\\u009bk')");
    const char *const *const row[] = {
        IT_LIST("jobs", "list", "--state", "dead"),
        IT_LIST("jobs", "list", "--state", "dead", "--json"),
        IT_LIST("jobs", "show", "11"),
        IT_LIST("jobs", "show", "11", "--json"),
        IT_LIST("status"),
        IT_LIST("status", "--json"),
    };
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct it_result r = it_must(db, NULL, row[i], 0);
        is_tame(r.out, i % 2 == 0);
        is_tame(r.err, true);
    }
    struct it_result r = it_must(db, NULL, IT_LIST("jobs", "show", "11", "--json"), 0);
    const char *param[] = {r.out};
    assert_string_equal(PQgetvalue(it_ask(db,
                                          "SELECT $1::jsonb->'payload' = (SELECT payload FROM "
                                          "q.dead WHERE id = 11)",
                                          1, param),
                                   0, 0),
                        "t"); /* nothing is lost by it */
    is_tame(refused(db, IT_LIST("jobs", "retry", "\033[1m"), USAGE, "is no job").err, true);
}

static void show_knows_everything(void **state)
{
    (void)state;
    struct it_db *db = scene();
    it_exec(db,
            "UPDATE q.job SET parent = 21 WHERE id = 8; UPDATE q.dead SET parent = 8,"
            " lane = 'L' WHERE id = 12; INSERT INTO q.instance (id, host, place, pid,"
            " pid_started, version) OVERRIDING SYSTEM VALUE VALUES (99, 'far', 'p', 4711, 1, 'v')");
    struct it_result r = it_must(db, NULL, IT_LIST("jobs", "show", "8", "--json"), 0);
    assert_string_equal(json(db, &r, "{state}"), "blocked");
    assert_string_equal(json(db, &r, "{lane}"), "L");
    assert_string_equal(json(db, &r, "{parent}"), "21");
    const char *param[] = {r.out};
    PGresult *res = it_ask(db,
                           "SELECT string_agg(concat_ws(' ', x->>'role', x->>'id', x->>'state'), "
                           "', ' ORDER BY n) FROM jsonb_array_elements($1::jsonb->'near') WITH "
                           "ORDINALITY v(x, n)",
                           1, param);
    assert_string_equal(
        PQgetvalue(res, 0, 0),
        "parent 21 done, child 12 dead, lane 7 ready, lane 9 blocked, lane 12 dead");
    r = it_must(db, NULL, IT_LIST("jobs", "show", "8"), 0);
    assert_non_null(strstr(r.out, "parent       21 a, done"));
    r = it_must(db, NULL, IT_LIST("jobs", "show", "5"), 0);
    assert_non_null(strstr(r.out, "host         far"));
    assert_non_null(strstr(r.out, "pid          4711"));
    r = it_must(db, NULL, IT_LIST("jobs", "show", "11", "--json"), 0);
    assert_string_equal(json(db, &r, "{error}"), "HTTP 500: no");
    assert_string_equal(json(db, &r, "{outcome}"), "attempts");
    assert_string_equal(json(db, &r, "{attempt}"), "8");
    r = it_must(db, NULL, IT_LIST("jobs", "show", "21", "--json"), 0);
    assert_string_equal(json(db, &r, "{state}"), "done");
}

/* ---- pause, drain ---------------------------------------------------------------------------- */

static void pauses_come_and_go(void **state)
{
    (void)state;
    struct it_db *db = scene();
    struct it_result r = it_must(db, NULL, IT_LIST("jobs", "pause", "--queue", "blue"), 0);
    assert_non_null(strstr(r.out, "queue blue: paused\n2 jobs of it still run"));
    r = it_must(db, NULL, IT_LIST("jobs", "pause", "--queue", "blue"), 0);
    assert_non_null(strstr(r.out, "paused already"));
    it_must(db, NULL, IT_LIST("jobs", "pause", "--queue=blue", "--kind=a", "--athlete=7"), 0);
    it_holds(db, "(SELECT count(*) FROM q.audit) = 2");
    it_holds(db, "(SELECT string_agg(concat_ws(' ', queue, kind, tenant), ', ' ORDER BY kind NULLS "
                 "FIRST) FROM q.pause) = 'blue, blue a 7'");
    refused(db, IT_LIST("jobs", "resume", "--queue", "blue", "--kind", "a"), 1, "--all");
    refused(db, IT_LIST("jobs", "resume", "--queue", "red"), 1, "queue red is not paused");
    r = it_must(db, NULL, IT_LIST("jobs", "resume", "--queue", "blue"), 0);
    assert_non_null(strstr(r.out, "1 other pause of that queue remains"));
    it_holds(db, "(SELECT count(*) FROM q.pause) = 1");
    assert_string_equal(audit(db), "jobs resume 0 t");
    r = it_must(db, NULL, IT_LIST("jobs", "resume", "--queue", "blue", "--all", "--json"), 0);
    assert_string_equal(json(db, &r, "{resumed}"), "1");
    it_holds(db, "NOT EXISTS (SELECT FROM q.pause)");
    it_holds(db, "(SELECT count(*) FROM q.audit) = 4");
}

static void drain_waits(void **state)
{
    (void)state;
    struct it_db *db = scene();
    it_exec(db, "INSERT INTO q.instance (id, host, place, pid, pid_started, version, running)"
                " OVERRIDING SYSTEM VALUE VALUES (99, 'far', 'p', 1, 1, 'v', 0)");
    struct it_proc *p = it_start(db, NULL, IT_LIST("jobs", "drain", "99"));
    assert_true(it_eventually(db, SOON_MS, "SELECT draining FROM q.instance") >= 0);
    assert_string_equal(audit(db), "jobs drain 0 t");
    it_exec(db, "DELETE FROM q.job WHERE id IN (5, 6)");
    it_pause_ms(1200); /* it has not heard of it yet */
    assert_int_equal(it_i64(db, "SELECT count(*) FROM pg_stat_activity WHERE application_name ="
                                " 'waymark' AND datname = current_database()") > 0,
                     1);
    it_exec(db, "UPDATE q.instance SET beat = beat + 1, running = 2");
    it_pause_ms(800);
    it_exec(db, "UPDATE q.instance SET running = 0");
    struct it_result r = it_wait(p, SOON_MS);
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.out, "instance 99 runs nothing"));
    assert_non_null(strstr(r.err, "draining: 2 of 2"));
    assert_true(r.ms >= 2000);

    it_must(db, NULL, IT_LIST("jobs", "drain", "99", "--undo"), 0);
    it_holds(db, "NOT (SELECT draining FROM q.instance)");
    it_holds(db, "(SELECT filter FROM q.audit ORDER BY id DESC LIMIT 1) ="
                 " '{\"instance\": \"99\", \"undo\": true}'");
    it_exec(db, "UPDATE q.instance SET beat_at = now() - interval '5 min'");
    r = refused(db, IT_LIST("jobs", "drain", "99"), AGAIN, "not been heard of for 300 s");
}

/* ---- schedules and rates --------------------------------------------------------------------- */

static void schedules(void **state)
{
    (void)state;
    struct it_db *db = fresh();
#define ADD(name, spec, ...)                                                                       \
    IT_LIST("jobs", "cron", "add", name, spec, "--kind", "k", "--queue", "q", __VA_ARGS__)
    struct it_result r = it_must(
        db, NULL, ADD("weekly", "0 3 * * 1", "--tz=Europe/Zurich", "--payload={\"a\": 1}"), 0);
    assert_non_null(strstr(r.out, "03:00, Europe/Zurich"));
    it_holds(db, "(SELECT minutes = '{0}' AND hours = '{3}' AND weekdays = '{1}' AND"
                 " cardinality(days) = 31 AND cardinality(months) = 12 AND NOT any_day AND"
                 " NOT any_hour AND payload = '{\"a\": 1}' AND catchup = 'one' AND"
                 " next_at > now() AND extract(dow FROM next_at AT TIME ZONE tz) = 1"
                 " AND extract(hour FROM next_at AT TIME ZONE tz) = 3 FROM q.cron)");
    assert_string_equal(audit(db), "jobs cron add 0 t");
    refused(db, ADD("weekly", "0 4 * * 1", "--json"), 1, "there is one of that name");
    refused(db, ADD("x", "61 3 * * 1", "--json"), USAGE, "\"61 3 * * 1\": ");
    refused(db, ADD("x", "0 3 * * 1", "--tz", "zurich"), USAGE, "perhaps Europe/Zurich");
    refused(db, ADD("x", "0 3 * * 1", "--tz", ""), USAGE, "no time zone");
    refused(db, ADD("x", "0 3 30 2 *", "--json"), USAGE, "no such time ever comes");
    refused(db, ADD("x", "0 3 * * 1", "--payload", "[1]"), USAGE, "must be a JSON object");
    refused(db, ADD("x", "0 3 * * 1", "--payload", "{"), USAGE, "--payload: JSON line 1");
    refused(db, ADD("x", "0 3 * * 1", "--catchup", "some"), USAGE, "none, one or all");
    refused(db, ADD("x", "0 3 * * 1", "--prio", "99999"), USAGE, "--prio 99999");
    it_holds(db, "(SELECT count(*) FROM q.cron) = 1 AND (SELECT count(*) FROM q.audit) = 1");
    r = it_must(db, NULL, ADD("ultra", "* 19 1 * *", "--catchup=none"), 0);
    assert_non_null(strstr(r.err, "waymark: warning: "));

    r = it_must(db, NULL, IT_LIST("jobs", "cron", "list", "--json"), 0);
    assert_string_equal(json(db, &r, "{0,name}"), "ultra");
    assert_string_equal(json(db, &r, "{1,spec}"), "0 3 * * 1");
    assert_string_equal(json(db, &r, "{1,payload,a}"), "1");
    r = it_must(db, NULL, IT_LIST("jobs", "cron", "run", "weekly"), 0);
    it_holds(db, "(SELECT kind = 'k' AND queue = 'q' AND payload->>'a' = '1' AND payload ? 'slot'"
                 " AND ukey = 'cron:weekly' FROM q.job)");
    assert_string_equal(audit(db), "jobs cron run 1 t");
    it_must(db, NULL, IT_LIST("jobs", "cron", "run", "weekly"), 0); /* joins the one that waits */
    it_holds(db, "(SELECT count(*) FROM q.job) = 1");
    refused(db, IT_LIST("jobs", "cron", "run", "none"), 1, "no schedule \"none\"");

    it_must(db, NULL, IT_LIST("jobs", "cron", "pause", "weekly"), 0);
    it_holds(db, "(SELECT paused FROM q.cron WHERE name = 'weekly')");
    it_exec(db, "UPDATE q.cron SET next_at = now() - interval '1 year' WHERE name = 'weekly'");
    r = it_must(db, NULL, IT_LIST("jobs", "cron", "list"), 0);
    assert_non_null(strstr(r.out, "Europe/Zurich  paused"));
    r = it_must(db, NULL, IT_LIST("jobs", "cron", "resume", "weekly", "none"), 1);
    assert_non_null(strstr(r.err, "no schedule \"none\""));
    it_holds(db, "(SELECT NOT paused AND next_at > now() FROM q.cron WHERE name = 'weekly')");
    it_exec(db,
            "UPDATE q.cron SET tz = 'Atlantis', last_at = now(), next_at = 'infinity', problem ="
            " E'no zone\\x1b[m' WHERE name = 'ultra';"
            "UPDATE q.cron SET next_at = 'infinity', problem = 'x' WHERE name = 'weekly'");
    r = it_must(db, NULL, IT_LIST("jobs", "cron", "list"), 0);
    assert_non_null(strstr(r.out, "ultra cannot be fired: no zone [m: "));
    assert_non_null(strstr(r.out, "Atlantis       never"));
    r = it_must(db, NULL, IT_LIST("jobs", "cron", "list", "--json"), 0);
    assert_string_equal(json(db, &r, "{1,problem}"), "x");
    it_must(db, NULL, IT_LIST("jobs", "cron", "resume", "weekly"), 0);
    it_holds(db,
             "(SELECT problem IS NULL AND next_at < 'infinity' FROM q.cron WHERE name = 'weekly')");
    refused(db, IT_LIST("jobs", "cron", "resume", "ultra"), 1, "Atlantis");
    it_must(db, NULL, IT_LIST("jobs", "cron", "remove", "weekly", "ultra"), 0);
    it_holds(db, "NOT EXISTS (SELECT FROM q.cron)");
    assert_string_equal(audit(db), "jobs cron remove 0 t");
    r = it_must(db, NULL, IT_LIST("jobs", "cron", "list"), 0);
    assert_non_null(strstr(r.out, "There is no schedule"));
}

static void rates(void **state)
{
    (void)state;
    struct it_db *db = fresh();
    it_must(db, NULL, IT_LIST("jobs", "rates", "set", "r", "--cap15=100", "--capday=1000"), 0);
    it_holds(db, "(SELECT cap15 = 100 AND capday = 1000 AND reserve = 0.3::real FROM q.rate)");
    /* Whenever this is run, by this rate's clock it is 12:07:30. */
    it_exec(db, "UPDATE q.rate SET offset_s = 43650 - mod(extract(epoch FROM now()), 86400)");
    it_holds(db, "q.rate_take('r', 60, true) = 60");
    struct it_result r = it_must(db, NULL, IT_LIST("jobs", "rates", "list", "--json"), 0);
    assert_string_equal(json(db, &r, "{0,used15}"), "60");
    assert_string_equal(json(db, &r, "{0,left_live}"), "40");
    assert_string_equal(json(db, &r, "{0,left_background}"), "10");
    assert_string_equal(json(db, &r, "{0,usedday}"), "60");
    double left = atof(json(db, &r, "{0,seconds_left15}"));
    assert_true(left > 300 && left <= 450);
    it_exec(db, "UPDATE q.rate SET win15 = win15 - 1, winday = winday - 1");
    r = it_must(db, NULL, IT_LIST("jobs", "rates", "list", "--json"), 0);
    assert_string_equal(json(db, &r, "{0,used15}"), "0"); /* that was another window */
    assert_string_equal(json(db, &r, "{0,usedday}"), "0");
    it_holds(db, "(SELECT used15 FROM q.rate) = 60");
    it_must(db, NULL,
            IT_LIST("jobs", "rates", "set", "r", "--cap15=5", "--capday=6", "--reserve=0.5"), 0);
    it_must(db, NULL, IT_LIST("jobs", "rates", "set", "r", "--cap15=7", "--capday=8"), 0);
    it_holds(db, "(SELECT cap15 = 7 AND capday = 8 AND reserve = 0.5 FROM q.rate)");
    assert_string_equal(audit(db), "jobs rates set 0 t");
    r = it_must(db, NULL, IT_LIST("jobs", "rates", "list"), 0);
    assert_non_null(strstr(r.out, "0/7"));
    r = it_must(db, NULL, IT_LIST("jobs", "rates", "remove", "r", "none"), 1);
    assert_non_null(strstr(r.err, "no rate \"none\""));
    it_holds(db, "NOT EXISTS (SELECT FROM q.rate)");
    it_holds(db, "(SELECT filter FROM q.audit ORDER BY id DESC LIMIT 1) = '{\"names\": [\"r\"]}'");
}

/* ---- status ---------------------------------------------------------------------------------- */

static void status_is_one_screen(void **state)
{
    (void)state;
    struct it_db *db = scene();
    it_exec(db, "INSERT INTO q.pause (queue, kind) VALUES ('red', 'b'), ('red', NULL);"
                "INSERT INTO q.rate (name, cap15, capday) VALUES ('strava', 100, 1000);"
                "INSERT INTO q.instance (id, host, place, pid, pid_started, version, queue, slots,"
                " draining) OVERRIDING SYSTEM VALUE VALUES (99, 'far', 'p', 1, 1, 'v', 'blue', 4,"
                " true);"
                "INSERT INTO q.flow (queue, instance, claimed, finished, retried, buried, fenced,"
                " rescued, run_ms) VALUES ('blue', 99, 9, 7, 2, 1, 0, 0, 5)");
    struct it_result r = it_must(db, NULL, IT_LIST("status"), 0);
    static const char *const part[] = {
        "queue  jobs  ready  waiting  blocked  running  dead  oldest ready\n",
        "red    b         1        0        0        0     1           3 d\n",
        "red    l         1        0        2        0     0",
        "paused: queue red, kind b, for ",
        "paused: queue red, for ",
        "last minute: queue blue: 7 done, 2 tried again later, 1 dead\n",
        "0/100",
        "blue       4  2, draining",
    };
    for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
        if (strstr(r.out, part[i]) == NULL)
            fail_msg("no \"%s\" in\n%s", part[i], r.out);
    }
    int lines = 0;
    for (const char *p = r.out; (p = strchr(p, '\n')) != NULL; p++)
        lines++;
    assert_true(lines <= 24);
    r = it_must(db, NULL, IT_LIST("status", "--json"), 0);
    assert_string_equal(json(db, &r, "{jobs,0,queue}"), "blue");
    assert_string_equal(json(db, &r, "{paused,1,kind}"), "b");
    assert_string_equal(json(db, &r, "{rates,0,cap15}"), "100");
    assert_string_equal(json(db, &r, "{last_minute,0,finished}"), "7");
    assert_string_equal(json(db, &r, "{instances,0,slots}"), "4");
    assert_string_equal(json(db, &r, "{instances,0,running}"), "2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(filters_choose),
        IT_TEST(states_choose),
        IT_TEST(a_dry_run_touches_nothing),
        IT_TEST(retry_puts_back),
        IT_TEST(cancel_takes_out_or_asks),
        IT_TEST(discard_and_purge_forget),
        IT_TEST(move_leaves_what_runs),
        IT_TEST(ids_that_are_not_there),
        IT_TEST(bad_input_is_refused),
        IT_TEST(many_at_once),
        IT_TEST(pages_are_read_once),
        IT_TEST(many_ids),
        IT_TEST(a_signal_stops_between_pages),
        IT_TEST(a_deadlock_is_no_failure),
        IT_TEST(secrets_are_masked),
        IT_TEST(nothing_is_obeyed),
        IT_TEST(show_knows_everything),
        IT_TEST(pauses_come_and_go),
        IT_TEST(drain_waits),
        IT_TEST(schedules),
        IT_TEST(rates),
        IT_TEST(status_is_one_screen),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
