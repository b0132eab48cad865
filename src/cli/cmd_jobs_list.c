/* waymark jobs list. */
#include "cli/cmd_jobs.h"

enum { ERROR_CHARS = 60 };
#define ALL_STATES  "ready waiting blocked running dead done"
#define LIVE_STATES "ready waiting blocked running dead"

enum {
    COL_ID,
    COL_QUEUE,
    COL_KIND,
    COL_STATE,
    COL_PRIO,
    COL_ATTEMPT,
    COL_MAX,
    COL_ATHLETE,
    COL_LANE,
    COL_AT,
    COL_AGE,
    COL_ERROR
};

int cli_jobs_list_check(struct cli *c)
{
    struct jobs_filter f;
    int64_t limit;
    if (cli__jobs_filter(c, ALL_STATES, LIVE_STATES, &f) != 0) {
        return -1;
    }
    return cli_option_i64(c, "limit", 1, 1000000, 50, &limit);
}

static void list_add(struct cli *c, struct db_unit *u)
{
    struct jobs_filter f;
    int64_t limit;
    CHECK(cli__jobs_filter(c, ALL_STATES, LIVE_STATES, &f) == 0 &&
          cli_option_i64(c, "limit", 1, 1000000, 50, &limit) == 0); /* by the check */
    db_p_text_array(u, f.state, f.nstate);
    cli__jobs_add_filter(u, &f, f.id, f.nid, true);
    db_p_i64(u, limit);
}

static void list_json(const struct db_unit *u)
{
    struct buf out = {0};
    struct json_out j = {.buf = &out};
    char at[40];
    jo_begin_array(&j, NULL);
    for (int i = 0; i < db_rows(u, 0); i++) {
        jo_begin_object(&j, NULL);
        jo_i64(&j, "id", db_get_i64(u, 0, i, COL_ID));
        jo_span(&j, "queue", db_get_span(u, 0, i, COL_QUEUE));
        jo_span(&j, "kind", db_get_span(u, 0, i, COL_KIND));
        jo_span(&j, "state", db_get_span(u, 0, i, COL_STATE));
        if (!db_is_null(u, 0, i, COL_PRIO)) {
            jo_i64(&j, "prio", db_get_i64(u, 0, i, COL_PRIO));
            jo_i64(&j, "max_attempts", db_get_i64(u, 0, i, COL_MAX));
        }
        jo_i64(&j, "attempt", db_get_i64(u, 0, i, COL_ATTEMPT));
        if (!db_is_null(u, 0, i, COL_ATHLETE)) {
            jo_i64(&j, "athlete", db_get_i64(u, 0, i, COL_ATHLETE));
        }
        if (!db_is_null(u, 0, i, COL_LANE)) {
            jo_span(&j, "lane", db_get_span(u, 0, i, COL_LANE));
        }
        jo_str(&j, "at", time_format_iso(db_get_time_us(u, 0, i, COL_AT), at));
        jo_f64(&j, "age_seconds", db_get_f64(u, 0, i, COL_AGE), 1);
        if (!db_is_null(u, 0, i, COL_ERROR)) {
            jo_span(&j, "error", db_get_span(u, 0, i, COL_ERROR));
        }
        jo_end_object(&j);
    }
    jo_end_array(&j);
    puts(out.p);
    buf_done(&out);
}

static const char *number_or_none(struct cli *c, const struct db_unit *u, int row, int col)
{
    return db_is_null(u, 0, row, col) ? "" : cli__jobs_i64(c, db_get_i64(u, 0, row, col));
}

static int list_show(struct cli *c, const struct db_unit *u)
{
    static const char *const head[] = {">id",      "queue",    "kind", "state", ">prio",
                                       ">attempt", ">athlete", "lane", ">age",  "error"};
    struct cli_table t;
    if (c->json) {
        list_json(u);
        return 0;
    }
    if (db_rows(u, 0) == 0) {
        puts("There is no such job.");
        return 0;
    }
    cli_table_init(&t, c->arena, head, COUNT_OF(head));
    for (int i = 0; i < db_rows(u, 0); i++) {
        const char **cell = cli_table_row(&t);
        cell[0] = number_or_none(c, u, i, COL_ID);
        cell[1] = db_get_text(u, 0, i, COL_QUEUE, c->arena);
        cell[2] = db_get_text(u, 0, i, COL_KIND, c->arena);
        cell[3] = db_get_text(u, 0, i, COL_STATE, c->arena);
        cell[4] = number_or_none(c, u, i, COL_PRIO);
        cell[5] = number_or_none(c, u, i, COL_ATTEMPT);
        cell[6] = number_or_none(c, u, i, COL_ATHLETE);
        cell[7] = db_get_text(u, 0, i, COL_LANE, c->arena);
        cell[7] = cell[7] ? cell[7] : "";
        cell[8] = cli__jobs_age(c, db_get_f64(u, 0, i, COL_AGE));
        cell[9] = cli__jobs_cut(c, db_get_text(u, 0, i, COL_ERROR, c->arena), ERROR_CHARS);
    }
    int n = db_rows(u, 0);
    int64_t limit;
    cli_table_print(&t, stdout);
    if (cli_option_i64(c, "limit", 1, 1000000, 50, &limit) == 0 && n == limit) {
        printf("the first %d; --limit N shows more, --state, --queue and others choose\n", n);
    }
    return 0;
}

struct flow *cli_jobs_list(struct cli *c)
{
    return cli__query_flow(c, &SQL_jobs_cmd_list, list_add, list_show);
}
