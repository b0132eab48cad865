/* waymark jobs rates list, set, remove. */
#include "cli/cmd_jobs.h"

#include <math.h>

enum {
    COL_NAME,
    COL_USED15,
    COL_CAP15,
    COL_USEDDAY,
    COL_CAPDAY,
    COL_LIVE,
    COL_BACKGROUND,
    COL_LEFT15_S,
    COL_LEFTDAY_S,
    COL_RESERVE,
    COL_PAUSED_S,
    COL_LEARNT
};

static const char *used_of(struct cli *c, const struct db_unit *u, unsigned call, int row, int used)
{
    return arena_printf(c->arena, "%lld/%lld", (long long)db_get_i64(u, call, row, used),
                        (long long)db_get_i64(u, call, row, used + 1));
}

void cli__jobs_rates_table(struct cli *c, const struct db_unit *u, unsigned call)
{
    static const char *const head[] = {"rate",     ">quarter hour", ">ends in",         ">day",
                                       ">ends in", ">left, live",   ">left, background"};
    struct cli_table t;
    cli_table_init(&t, c->arena, head, COUNT_OF(head));
    for (int i = 0; i < db_rows(u, call); i++) {
        const char **cell = cli_table_row(&t);
        double paused = db_get_f64(u, call, i, COL_PAUSED_S);
        cell[0] = db_get_text(u, call, i, COL_NAME, c->arena);
        if (paused > 0) {
            cell[0] =
                arena_printf(c->arena, "%s (paused for %s)", cell[0], cli__jobs_age(c, paused));
        }
        cell[1] = used_of(c, u, call, i, COL_USED15);
        cell[2] = arena_printf(c->arena, "%.0f s", ceil(db_get_f64(u, call, i, COL_LEFT15_S)));
        cell[3] = used_of(c, u, call, i, COL_USEDDAY);
        cell[4] = cli__jobs_age(c, db_get_f64(u, call, i, COL_LEFTDAY_S));
        cell[5] = cli__jobs_i64(c, db_get_i64(u, call, i, COL_LIVE));
        cell[6] = cli__jobs_i64(c, db_get_i64(u, call, i, COL_BACKGROUND));
    }
    cli_table_print(&t, stdout);
}

void cli__jobs_rates_json(struct json_out *j, const char *key, const struct db_unit *u,
                          unsigned call)
{
    jo_begin_array(j, key);
    for (int i = 0; i < db_rows(u, call); i++) {
        char at[40];
        jo_begin_object(j, NULL);
        jo_span(j, "name", db_get_span(u, call, i, COL_NAME));
        jo_i64(j, "used15", db_get_i64(u, call, i, COL_USED15));
        jo_i64(j, "cap15", db_get_i64(u, call, i, COL_CAP15));
        jo_i64(j, "usedday", db_get_i64(u, call, i, COL_USEDDAY));
        jo_i64(j, "capday", db_get_i64(u, call, i, COL_CAPDAY));
        jo_i64(j, "left_live", db_get_i64(u, call, i, COL_LIVE));
        jo_i64(j, "left_background", db_get_i64(u, call, i, COL_BACKGROUND));
        jo_f64(j, "seconds_left15", db_get_f64(u, call, i, COL_LEFT15_S), 1);
        jo_f64(j, "seconds_leftday", db_get_f64(u, call, i, COL_LEFTDAY_S), 1);
        jo_f64(j, "reserve", db_get_f64(u, call, i, COL_RESERVE), 3);
        if (db_get_f64(u, call, i, COL_PAUSED_S) > 0) {
            jo_f64(j, "paused_seconds", db_get_f64(u, call, i, COL_PAUSED_S), 1);
        }
        if (!db_is_null(u, call, i, COL_LEARNT)) {
            jo_str(j, "learnt_at", time_format_iso(db_get_time_us(u, call, i, COL_LEARNT), at));
        }
        jo_end_object(j);
    }
    jo_end_array(j);
}

static int list_show(struct cli *c, const struct db_unit *u)
{
    if (c->json) {
        struct buf out = {0};
        struct json_out j = {.buf = &out};
        cli__jobs_rates_json(&j, NULL, u, 0);
        puts(out.p);
        buf_done(&out);
    } else if (db_rows(u, 0) == 0) {
        puts("There is no rate: waymark jobs rates set NAME --cap15 N --capday N");
    } else {
        cli__jobs_rates_table(c, u, 0);
    }
    return 0;
}

struct flow *cli_jobs_rates_list(struct cli *c)
{
    return cli__query_flow(c, &SQL_jobs_cmd_rates, NULL, list_show);
}

/* ---- set and remove -------------------------------------------------------------------------- */

struct caps {
    int64_t cap15, capday;
    double reserve; /* NaN: not given */
};

static int take_caps(struct cli *c, struct caps *ret)
{
    if (!*c->operand[0] || !cli_option(c, "cap15") || !cli_option(c, "capday")) {
        return err_set(&c->err, ERR_USAGE, ERR_PERMANENT,
                       "jobs rates set wants NAME --cap15 N --capday N: how many a quarter "
                       "of an hour, and how many a day");
    }
    if (cli_option_i64(c, "cap15", 0, INT32_MAX, 0, &ret->cap15) != 0 ||
        cli_option_i64(c, "capday", 0, INT32_MAX, 0, &ret->capday) != 0) {
        return -1;
    }
    return cli_option_f64(c, "reserve", 0, 1, (double)NAN, &ret->reserve);
}

int cli_jobs_rates_set_check(struct cli *c)
{
    struct caps caps;
    return take_caps(c, &caps);
}

static void set_add(struct cli *c, struct db_unit *u)
{
    struct caps caps;
    CHECK(take_caps(c, &caps) == 0);
    db_p_text(u, c->operand[0]);
    db_p_i64(u, caps.cap15);
    db_p_i64(u, caps.capday);
    if (isnan(caps.reserve)) {
        db_p_null(u);
    } else {
        db_p_f64(u, caps.reserve);
    }
    db_p_text(u, cli__jobs_who(c));
    db_p_text(u, cli__jobs_options_json(c, "name", c->operand[0], "cap15 capday reserve"));
}

static int set_show(struct cli *c, const struct db_unit *u)
{
    bool is_new = db_get_i64(u, 0, 0, 0) != 0;
    if (c->json) {
        printf("{\"new\":%s}\n", is_new ? "true" : "false");
    } else {
        printf("%s: %s\n", arena_tame(c->arena, c->operand[0]), is_new ? "added" : "changed");
    }
    return 0;
}

struct flow *cli_jobs_rates_set(struct cli *c)
{
    return cli__query_flow(c, &SQL_jobs_cmd_rate_set, set_add, set_show);
}

static void remove_add(struct cli *c, struct db_unit *u)
{
    db_p_text_array(u, c->operand, c->noperands);
    db_p_text(u, cli__jobs_who(c));
}

static int remove_show(struct cli *c, const struct db_unit *u)
{
    return cli__jobs_tell_names(c, u, "rate", "waymark jobs rates list", "removed");
}

struct flow *cli_jobs_rates_remove(struct cli *c)
{
    return cli__query_flow(c, &SQL_jobs_cmd_rate_remove, remove_add, remove_show);
}
