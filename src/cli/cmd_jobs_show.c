/* waymark jobs show: all that is known of one job. */
#include "cli/cmd_jobs.h"

/* Columns of cmd_show, in order. What is NULL is not printed. */
enum kind_of_column { AS_TEXT, AS_NUMBER, AS_FLAG, AS_TIME, AS_PAYLOAD };
static const struct {
    const char *name;
    enum kind_of_column as;
} column[] = {
    {"state", AS_TEXT},      {"queue", AS_TEXT},        {"kind", AS_TEXT},
    {"prio", AS_NUMBER},     {"attempt", AS_NUMBER},    {"max_attempts", AS_NUMBER},
    {"crashes", AS_NUMBER},  {"athlete", AS_NUMBER},    {"lane", AS_TEXT},
    {"key", AS_TEXT},        {"parent", AS_NUMBER},     {"halts_lane", AS_FLAG},
    {"runs_alone", AS_FLAG}, {"cancel_asked", AS_FLAG}, {"timeout_s", AS_NUMBER},
    {"instance", AS_NUMBER}, {"host", AS_TEXT},         {"pid", AS_NUMBER},
    {"added", AS_TIME},      {"due", AS_TIME},          {"started", AS_TIME},
    {"deadline", AS_TIME},   {"ended", AS_TIME},        {"error", AS_TEXT},
    {"outcome", AS_TEXT},    {"payload", AS_PAYLOAD},   {"lane_halted", AS_FLAG},
    {"fair", AS_NUMBER},
};
enum { CALL_JOB, CALL_NEAR };
enum { NEAR_ROLE, NEAR_ID, NEAR_KIND, NEAR_STATE };

static int64_t id_of(struct cli *c)
{
    struct jobs_filter f;
    CHECK(cli__jobs_filter(c, "done", "done", &f) == 0 && f.nid == 1); /* by the check */
    return f.id[0];
}

int cli_jobs_show_check(struct cli *c)
{
    struct jobs_filter f;
    return cli__jobs_filter(c, "done", "done", &f);
}

static void show_add(struct cli *c, struct db_unit *u)
{
    db_p_i64(u, id_of(c));
    db_add(u, &SQL_jobs_cmd_show_near);
    db_p_i64(u, id_of(c));
}

/* A payload of megabytes is not for a terminal; --json has all of it. */
enum { PAYLOAD_SHOWN = 4000 };

static void show_payload(struct span payload)
{
    struct buf out = {0};
    jobs_mask(payload, &out);
    size_t n = out.n;
    while (n > PAYLOAD_SHOWN && (out.n - n < 4 || ((unsigned char)out.p[n] & 0xc0) == 0x80)) {
        n = n > PAYLOAD_SHOWN + 4 ? PAYLOAD_SHOWN + 4 : n - 1;
    }
    printf("%.*s", (int)n, out.p);
    if (n < out.n) {
        printf(" ... %zu bytes in all, see --json", out.n);
    }
    buf_done(&out);
}

static void show_value(struct cli *c, const struct db_unit *u, int col)
{
    char at[40];
    switch (column[col].as) {
    case AS_TEXT:
        fputs(arena_tame(c->arena, db_get_text(u, CALL_JOB, 0, col, c->arena)), stdout);
        break;
    case AS_NUMBER:
        printf("%lld", (long long)db_get_i64(u, CALL_JOB, 0, col));
        break;
    case AS_FLAG:
        fputs("yes", stdout);
        break;
    case AS_TIME:
        fputs(time_format_iso(db_get_time_us(u, CALL_JOB, 0, col), at), stdout);
        break;
    case AS_PAYLOAD:
        show_payload(db_get_span(u, CALL_JOB, 0, col));
        break;
    }
}

static void show_text(struct cli *c, const struct db_unit *u)
{
    printf("%-13s%lld\n", "job", (long long)id_of(c));
    for (int col = 0; col < (int)COUNT_OF(column); col++) {
        bool silent = db_is_null(u, CALL_JOB, 0, col) ||
                      (column[col].as == AS_FLAG && !db_get_i64(u, CALL_JOB, 0, col));
        if (!silent) {
            printf("%-13s", column[col].name);
            show_value(c, u, col);
            putchar('\n');
        }
    }
    for (int i = 0; i < db_rows(u, CALL_NEAR); i++) {
        printf("%-13s%lld %s, %s\n", db_get_text(u, CALL_NEAR, i, NEAR_ROLE, c->arena),
               (long long)db_get_i64(u, CALL_NEAR, i, NEAR_ID),
               arena_tame(c->arena, db_get_text(u, CALL_NEAR, i, NEAR_KIND, c->arena)),
               db_get_text(u, CALL_NEAR, i, NEAR_STATE, c->arena));
    }
}

static void value_json(struct json_out *j, const struct db_unit *u, int col)
{
    const char *name = column[col].name;
    char at[40];
    switch (column[col].as) {
    case AS_TEXT:
        jo_span(j, name, db_get_span(u, CALL_JOB, 0, col));
        break;
    case AS_NUMBER:
        jo_i64(j, name, db_get_i64(u, CALL_JOB, 0, col));
        break;
    case AS_FLAG:
        jo_bool(j, name, db_get_i64(u, CALL_JOB, 0, col) != 0);
        break;
    case AS_TIME:
        jo_str(j, name, time_format_iso(db_get_time_us(u, CALL_JOB, 0, col), at));
        break;
    case AS_PAYLOAD: /* JSON as it is */
        buf_puts(j->buf, j->comma ? ",\"payload\":" : "\"payload\":");
        jobs_mask(db_get_span(u, CALL_JOB, 0, col), j->buf);
        j->comma = true;
        break;
    }
}

static void show_json(struct cli *c, const struct db_unit *u)
{
    struct buf out = {0};
    struct json_out j = {.buf = &out};
    jo_begin_object(&j, NULL);
    jo_i64(&j, "id", id_of(c));
    for (int col = 0; col < (int)COUNT_OF(column); col++) {
        if (!db_is_null(u, CALL_JOB, 0, col)) {
            value_json(&j, u, col);
        }
    }
    jo_begin_array(&j, "near");
    for (int i = 0; i < db_rows(u, CALL_NEAR); i++) {
        jo_begin_object(&j, NULL);
        jo_span(&j, "role", db_get_span(u, CALL_NEAR, i, NEAR_ROLE));
        jo_i64(&j, "id", db_get_i64(u, CALL_NEAR, i, NEAR_ID));
        jo_span(&j, "kind", db_get_span(u, CALL_NEAR, i, NEAR_KIND));
        jo_span(&j, "state", db_get_span(u, CALL_NEAR, i, NEAR_STATE));
        jo_end_object(&j);
    }
    jo_end_array(&j);
    jo_end_object(&j);
    puts(out.p);
    buf_done(&out);
}

static int show_show(struct cli *c, const struct db_unit *u)
{
    if (db_rows(u, CALL_JOB) == 0) {
        return err_set(&c->err, ERR_DATA, ERR_PERMANENT,
                       "there is no job %lld, neither live nor dead nor in the history, which is "
                       "kept for a week: see waymark jobs list",
                       (long long)id_of(c));
    }
    (c->json ? show_json : show_text)(c, u);
    return 0;
}

struct flow *cli_jobs_show(struct cli *c)
{
    return cli__query_flow(c, &SQL_jobs_cmd_show, show_add, show_show);
}
