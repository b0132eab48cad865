/* The queue in `waymark status`: what stands where, what is paused, who works, how fast. */
#include "cli/cmd_jobs.h"

#include <math.h>

enum { CALL_STANDING, CALL_PAUSES, CALL_SLOTS, CALL_RATES, CALL_FLOW };
/* One screen: the rest is told by number. */
enum { ROWS_SHOWN = 12, PAUSES_SHOWN = 4 };

void cli__status_add_queue(struct db_unit *u)
{
    db_add(u, &SQL_jobs_cmd_standing);
    db_add(u, &SQL_jobs_cmd_pauses);
    db_add(u, &SQL_jobs_cmd_instances);
    db_add(u, &SQL_jobs_cmd_rates);
    db_add(u, &SQL_jobs_cmd_last_minute);
}

static void show_standing(struct cli *c, const struct db_unit *u)
{
    static const char *const head[] = {"queue",    "jobs",     ">ready", ">waiting",
                                       ">blocked", ">running", ">dead",  ">oldest ready"};
    struct cli_table t;
    int n = db_rows(u, CALL_STANDING);
    if (n == 0) {
        puts("\nThe queue is empty.");
        return;
    }
    cli_table_init(&t, c->arena, head, COUNT_OF(head));
    for (int i = 0; i < n && i < ROWS_SHOWN; i++) {
        const char **cell = cli_table_row(&t);
        cell[0] = db_get_text(u, CALL_STANDING, i, 0, c->arena);
        cell[1] = db_get_text(u, CALL_STANDING, i, 1, c->arena);
        for (int k = 2; k < 7; k++) {
            cell[k] = cli__jobs_i64(c, db_get_i64(u, CALL_STANDING, i, k));
        }
        cell[7] = cli__jobs_age(c, db_get_f64(u, CALL_STANDING, i, 7));
    }
    putchar('\n');
    cli_table_print(&t, stdout);
    if (n > ROWS_SHOWN) {
        printf("and %d more kinds of jobs: --json has all\n", n - ROWS_SHOWN);
    }
}

static void show_pauses(struct cli *c, const struct db_unit *u)
{
    int n = db_rows(u, CALL_PAUSES);
    for (int i = 0; i < n && i < PAUSES_SHOWN; i++) {
        printf("paused: queue %s",
               arena_tame(c->arena, db_get_text(u, CALL_PAUSES, i, 0, c->arena)));
        if (!db_is_null(u, CALL_PAUSES, i, 1)) {
            printf(", kind %s", arena_tame(c->arena, db_get_text(u, CALL_PAUSES, i, 1, c->arena)));
        }
        if (!db_is_null(u, CALL_PAUSES, i, 2)) {
            printf(", athlete %lld", (long long)db_get_i64(u, CALL_PAUSES, i, 2));
        }
        printf(", for %s\n", cli__jobs_age(c, db_get_f64(u, CALL_PAUSES, i, 3)));
    }
    if (n > PAUSES_SHOWN) {
        printf("and %d more pauses: --json has all\n", n - PAUSES_SHOWN);
    }
}

static void show_flow(struct cli *c, const struct db_unit *u)
{
    for (int i = 0; i < db_rows(u, CALL_FLOW); i++) {
        printf("last minute: queue %s: %lld done, %lld tried again later, %lld dead\n",
               arena_tame(c->arena, db_get_text(u, CALL_FLOW, i, 0, c->arena)),
               (long long)db_get_i64(u, CALL_FLOW, i, 1), (long long)db_get_i64(u, CALL_FLOW, i, 2),
               (long long)db_get_i64(u, CALL_FLOW, i, 3));
    }
}

void cli__status_show_queue(struct cli *c, const struct db_unit *u)
{
    show_standing(c, u);
    show_pauses(c, u);
    show_flow(c, u);
}

void cli__status_show_rates(struct cli *c, const struct db_unit *u)
{
    if (db_rows(u, CALL_RATES) > 0) {
        putchar('\n');
        cli__jobs_rates_table(c, u, CALL_RATES);
    }
}

struct status_slots cli__status_slots(struct cli *c, const struct db_unit *u, int64_t instance)
{
    for (int i = 0; i < db_rows(u, CALL_SLOTS); i++) {
        if (db_get_i64(u, CALL_SLOTS, i, 0) == instance) {
            return (struct status_slots){
                .queue = db_get_text(u, CALL_SLOTS, i, 1, c->arena),
                .slots = db_get_i64(u, CALL_SLOTS, i, 2),
                .running = db_get_i64(u, CALL_SLOTS, i, 3),
                .draining = db_get_i64(u, CALL_SLOTS, i, 4) != 0,
            };
        }
    }
    return (struct status_slots){0};
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void standing_json(struct json_out *j, const struct db_unit *u)
{
    static const char *const name[] = {"ready", "waiting", "blocked", "running", "dead"};
    jo_begin_array(j, "jobs");
    for (int i = 0; i < db_rows(u, CALL_STANDING); i++) {
        jo_begin_object(j, NULL);
        jo_span(j, "queue", db_get_span(u, CALL_STANDING, i, 0));
        jo_span(j, "kind", db_get_span(u, CALL_STANDING, i, 1));
        for (int k = 0; k < (int)COUNT_OF(name); k++) {
            jo_i64(j, name[k], db_get_i64(u, CALL_STANDING, i, k + 2));
        }
        if (!db_is_null(u, CALL_STANDING, i, 7)) {
            jo_f64(j, "oldest_ready_seconds", db_get_f64(u, CALL_STANDING, i, 7), 1);
        }
        jo_end_object(j);
    }
    jo_end_array(j);
}

static void pauses_json(struct json_out *j, const struct db_unit *u)
{
    jo_begin_array(j, "paused");
    for (int i = 0; i < db_rows(u, CALL_PAUSES); i++) {
        jo_begin_object(j, NULL);
        jo_span(j, "queue", db_get_span(u, CALL_PAUSES, i, 0));
        if (!db_is_null(u, CALL_PAUSES, i, 1)) {
            jo_span(j, "kind", db_get_span(u, CALL_PAUSES, i, 1));
        }
        if (!db_is_null(u, CALL_PAUSES, i, 2)) {
            jo_i64(j, "athlete", db_get_i64(u, CALL_PAUSES, i, 2));
        }
        jo_f64(j, "seconds", db_get_f64(u, CALL_PAUSES, i, 3), 1);
        jo_end_object(j);
    }
    jo_end_array(j);
}

void cli__status_queue_json(struct json_out *j, const struct db_unit *u)
{
    standing_json(j, u);
    pauses_json(j, u);
    cli__jobs_rates_json(j, "rates", u, CALL_RATES);
    jo_begin_array(j, "last_minute");
    for (int i = 0; i < db_rows(u, CALL_FLOW); i++) {
        jo_begin_object(j, NULL);
        jo_span(j, "queue", db_get_span(u, CALL_FLOW, i, 0));
        jo_i64(j, "finished", db_get_i64(u, CALL_FLOW, i, 1));
        jo_i64(j, "retried", db_get_i64(u, CALL_FLOW, i, 2));
        jo_i64(j, "dead", db_get_i64(u, CALL_FLOW, i, 3));
        jo_end_object(j);
    }
    jo_end_array(j);
}
