/* What syncs came to, as a table or JSON; waymark sync status. */
#include "cli/cmd_jobs.h"
#include "cli/cmd_sync.h"

#include <math.h>

static const char *count(struct cli *c, const struct db_unit *u, unsigned call, int row, int col)
{
    return arena_printf(c->arena, "%lld", (long long)db_get_i64(u, call, row, col));
}

void cli__sync_table(struct cli *c, const struct db_unit *u, unsigned call)
{
    static const char *const head[] = {">athlete", "mode",     "state", ">pages",     ">listed",
                                       ">new",     ">changed", ">gone", ">unreadable"};
    struct cli_table t;
    cli_table_init(&t, c->arena, head, COUNT_OF(head));
    for (int i = 0; i < db_rows(u, call); i++) {
        const char **cell = cli_table_row(&t);
        for (int k = SYNC_ATHLETE; k <= SYNC_PARKED; k++) {
            cell[k] = k == SYNC_MODE || k == SYNC_STATE ? db_get_text(u, call, i, k, c->arena)
                                                        : count(c, u, call, i, k);
        }
    }
    cli_table_print(&t, stdout);
    for (int i = 0; i < db_rows(u, call); i++) {
        if (!db_is_null(u, call, i, SYNC_PROBLEM)) {
            printf("%s: %s\n", count(c, u, call, i, SYNC_ATHLETE),
                   arena_tame(c->arena, db_get_text(u, call, i, SYNC_PROBLEM, c->arena)));
        }
    }
}

void cli__sync_json(struct json_out *j, const struct db_unit *u, unsigned call)
{
    static const char *const key[] = {"athlete", "mode",    "state", "pages",      "listed",
                                      "new",     "changed", "gone",  "unreadable", "problem"};
    jo_begin_array(j, "syncs");
    for (int i = 0; i < db_rows(u, call); i++) {
        jo_begin_object(j, NULL);
        for (int k = SYNC_ATHLETE; k <= SYNC_PROBLEM; k++) {
            if (k == SYNC_MODE || k == SYNC_STATE) {
                jo_span(j, key[k], db_get_span(u, call, i, k));
            } else if (k == SYNC_PROBLEM && db_is_null(u, call, i, k)) {
                jo_null(j, key[k]);
            } else if (k == SYNC_PROBLEM) {
                jo_span(j, key[k], db_get_span(u, call, i, k));
            } else {
                jo_i64(j, key[k], db_get_i64(u, call, i, k));
            }
        }
        jo_end_object(j);
    }
    jo_end_array(j);
}

/* ---- waymark sync status -----------------------------------------------------------------------
 */

/* Columns of SQL_ingest_syncs. */
enum {
    ST_ATHLETE,
    ST_CONNECTED,
    ST_SYNC,
    ST_MODE,
    ST_STATE,
    ST_FROM,
    ST_PAGES,
    ST_LISTED,
    ST_ADDED,
    ST_CHANGED,
    ST_GONE,
    ST_PARKED,
    ST_PROBLEM,
    ST_STARTED,
    ST_FINISHED,
    ST_WHO,
    ST_STUCK,
    ST_CALLS
};

struct status_flow {
    struct flow f;
    struct cli *c;
    struct db_unit u;
};
#define STATUS_STEPS(STEP)                                                                         \
    STEP(status, ask)                                                                              \
    STEP(status, show)
FLOW_STEPS(status, STATUS_STEPS);

static enum flow_next status_ask(struct flow *f)
{
    struct status_flow *s = container_of(f, struct status_flow, f);
    db_unit_init(&s->u, s->c->app.pool, f->arena, DB_READONLY);
    db_add(&s->u, &SQL_ingest_syncs);
    db_add(&s->u, &SQL_jobs_cmd_rates);
    db_submit(&s->u);
    return flow_wait(f, &s->u.op, status_STEP_show, 60000);
}

static const char *moment(struct cli *c, const struct db_unit *u, int row, int col)
{
    char text[40];
    if (db_is_null(u, 0, row, col)) {
        return "";
    }
    time_format_iso(db_get_time_us(u, 0, row, col), text);
    text[16] = '\0'; /* to the minute */
    text[10] = ' ';
    return arena_strdup(c->arena, text);
}

