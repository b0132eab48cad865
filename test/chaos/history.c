/* L: none lost, D: none doubled, O: lanes in order, Q: rates kept; and the queue's own order. */
#include "chaos/chaos.h"

struct rule {
    const char *name;
    const char *offenders; /* a query; each row is one */
};

static const struct rule always[] = {
    {"L: a job is nowhere, or twice",
     "SELECT a.id, a.kind, j.n AS queued, d.n AS done, x.n AS dead FROM chaos.added a"
     " CROSS JOIN LATERAL (SELECT count(*) AS n FROM q.job WHERE id = a.id) j"
     " CROSS JOIN LATERAL (SELECT count(*) AS n FROM q.done WHERE id = a.id) d"
     " CROSS JOIN LATERAL (SELECT count(*) AS n FROM q.dead WHERE id = a.id) x"
     " WHERE j.n + d.n + x.n <> 1"},
    {"L: a job that nobody added", "SELECT id, 'done' FROM q.done WHERE queue = 'chaos' AND id NOT "
                                   "IN (SELECT id FROM chaos.added)"
                                   " UNION ALL SELECT id, 'dead' FROM q.dead WHERE queue = 'chaos'"
                                   "  AND id NOT IN (SELECT id FROM chaos.added)"},
    {"D: more than one outcome of an attempt",
     "SELECT id, attempt, count(*) FROM q.done GROUP BY 1, 2 HAVING count(*) > 1"},
    {"D: a job that is done has not exactly one effect, of the attempt and owner that ended it",
     "SELECT d.id, d.kind, d.attempt, d.owner, count(e.job), min(e.attempt), max(e.attempt),"
     " min(e.owner), max(e.owner)"
     " FROM q.done d LEFT JOIN chaos.effect e ON e.job = d.id"
     " WHERE d.queue = 'chaos' AND d.outcome = 'done' AND d.kind <> 'noop'"
     " GROUP BY 1, 2, 3, 4 HAVING count(e.job) <> 1 OR min(e.attempt) <> d.attempt"
     " OR min(e.owner) <> d.owner"},
    {"D: an effect of a job that is not done",
     "SELECT e.* FROM chaos.effect e"
     " WHERE NOT EXISTS (SELECT FROM q.done d WHERE d.id = e.job AND d.outcome = 'done')"},
    {"O: effects of a lane out of order",
     "SELECT lane, job, seq, before FROM (SELECT lane, job, seq,"
     " lag(job) OVER (PARTITION BY lane ORDER BY seq) AS before"
     " FROM chaos.effect WHERE lane IS NOT NULL) x WHERE before >= job"},
    {"O: two of a lane at once, or the head of a lane behind others",
     "SELECT a.lane, a.id, a.state, b.id, b.state FROM q.job a JOIN q.job b"
     " ON b.lane = a.lane AND b.id < a.id WHERE a.state <> 'blocked'"},
    {"chain: a link that is done has not exactly one follower",
     "SELECT d.id, a.left_to_do, count(f.id) FROM q.done d JOIN chaos.added a USING (id)"
     " LEFT JOIN chaos.added f ON f.parent = a.id WHERE d.outcome = 'done'"
     " GROUP BY 1, 2 HAVING count(f.id) <> least(a.left_to_do, 1)"},
    {"chain: a follower of what is not done",
     "SELECT f.id, f.parent FROM chaos.added f WHERE f.parent IS NOT NULL"
     " AND NOT EXISTS (SELECT FROM q.done d WHERE d.id = f.parent AND d.outcome = 'done')"},
    {"Q: more tokens used than there are",
     "SELECT * FROM q.rate WHERE used15 > cap15 OR usedday > capday"},
    {"Q: more rated jobs done within a window than tokens were taken in it",
     "SELECT r.name, r.used15, count(d.id) FROM q.rate r JOIN q.done d ON d.kind = 'rated'"
     " AND d.started_at >= to_timestamp(r.win15 * 900) WHERE r.name = 'chaos'"
     " GROUP BY 1, 2 HAVING count(d.id) > r.used15"},
};

static const struct rule at_rest[] = {
    {"a job runs without an instance",
     "SELECT * FROM q.job j WHERE state = 'running'"
     " AND NOT EXISTS (SELECT FROM q.instance i WHERE i.id = j.owner)"},
    {"a lane had no head", "SELECT n FROM q.repair_lanes() n WHERE n <> 0"},
    {"not all is done",
     "SELECT id, kind, state, attempt, run_at, owner, lane, last_error FROM q.job"
     " WHERE queue = 'chaos'"},
};

static int show_rows(const PGresult *res)
{
    int n = PQntuples(res);
    for (int r = 0; r < n && r < 10; r++) {
        for (int c = 0; c < PQnfields(res); c++)
            print_error("  %s=%s", PQfname(res, c), PQgetvalue(res, r, c));
        print_error("\n");
    }
    return n;
}

static int check(struct it_db *db, const struct rule *rule, size_t n)
{
    int broken = 0;
    for (size_t i = 0; i < n; i++) {
        PGresult *res = PQexec(db->pg, rule[i].offenders);
        if (PQresultStatus(res) != PGRES_TUPLES_OK)
            fail_msg("%s: %s", rule[i].name, PQerrorMessage(db->pg));
        if (PQntuples(res) > 0) {
            print_error("%s: %d rows\n", rule[i].name, PQntuples(res));
            broken += show_rows(res) > 0;
        }
        PQclear(res);
    }
    return broken;
}

void history_holds(struct it_db *db)
{
    /* One moment for all of them. */
    it_script(db, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    int broken = check(db, always, sizeof(always) / sizeof(always[0]));
    it_script(db, "COMMIT");
    if (broken > 0)
        fail_msg("%d rules broken", broken);
}

void history_ends(struct it_db *db, int64_t limit_ms)
{
    (void)it_eventually(db, limit_ms,
                        "SELECT NOT EXISTS (SELECT FROM q.job WHERE queue = 'chaos')");
    history_holds(db);
    int broken = check(db, at_rest, sizeof(at_rest) / sizeof(at_rest[0]));
    if (broken > 0)
        fail_msg("%d rules broken", broken);
}
