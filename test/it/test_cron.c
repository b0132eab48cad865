/* Schedules: when they fire, against a search through every minute; and that each slot fires once.
 */
#include "it/queue.h"

/* ---- when ------------------------------------------------------------------------------------ */

/* Every minute of real time, with what the zone's clock shows. A schedule that names hours fires
 * when its time is shown for the first time, and at a jump of the clock for what was jumped over.
 * it.slots(spec, from, until) knows nothing of q.cron_next. */
static const char brute_force[] =
    "CREATE TABLE it.minute (at timestamptz PRIMARY KEY, shows timestamp, was timestamp, mi int, h "
    "  int, d int, mo int, w int);"
    "CREATE FUNCTION it.fill(zone text, since timestamptz, until timestamptz) RETURNS void "
    "LANGUAGE sql AS $$"
    "  TRUNCATE it.minute;"
    "  INSERT INTO it.minute SELECT at, s, was, date_part('minute', s), date_part('hour', s),"
    "    date_part('day', s), date_part('month', s), date_part('dow', s) FROM ("
    "    SELECT m AS at, m AT TIME ZONE zone AS s, (m - interval '1 minute') AT TIME ZONE zone AS "
    "was"
    "    FROM generate_series(since, until, interval '1 minute') m) x $$;"
    "CREATE FUNCTION it.matches(c q.cron, m timestamp) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$"
    "  SELECT date_part('minute', m) = ANY (c.minutes) AND date_part('hour', m) = ANY (c.hours)"
    "    AND date_part('month', m) = ANY (c.months)"
    "    AND ((date_part('day', m) = ANY (c.days) AND date_part('dow', m) = ANY (c.weekdays))"
    "      OR (c.any_day AND (date_part('day', m) = ANY (c.days)"
    "        OR date_part('dow', m) = ANY (c.weekdays)))) $$;"
    "CREATE FUNCTION it.slots(c q.cron) RETURNS SETOF timestamptz LANGUAGE sql AS $$"
    "  SELECT x.at FROM it.minute x WHERE mi = ANY (c.minutes) AND h = ANY (c.hours)"
    "    AND mo = ANY (c.months) AND ((d = ANY (c.days) AND w = ANY (c.weekdays))"
    "      OR (c.any_day AND (d = ANY (c.days) OR w = ANY (c.weekdays))))"
    "    AND (c.any_hour OR NOT EXISTS ("
    "      SELECT FROM it.minute y WHERE y.shows = x.shows AND y.at < x.at AND y.at > x.at - "
    "interval "
    "        '26 hours'))"
    "  UNION"
    "  SELECT x.at FROM it.minute x WHERE NOT c.any_hour AND x.shows > x.was + interval '1 minute'"
    "    AND EXISTS (SELECT FROM generate_series(x.was + interval '1 minute', x.shows - interval "
    "      '1 minute', interval '1 minute') g WHERE it.matches(c, g))"
    "  $$;"
    "CREATE INDEX ON it.minute (shows, at);"
    /* What q.cron_next says, one after the other. */
    "CREATE FUNCTION it.walk_cron(c q.cron, since timestamptz, until timestamptz)"
    "  RETURNS SETOF timestamptz LANGUAGE plpgsql AS $$"
    "  DECLARE t timestamptz := since; BEGIN"
    "  LOOP t := q.cron_next(c, t); EXIT WHEN t IS NULL OR t > until; RETURN NEXT t; END LOOP;"
    "  END $$;"
    "CREATE FUNCTION it.cron(of_name text, zone text, mi smallint[], h smallint[], d smallint[], "
    "  mo smallint[], w smallint[], any_day boolean) RETURNS void LANGUAGE sql AS $$"
    "  INSERT INTO q.cron (name, spec, tz, minutes, hours, days, months, weekdays, any_day, "
    "any_hour,"
    "    queue, kind, next_at) VALUES (of_name, '', zone, mi, h, d, mo, w, any_day,"
    "    cardinality(h) = 24, 'q', 'k', 'infinity') $$;"
    "CREATE FUNCTION it.upto(a int, b int) RETURNS smallint[] LANGUAGE sql IMMUTABLE AS $$"
    "  SELECT array_agg(g::smallint) FROM generate_series(a, b) g $$;";