static void status_table(struct cli *c, const struct db_unit *u)
{
    static const char *const head[] = {">athlete", "latest",        "state",    "ended (UTC)",
                                       ">listed",  ">new",          ">changed", ">gone",
                                       ">parked",  ">calls waiting"};
    struct cli_table t;
    cli_table_init(&t, c->arena, head, COUNT_OF(head));
    for (int i = 0; i < db_rows(u, 0); i++) {
        static const int numbers[] = {ST_LISTED, ST_ADDED, ST_CHANGED, ST_GONE, ST_STUCK, ST_CALLS};
        const char **cell = cli_table_row(&t);
        bool never = db_is_null(u, 0, i, ST_SYNC);
        cell[0] = count(c, u, 0, i, ST_ATHLETE);
        cell[1] = never ? "none yet" : db_get_text(u, 0, i, ST_MODE, c->arena);
        cell[2] = db_get_i64(u, 0, i, ST_CONNECTED) == 0 ? "not connected"
                  : never                                ? ""
                                                         : db_get_text(u, 0, i, ST_STATE, c->arena);
        cell[3] = moment(c, u, i, ST_FINISHED);
        for (size_t k = 0; k < COUNT_OF(numbers); k++) {
            cell[4 + k] = never && k < 4 ? "" : count(c, u, 0, i, numbers[k]);
        }
    }
    cli_table_print(&t, stdout);
    for (int i = 0; i < db_rows(u, 0); i++) {
        if (!db_is_null(u, 0, i, ST_PROBLEM)) {
            printf("%s: %s\n", count(c, u, 0, i, ST_ATHLETE),
                   arena_tame(c->arena, db_get_text(u, 0, i, ST_PROBLEM, c->arena)));
        }
    }
}

static void put_moment(struct json_out *j, const char *key, const struct db_unit *u, int row,
                       int col)
{
    char at[40];
    jo_str(j, key,
           db_is_null(u, 0, row, col) ? NULL : time_format_iso(db_get_time_us(u, 0, row, col), at));
}

static void put_text(struct json_out *j, const char *key, const struct db_unit *u, int row, int col)
{
    if (db_is_null(u, 0, row, col)) {
        jo_null(j, key);
    } else {
        jo_span(j, key, db_get_span(u, 0, row, col));
    }
}

static void status_json(const struct db_unit *u)
{
    static const struct {
        int col;
        const char *key;
    } numbers[] = {{ST_PAGES, "pages"},     {ST_LISTED, "listed"},      {ST_ADDED, "new"},
                   {ST_CHANGED, "changed"}, {ST_GONE, "gone"},          {ST_PARKED, "unreadable"},
                   {ST_STUCK, "parked"},    {ST_CALLS, "calls_waiting"}};
    struct buf out = {0};
    struct json_out j = {.buf = &out};
    jo_begin_object(&j, NULL);
    jo_begin_array(&j, "athletes");
    for (int i = 0; i < db_rows(u, 0); i++) {
        jo_begin_object(&j, NULL);
        jo_i64(&j, "athlete", db_get_i64(u, 0, i, ST_ATHLETE));
        jo_bool(&j, "connected", db_get_i64(u, 0, i, ST_CONNECTED) != 0);
        put_text(&j, "mode", u, i, ST_MODE);
        put_text(&j, "state", u, i, ST_STATE);
        put_moment(&j, "from", u, i, ST_FROM);
        put_moment(&j, "started_at", u, i, ST_STARTED);
        put_moment(&j, "finished_at", u, i, ST_FINISHED);
        put_text(&j, "requested_by", u, i, ST_WHO);
        put_text(&j, "problem", u, i, ST_PROBLEM);
        for (size_t k = 0; k < COUNT_OF(numbers); k++) {
            jo_i64(&j, numbers[k].key, db_get_i64(u, 0, i, numbers[k].col));
        }
        jo_end_object(&j);
    }
    jo_end_array(&j);
    cli__jobs_rates_json(&j, "rates", u, 1);
    jo_end_object(&j);
    puts(out.p);
    buf_done(&out);
}

static enum flow_next status_show(struct flow *f)
{
    struct status_flow *s = container_of(f, struct status_flow, f);
    if (s->c->json) {
        status_json(&s->u);
        return FLOW_DONE;
    }
    if (db_rows(&s->u, 0) == 0) {
        puts("Nobody has connected to Strava yet.");
    } else {
        status_table(s->c, &s->u);
    }
    if (db_rows(&s->u, 1) > 0) {
        putchar('\n');
        cli__jobs_rates_table(s->c, &s->u, 1);
    }
    return FLOW_DONE;
}

static void status_end(struct flow *f)
{
    db_unit_done(&container_of(f, struct status_flow, f)->u);
}

static const struct flow_def status_def = {"sync_status", status_steps, status_STEP_COUNT,
                                           status_end};

struct flow *cli_sync_status(struct cli *c)
{
    struct status_flow *s = flow_new(c->app.loop, &status_def, sizeof(*s), 0);
    s->c = c;
    return &s->f;
}
