/* queue: the queue's SQL functions from several sessions at once: held open, waiting for each
 * other, or hammering in threads. Threads never fail(): they leave a text, which q_threads tells.
 */
#pragma once

#include <pthread.h>

#include "it/load.h"

enum { Q_SESSIONS = 40, Q_SQL = 8192 };

static PGconn *q__session[Q_SESSIONS];
static unsigned q__nsessions;

static inline void q__quiet(void *arg, const PGresult *res)
{
    (void)arg;
    (void)res;
}

/* Closed by q_after. */
static inline PGconn *q_open(struct it_db *db)
{
    assert_true(q__nsessions < Q_SESSIONS);
    PGconn *c = q__session[q__nsessions++] = PQconnectdb(db->url);
    assert_int_equal(PQstatus(c), CONNECTION_OK);
    (void)PQsetNoticeReceiver(c, q__quiet, NULL);
    return c;
}

static inline int q_after(void **state)
{
    while (q__nsessions > 0) {
        PQfinish(q__session[--q__nsessions]);
    }
    return it_after(state);
}
#define Q_TEST(fn) cmocka_unit_test_teardown(fn, q_after)

static inline const char *q__sqlstate(const PGresult *res, char out[6])
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    ExecStatusType status = PQresultStatus(res);
    bool ok = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
    snprintf(out, 6, "%s", ok ? "00000" : state ? state : "08006");
    return out;
}

#define q__FORMAT(sql, fmt)                                                                        \
    char sql[Q_SQL];                                                                               \
    do {                                                                                           \
        va_list ap_;                                                                               \
        va_start(ap_, fmt);                                                                        \
        int n_ = vsnprintf(sql, sizeof(sql), fmt, ap_);                                            \
        va_end(ap_);                                                                               \
        assert_true(n_ >= 0 && (size_t)n_ < sizeof(sql));                                          \
    } while (0)

/* ---- one session, from the test itself ------------------------------------------------------- */

/* SQLSTATE, "00000" if it went well. Valid until the next call. */
static inline const char *q_state(PGconn *c, const char *fmt, ...) IT_PRINTF(2, 3);
static inline const char *q_state(PGconn *c, const char *fmt, ...)
{
    static char state[6];
    q__FORMAT(sql, fmt);
    PGresult *res = PQexec(c, sql);
    (void)q__sqlstate(res, state);
    PQclear(res);
    return state;
}

static inline void q_do(PGconn *c, const char *fmt, ...) IT_PRINTF(2, 3);
static inline void q_do(PGconn *c, const char *fmt, ...)
{
    char state[6];
    q__FORMAT(sql, fmt);
    PGresult *res = PQexec(c, sql);
    if (strcmp(q__sqlstate(res, state), "00000") != 0) {
        fail_msg("%s%s", PQerrorMessage(c), sql);
    }
    PQclear(res);
}

static inline int64_t q_i64(PGconn *c, const char *fmt, ...) IT_PRINTF(2, 3);
static inline int64_t q_i64(PGconn *c, const char *fmt, ...)
{
    q__FORMAT(sql, fmt);
    PGresult *res = PQexec(c, sql);
    if (PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) != 1) {
        fail_msg("%s%s", PQerrorMessage(c), sql);
    }
    int64_t v = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    PQclear(res);
    return v;
}

/* Without waiting for the answer. */
static inline void q_send(PGconn *c, const char *fmt, ...) IT_PRINTF(2, 3);
static inline void q_send(PGconn *c, const char *fmt, ...)
{
    q__FORMAT(sql, fmt);
    assert_int_equal(PQsendQuery(c, sql), 1);
}

/* The answer to q_send: its SQLSTATE, and the first value of the last result with rows. */
static inline const char *q_answer(PGconn *c, int64_t *value)
{
    static char state[6];
    char first[6] = "00000";
    for (PGresult *res; (res = PQgetResult(c)) != NULL; PQclear(res)) {
        if (strcmp(first, "00000") == 0) {
            (void)q__sqlstate(res, first);
        }
        if (value && PQntuples(res) > 0) {
            *value = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
        }
    }
    memcpy(state, first, sizeof(state));
    return state;
}

/* It waits for a lock of another session; false if it does not within a few seconds. */
static inline bool q_waits(struct it_db *db, PGconn *c)
{
    for (int64_t until = it_now_ms() + 10000; it_now_ms() < until; it_pause_ms(5)) {
        if (q_i64(db->pg, "SELECT cardinality(pg_blocking_pids(%d))", PQbackendPID(c)) > 0) {
            return true;
        }
        (void)PQconsumeInput(c);
        if (!PQisBusy(c)) {
            return false;
        }
    }
    return false;
}

/* ---- the queue ------------------------------------------------------------------------------- */

#define Q_MIN "(-32768)::smallint, (-1)::bigint, 0"

/* Jobs of queue q and kind k, from a list of objects without these two. */
#define Q_ADD(objects)                                                                             \
    "SELECT q.add((SELECT jsonb_agg('{\"queue\": \"q\", \"kind\": \"k\"}' || o) FROM "             \
    "jsonb_array_elements('[" objects "]') o))"