#define ANY_DAY   "it.upto(1, 31)"
#define ANY_MONTH "it.upto(1, 12)"
#define ANY_WDAY  "it.upto(0, 6)"
#define ANY_HOUR  "it.upto(0, 23)"

/* minutes, hours, days, months, weekdays, any_day */
static const char *const spec[] = {
    "'{0}', " ANY_HOUR ", " ANY_DAY ", " ANY_MONTH ", " ANY_WDAY ", false",
    "'{1,15,46}', " ANY_HOUR ", " ANY_DAY ", " ANY_MONTH ", " ANY_WDAY ", false",
    "'{0}', '{0}', " ANY_DAY ", " ANY_MONTH ", " ANY_WDAY ", false",
    "'{30}', '{0}', " ANY_DAY ", " ANY_MONTH ", '{0}', false",
    "'{30}', '{1}', " ANY_DAY ", " ANY_MONTH ", " ANY_WDAY ", false",
    "'{0,15,30,59}', '{2}', " ANY_DAY ", " ANY_MONTH ", " ANY_WDAY ", false",
    "'{30}', '{2,3}', " ANY_DAY ", " ANY_MONTH ", '{0,6}', false",
    "'{50}', '{3}', " ANY_DAY ", " ANY_MONTH ", " ANY_WDAY ", false",
    "it.upto(0, 59), '{1}', " ANY_DAY ", '{3,4,10,11}', '{0}', false",
    "'{5}', '{23}', '{30,31}', " ANY_MONTH ", " ANY_WDAY ", false",
    "'{5}', '{12}', '{30}', '{12}', '{5}', true",
    "'{0}', '{12}', '{13}', " ANY_MONTH ", '{5}', true",
    "'{0}', '{12}', '{13}', " ANY_MONTH ", '{5}', false",
    "'{59}', '{23}', '{29}', '{2}', " ANY_WDAY ", false",
};

enum { DAY_SPECS = 9 /* the first that is about days */ };

/* Zones and weeks in which their clocks do what few expect; a year for the days alone. */
static const struct zone {
    const char *name, *since, *until;
    size_t first_spec;
} zone[] = {
    {"Europe/Zurich", "2024-03-24", "2024-04-07", 0},
    {"Europe/Zurich", "2024-10-20", "2024-11-03", 0},
    {"Europe/Zurich", "2023-12-01", "2025-01-15", DAY_SPECS},
    {"America/New_York", "2025-03-02", "2025-03-16", 0},
    {"America/New_York", "2025-10-26", "2025-11-09", 0},
    {"Australia/Lord_Howe", "2024-03-31", "2024-04-14", 0}, /* by half an hour */
    {"Australia/Lord_Howe", "2024-09-29", "2024-10-13", 0},
    {"America/Sao_Paulo", "2018-02-10", "2018-02-24", 0}, /* at midnight */
    {"America/Sao_Paulo", "2018-10-28", "2018-11-11", 0},
    {"Asia/Kolkata", "2024-03-24", "2024-04-07", 0},
    {"Africa/Casablanca", "2024-03-03", "2024-03-17", 0}, /* winter time in Ramadan */
    {"Africa/Casablanca", "2024-04-07", "2024-04-21", 0},
    {"Pacific/Apia", "2011-09-17", "2011-10-01", 0},
    {"Pacific/Apia", "2011-12-23", "2012-01-06", 0}, /* without 30 December 2011 */
    {"Pacific/Apia", "2012-03-25", "2012-04-08", 0},
    {"Pacific/Chatham", "2024-03-31", "2024-04-14", 0}, /* at a quarter to */
    {"Pacific/Chatham", "2024-09-22", "2024-10-06", 0},
    {"America/St_Johns", "2010-03-07", "2010-03-21", 0}, /* at a minute past midnight */
    {"America/St_Johns", "2010-10-31", "2010-11-14", 0},
    {"UTC", "2024-02-22", "2024-03-07", 0},
};

static struct it_db *with_brute_force(void)
{
    struct it_db *db = it_db_new();
    it_script(db, brute_force);
    return db;
}

