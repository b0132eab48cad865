/* What processing made, as text; and the same input in another database. */
#include "it/it.h"

/* Nothing here depends on the way the rows came about: no ids of their own, no dates, revisions or
 * epochs. Numbers are printed so that they read back exactly. */
static const char dump_sql[] =
    "SELECT line FROM ("
    " SELECT format('section %s %s %s %s %s %s', activity_id, route_id, athlete_id, start_m, end_m,"
    "               md5(ST_AsEWKB(section_track::geometry))) AS line FROM route_sections"
    " UNION ALL"
    " SELECT format('intersection %s %s %s', activity_id, route_id,"
    "               md5(ST_AsEWKB(intersection_track::geometry))) FROM intersections"
    " UNION ALL"
    " SELECT format('relevant %s %s %s', activity_id, route_id, relevant) FROM relevant_activities"
    " UNION ALL"
    " SELECT format('stats %s %s %s %s', athlete_id, route_id, covered_length,"
    "               CASE WHEN stale THEN 'STALE' ELSE '' END) FROM route_stats"
    " UNION ALL"
    " SELECT format('activity %s %s %s', s.activity_id, s.revision = a.revision, s.note)"
    " FROM activity_state s JOIN activities a ON a.id = s.activity_id"
    " UNION ALL"
    " SELECT format('route %s %s %s', s.route_id, s.revision = r.revision, s.note)"
    " FROM route_state s JOIN routes r ON r.id = s.route_id"
    " UNION ALL"
    " SELECT format('processing %s %s %s', activity_id, route_id, processed) FROM processing"
    ") x ORDER BY line COLLATE \"C\"";

static PGresult *dump(struct it_db *db)
{
    return it_ask(db, dump_sql, 0, NULL);
}

char *it_tables(struct it_db *db)
{
    PGresult *res = dump(db);
    size_t size = 1, n = 0;
    for (int i = 0; i < PQntuples(res); i++)
        size += (size_t)PQgetlength(res, i, 0) + 1;
    char *text = it_keep(malloc(size));
    for (int i = 0; i < PQntuples(res); i++) {
        size_t length = (size_t)PQgetlength(res, i, 0);
        memcpy(text + n, PQgetvalue(res, i, 0), length);
        n += length;
        text[n++] = '\n';
    }
    text[n] = '\0';
    return text;
}

char *it_digest(struct it_db *db)
{
    return it_text(db,
                   "SELECT md5(coalesce(string_agg(line, E'\\n' ORDER BY line COLLATE \"C\"), "
                   "'')) FROM (%s) d",
                   dump_sql);
}

void it_same_tables(struct it_db *got, struct it_db *want)
{
    PGresult *a = dump(got), *b = dump(want);
    int i = 0, j = 0, differences = 0;
    while (i < PQntuples(a) || j < PQntuples(b)) {
        int order = i == PQntuples(a)   ? 1
                    : j == PQntuples(b) ? -1
                                        : strcmp(PQgetvalue(a, i, 0), PQgetvalue(b, j, 0));
        if (order != 0 && differences++ < 20)
            print_error("%s %s\n", order < 0 ? "too much:" : "missing: ",
                        order < 0 ? PQgetvalue(a, i, 0) : PQgetvalue(b, j, 0));
        i += order <= 0;
        j += order >= 0;
    }
    if (differences > 0)
        fail_msg("%d rows of %s and %s differ", differences, got->name, want->name);
}

/* ---- the same input elsewhere -------------------------------------------------------------- */

static void begin_copy(struct it_db *db, const char *sql, ExecStatusType want)
{
    PGresult *res = PQexec(db->pg, sql);
    if (PQresultStatus(res) != want)
        fail_msg("%s: %s", sql, PQerrorMessage(db->pg));
    PQclear(res);
}

static void end_copy(struct it_db *db)
{
    for (PGresult *res; (res = PQgetResult(db->pg)) != NULL;) {
        if (PQresultStatus(res) != PGRES_COMMAND_OK)
            fail_msg("%s", PQerrorMessage(db->pg));
        PQclear(res);
    }
}

static void copy_rows(struct it_db *from, struct it_db *to, const char *table, const char *columns)
{
    char *row = NULL;
    int n;
    begin_copy(to, it_format("COPY %s (%s) FROM STDIN", table, columns), PGRES_COPY_IN);
    begin_copy(from, it_format("COPY (SELECT %s FROM %s ORDER BY 1) TO STDOUT", columns, table),
               PGRES_COPY_OUT);
    while ((n = PQgetCopyData(from->pg, &row, 0)) > 0) {
        assert_int_equal(PQputCopyData(to->pg, row, n), 1);
        PQfreemem(row);
    }
    assert_int_equal(n, -1);
    assert_int_equal(PQputCopyEnd(to->pg, NULL), 1);
    end_copy(from);
    end_copy(to);
}

void it_copy_inputs(struct it_db *from, struct it_db *to)
{
    copy_rows(from, to, "athletes", "id, created_at, backfill_status");
    copy_rows(from, to, "routes", "id, created_at, track, description, display_name, tolerance_m");
    copy_rows(from, to, "activities",
              "id, inserted_at, athlete_id, name, distance, moving_time, elapsed_time, "
              "total_elevation_gain, activity_type, start_date, local_tz, summary_track, "
              "start_latlng, end_latlng, elev_low, elev_high, external_id");
    copy_rows(from, to, "activity_tracks", "activity_id, track, origin");
}

struct it_db *it_recomputed(struct it_db *db)
{
    struct it_db *fresh = it_db_new();
    it_copy_inputs(db, fresh);
    it_process(fresh);
    return fresh;
}

void it_same_as_recomputed(struct it_db *db)
{
    struct it_db *fresh = it_db_again();
    it_copy_inputs(db, fresh);
    it_process(fresh);
    it_same_tables(db, fresh);
}