/* Takes up to so many of queue q and kind k; how many it got. */
static inline int64_t q_take(PGconn *c, int many, int owner)
{
    return q_i64(c,
                 "SELECT count(*) FROM q.take('q', %d, %d, '{k}', '{NULL}', (-32768)::smallint, "
                 "-1, 0)",
                 many, owner);
}

/* Ends what this owner runs, lanes and all. */
#define Q_FINISH_ALL                                                                               \
    "SELECT q.finish(array_agg(id ORDER BY id), array_agg(attempt ORDER BY id), owner, "           \
    "array_agg(DISTINCT lane) FILTER (WHERE lane IS NOT NULL)) FROM q.job WHERE state = "          \
    "'running' GROUP BY owner"

/* No job is in two places or ended twice, no lane stands still. */
static inline void q_is_sound(struct it_db *db)
{
    it_holds(db, "NOT EXISTS (SELECT FROM (SELECT id FROM q.done UNION ALL SELECT id FROM q.dead "
                 "UNION ALL SELECT id FROM q.job) x GROUP BY id HAVING count(*) > 1)");
    it_holds(db, "q.repair_lanes() = 0");
    it_holds(db, "NOT EXISTS (SELECT FROM q.job WHERE ukey IS NOT NULL AND state <> 'running' "
                 "GROUP BY ukey HAVING count(*) > 1)");
}

/* ---- hammering ------------------------------------------------------------------------------- */

struct q_thread {
    PGconn *c;
    unsigned index;
    uint64_t chance;
    int64_t until_ms;
    void *shared;
    uint64_t turns, fenced, deadlocks;
    bool deadlocks_happen;
    char failed[512];
    pthread_t id;
    void (*turn)(struct q_thread *t);
};

static inline bool qt_goes_on(const struct q_thread *t)
{
    return t->failed[0] == '\0' && it_now_ms() < t->until_ms;
}

/* The result, or NULL: fenced and deadlocks are counted, anything else ends the thread. */
static inline PGresult *qt_ask(struct q_thread *t, const char *fmt, ...) IT_PRINTF(2, 3);
static inline PGresult *qt_ask(struct q_thread *t, const char *fmt, ...)
{
    char sql[Q_SQL], state[6];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(sql, sizeof(sql), fmt, ap);
    va_end(ap);
    PGresult *res = PQexec(t->c, sql);
    if (strcmp(q__sqlstate(res, state), "00000") == 0) {
        return res;
    }
    if (strcmp(state, "WM001") == 0) {
        t->fenced++;
    } else if (strcmp(state, "40P01") == 0) {
        t->deadlocks++;
        if (!t->deadlocks_happen) {
            fprintf(stderr, "deadlock: %s%s\n", PQresultErrorMessage(res), sql);
        }
    } else {
        snprintf(t->failed, sizeof(t->failed), "%s %.300s", PQresultErrorMessage(res), sql);
    }
    PQclear(res);
    if (PQtransactionStatus(t->c) != PQTRANS_IDLE) {
        PQclear(PQexec(t->c, "ROLLBACK"));
    }
    return NULL;
}

static inline bool qt_do(struct q_thread *t, const char *fmt, ...) IT_PRINTF(2, 3);
static inline bool qt_do(struct q_thread *t, const char *fmt, ...)
{
    char sql[Q_SQL];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(sql, sizeof(sql), fmt, ap);
    va_end(ap);
    PGresult *res = qt_ask(t, "%s", sql);
    PQclear(res);
    return res != NULL;
}

static inline void *q__run(void *arg)
{
    struct q_thread *t = arg;
    for (; qt_goes_on(t); t->turns++) {
        t->turn(t);
    }
    return NULL;
}

/* Each calls turn over and over for so long. What the threads counted is printed; returns the
 * deadlocks, of which most tests may have none, since every function locks in one order. */
static inline uint64_t q_threads(struct it_db *db, struct q_thread *t, unsigned n, uint64_t seed,
                                 int64_t ms)
{
    int64_t until = it_now_ms() + ms;
    for (unsigned i = 0; i < n; i++) {
        t[i].c = q_open(db);
        t[i].index = i;
        t[i].chance = seed + i * UINT64_C(0x9e3779b97f4a7c15);
        t[i].until_ms = until;
        assert_int_equal(pthread_create(&t[i].id, NULL, q__run, &t[i]), 0);
    }
    uint64_t turns = 0, fenced = 0, deadlocks = 0;
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(pthread_join(t[i].id, NULL), 0);
        turns += t[i].turns;
        fenced += t[i].fenced;
        deadlocks += t[i].deadlocks;
    }
    print_message("%u threads, %llu turns, %llu fenced, %llu deadlocks\n", n,
                  (unsigned long long)turns, (unsigned long long)fenced,
                  (unsigned long long)deadlocks);
    for (unsigned i = 0; i < n; i++) {
        if (t[i].failed[0]) {
            fail_msg("thread %u: %s", i, t[i].failed);
        }
    }
    return deadlocks;
}