static void same_slots(struct it_db *db, const struct zone *z, const char *s)
{
    it_exec(db, "DELETE FROM q.cron; SELECT it.cron('c', '%s', %s)", z->name, s);
    char *wrong = it_text(
        db,
        "WITH want AS (SELECT s FROM q.cron c, it.slots(c) s WHERE s > '%s+00'),"
        " got AS (SELECT s FROM q.cron c, it.walk_cron(c, '%s+00', '%s+00') s)"
        "SELECT coalesce((SELECT string_agg(CASE WHEN got.s IS NULL THEN 'not ' ELSE 'but ' END || "
        "coalesce(want.s, got.s)::text, ', ') FROM want FULL JOIN got ON got.s = want.s WHERE "
        "want.s IS NULL OR got.s IS NULL), '') || CASE WHEN EXISTS (SELECT FROM want) THEN '' ELSE "
        "' none' END",
        z->since, z->since, z->until);
    if (*wrong && strcmp(wrong, " none") != 0) {
        fail_msg("%s %s: %.900s", z->name, s, wrong);
    }
}

static void fires_when_every_minute_is_looked_at(void **state)
{
    (void)state;
    struct it_db *db = with_brute_force();
    for (size_t i = 0; i < sizeof(zone) / sizeof(zone[0]); i++) {
        it_exec(db, "SELECT it.fill('%s', '%s+00', '%s+00')", zone[i].name, zone[i].since,
                zone[i].until);
        it_exec(db, "ANALYZE it.minute");
        for (size_t k = zone[i].first_spec; k < sizeof(spec) / sizeof(spec[0]); k++) {
            same_slots(db, &zone[i], spec[k]);
        }
    }
}

/* From any second on, whatever the session's own zone. */
static void it_does_not_matter_from_where(void **state)
{
    (void)state;
    struct it_db *db = with_brute_force();
    uint64_t chance = load_seed();
    it_exec(db, "SELECT it.cron('c', 'Europe/Zurich', '{0,30}', '{2,3}', " ANY_DAY ", " ANY_MONTH
                ", " ANY_WDAY ", false)");
    it_exec(db, "SELECT it.fill('Europe/Zurich', '2024-01-01+00', '2024-12-31+00');"
                "ANALYZE it.minute");
    it_exec(db, "CREATE TABLE it.want AS SELECT s FROM q.cron c, it.slots(c) s");
    static const char *const own[] = {"UTC", "America/New_York", "Europe/Zurich", "Asia/Kolkata"};
    for (int i = 0; i < 200; i++) {
        /* Half of them around the two changes. */
        int64_t at =
            i % 2 ? 1704153600 + (int64_t)load_random(&chance, 300 * 86400)
                  : (i % 4 ? 1711846800 : 1729990800) - 7200 + (int64_t)load_random(&chance, 14400);
        it_exec(db, "SET timezone = '%s'", own[i % 4]);
        it_holds(db,
                 "(SELECT q.cron_next(c, to_timestamp(%lld)) FROM q.cron c) = (SELECT min(s) FROM "
                 "it.want WHERE s > to_timestamp(%lld))",
                 (long long)at, (long long)at);
    }
}

static void what_never_comes(void **state)
{
    (void)state;
    struct it_db *db = with_brute_force();
    it_exec(db, "SELECT it.cron('never', 'UTC', '{0}', '{0}', '{30,31}', '{2}', " ANY_WDAY
                ", false), it.cron('nothing', 'UTC', '{}', '{}', '{}', '{}', '{}', false),"
                " it.cron('leap', 'UTC', '{0}', '{12}', '{29}', '{2}', '{1}', false)");
    int64_t start = it_now_ms();
    it_holds(db, "(SELECT bool_and(q.cron_next(c, now()) IS NULL) FROM q.cron c WHERE name <> "
                 "'leap')");
    it_holds(db, "(SELECT q.cron_next(c, '2024-03-01') FROM q.cron c WHERE name = 'leap') = "
                 "'2044-02-29 12:00+00'");
    it_holds(db, "(SELECT bool_and(q.cron_next(c, NULL) IS NULL AND q.cron_next(c, 'infinity') IS "
                 "NULL AND q.cron_next(c, '-infinity') IS NULL) FROM q.cron c)");
    /* Fired by mistake, it does not fire again; nor does it keep others from anything. */
    it_exec(db, "DELETE FROM q.cron WHERE name = 'leap';"
                "UPDATE q.cron SET next_at = now() - interval '1 h', catchup = 'all'");
    it_holds(db, "q.cron_fire() = 2 AND q.cron_fire() = 0");
    it_holds(db, "(SELECT bool_and(next_at = 'infinity') FROM q.cron)");
    it_holds(db, "(SELECT next_ms IS NULL FROM q.due('q', '{k}', 0::smallint, 0))");
    assert_true(it_now_ms() - start < 5000);
}

/* ---- once ------------------------------------------------------------------------------------ */

static void add_schedule(struct it_db *db, const char *name, const char *catchup, const char *next)
{
    it_exec(db,
            "SELECT it.cron('%s', 'UTC', '{0,10,20,30,40,50}', " ANY_HOUR ", " ANY_DAY
            ", " ANY_MONTH ", " ANY_WDAY ", false);"
            "UPDATE q.cron SET catchup = '%s', next_at = %s WHERE name = '%s'",
            name, catchup, next, name);
}

static void sixteen_race_on_a_slot(void **state)
{
    (void)state;
    struct it_db *db = with_brute_force();
    PGconn *c[16];
    for (int i = 0; i < 16; i++) {
        c[i] = q_open(db);
    }
    for (int round = 0; round < 10; round++) {
        it_exec(db, "DELETE FROM q.cron; DELETE FROM q.job");
        add_schedule(db, "a", "one", "date_trunc('hour', now())");
        add_schedule(db, "b", "all", "date_trunc('hour', now())");
        int64_t slots_of_b = it_i64(db, "SELECT cardinality(q.cron_slots(c, now())) FROM q.cron c "
                                        "WHERE name = 'b'");
        for (int i = 0; i < 16; i++) {
            q_send(c[i], "SELECT q.cron_fire()");
        }
        int64_t fired = 0;
        for (int i = 0; i < 16; i++) {
            int64_t n = 0;
            assert_string_equal(q_answer(c[i], &n), "00000");
            fired += n;
        }
        assert_in_range(fired, 1 + slots_of_b, 2 + slots_of_b); /* a slot may have come since */
        it_holds(db, "(SELECT count(*) FROM q.job WHERE ukey = 'cron:a') = 1");
        it_holds(db, "(SELECT count(*) = %lld FROM q.job)", (long long)fired);
        it_holds(db, "(SELECT bool_and(next_at > now() AND last_at <= now()) FROM q.cron)");
    }
    q_is_sound(db);
}

/* Whoever dies while he fires leaves the slot to others. */
static void a_slot_is_not_lost_with_its_firer(void **state)
{
    (void)state;
    struct it_db *db = with_brute_force();
    PGconn *a = q_open(db), *b = q_open(db);
    add_schedule(db, "a", "one", "date_trunc('hour', now())");
    q_do(a, "BEGIN; SELECT q.cron_fire()");
    assert_int_equal(q_i64(b, "SELECT q.cron_fire()"), 0); /* does not wait */
    it_exec(db, "SELECT pg_terminate_backend(%d)", PQbackendPID(a));
    assert_true(it_eventually(db, 5000,
                              it_format("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid "
                                        "= %d)",
                                        PQbackendPID(a))) >= 0);
    assert_int_equal(q_i64(b, "SELECT q.cron_fire()"), 1);
    it_holds(db, "(SELECT count(*) FROM q.job) = 1");
}

/* A job for the slot before still queued, or running. */
static void slots_join_or_follow(void **state)
{
    (void)state;
    struct it_db *db = with_brute_force();
    PGconn *a = q_open(db);
    add_schedule(db, "a", "one", "now() - interval '1 s'");
    it_holds(db, "q.cron_fire() = 1");
    it_exec(db, "UPDATE q.cron SET next_at = now() - interval '1 s'");
    it_holds(db, "q.cron_fire() = 1");
    it_holds(db, "(SELECT count(*) FROM q.job) = 1");
    assert_int_equal(q_take(a, 9, 1), 1);
    it_exec(db, "UPDATE q.cron SET next_at = now() - interval '1 s'");
    it_holds(db, "q.cron_fire() = 1");
    it_holds(db, "(SELECT array_agg(state ORDER BY id) FROM q.job) = '{running,ready}'");
    it_holds(db, "(SELECT bool_and(payload ? 'slot') FROM q.job)");
}

static void downtime_is_made_up_for_as_asked(void **state)
{
    (void)state;
    struct it_db *db = with_brute_force();
    static const struct {
        const char *catchup, *since;
        int jobs, missed;
    } row[] = {
        {"none", "3 hours", 0, 18},    {"one", "3 hours", 1, 18},   {"all", "3 hours", 18, 18},
        {"all", "30 days", 100, 1000}, {"one", "30 days", 1, 1000}, {"none", "30 days", 0, 1000},
        {"one", "30 years", 1, 1000},  {"all", "0 s", 1, 0},        {"none", "0 s", 1, 0},
        {"none", "-1 hour", 0, 0},     {"all", "-30 years", 0, 0},
    };
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        it_exec(db, "DELETE FROM q.cron; DELETE FROM q.job");
        if (row[i].since[0] == '0') {
            add_schedule(db, "a", row[i].catchup, "clock_timestamp()");
        } else {
            /* In the middle between two slots, so that none comes while we look. */
            add_schedule(db, "a", row[i].catchup,
                         it_format("date_bin('10 min', now(), '2000-01-01+00') - interval '%s' + "
                                   "interval '10 min'",
                                   row[i].since));
        }
        it_exec(db, "SELECT q.cron_fire()");
        it_holds(db,
                 "(SELECT abs(count(*) - %d) <= 1 FROM q.job) AND (SELECT %d = 0 OR (SELECT "
                 "count(*) > 0 FROM q.job))",
                 row[i].jobs, row[i].jobs);
        it_holds(db, "(SELECT missed >= %d - 1 AND missed <= %d + 800 FROM q.cron)", row[i].missed,
                 row[i].missed);
        /* What is made up for are the last ones, up to this one. */
        it_holds(db,
                 "NOT EXISTS (SELECT FROM q.job) OR (SELECT max((payload->>'slot')::timestamptz) "
                 "> now() - interval '11 min' FROM q.job)");
        it_holds(db, "(SELECT next_at > now() FROM q.cron) AND q.cron_fire() = 0");
    }
}

static void paused_and_broken_ones(void **state)
{
    (void)state;
    struct it_db *db = with_brute_force();
    add_schedule(db, "paused", "all", "now() - interval '1 h'");
    add_schedule(db, "broken", "one", "now() - interval '1 h'");
    add_schedule(db, "good", "one", "now() - interval '1 h'");
    it_exec(db, "UPDATE q.cron SET paused = true WHERE name = 'paused';"
                "UPDATE q.cron SET tz = 'Mars/Olympus' WHERE name = 'broken'");
    /* Through what every claimer calls. */
    it_exec(db, "SELECT * FROM q.due('q', '{k}', 0::smallint, 0)");
    it_holds(db, "(SELECT array_agg(ukey) FROM q.job) = '{cron:good}'");
    it_holds(db, "(SELECT next_at = 'infinity' AND problem LIKE '%%Mars/Olympus%%' FROM q.cron "
                 "WHERE name = 'broken')");
    it_holds(db, "(SELECT next_at < now() AND missed = 0 FROM q.cron WHERE name = 'paused')");
    it_holds(db, "(SELECT next_ms > 0 FROM q.due('q', '{k}', 0::smallint, 0))");
    /* Mended, it fires. */
    it_exec(db, "UPDATE q.cron SET tz = 'UTC', next_at = now() WHERE name = 'broken'");
    it_holds(db, "q.cron_fire() = 1");
    it_holds(db, "(SELECT problem IS NULL FROM q.cron WHERE name = 'broken')");
    assert_string_equal(it_try(db, "UPDATE q.cron SET next_at = NULL"), "23502");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        Q_TEST(fires_when_every_minute_is_looked_at),
        Q_TEST(it_does_not_matter_from_where),
        Q_TEST(what_never_comes),
        Q_TEST(sixteen_race_on_a_slot),
        Q_TEST(a_slot_is_not_lost_with_its_firer),
        Q_TEST(slots_join_or_follow),
        Q_TEST(downtime_is_made_up_for_as_asked),
        Q_TEST(paused_and_broken_ones),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
