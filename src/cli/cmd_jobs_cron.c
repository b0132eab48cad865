/* waymark jobs cron list, add, remove, pause, resume, run. */
#include <jansson.h>

#include "cli/cmd_jobs.h"

enum { PAYLOAD_MAX = 65536, PAYLOAD_DEPTH = 32, BITS = 64 };

/* ---- add ------------------------------------------------------------------------------------- */

/* What the options say, checked as far as that needs no database. */
struct schedule {
    const char *name, *spec, *tz, *queue, *kind, *payload, *catchup;
    int64_t prio;
    struct jobs_cron cron;
};

static int take_payload(struct cli *c, struct schedule *s)
{
    const char *v = cli_option(c, "payload");
    struct err why;
    s->payload = v ? v : "{}";
    struct json_t *json = json_read(span_of(s->payload), PAYLOAD_MAX, PAYLOAD_DEPTH, &why);
    if (!json) {
        return err_set(&c->err, ERR_USAGE, ERR_PERMANENT, "--payload: %s", why.msg);
    }
    json_decref(json);
    struct span text = span_trim(span_of(s->payload));
    if (text.p[0] != '{') {
        return err_set(&c->err, ERR_USAGE, ERR_PERMANENT,
                       "--payload %s: must be a JSON object, such as {\"year\": 2026}", v);
    }
    return 0;
}

static int take_schedule(struct cli *c, struct schedule *s)
{
    const char *tz = cli_option(c, "tz"), *catchup = cli_option(c, "catchup");
    struct err why;
    *s = (struct schedule){.name = c->operand[0],
                           .spec = c->operand[1],
                           .tz = tz ? tz : "UTC",
                           .queue = cli_option(c, "queue"),
                           .kind = cli_option(c, "kind"),
                           .catchup = catchup ? catchup : "one"};
    if (!*s->name || !s->queue || !*s->queue || !s->kind || !*s->kind) {
        return err_set(&c->err, ERR_USAGE, ERR_PERMANENT,
                       "jobs cron add wants NAME 'SPEC' --kind KIND --queue QUEUE");
    }
    if (jobs_cron_parse(span_of(s->spec), &s->cron, &why) != 0) {
        return err_set(&c->err, ERR_USAGE, ERR_PERMANENT, "\"%s\": %s", s->spec, why.msg);
    }
    if (strcmp(s->catchup, "none") != 0 && strcmp(s->catchup, "one") != 0 &&
        strcmp(s->catchup, "all") != 0) {
        return err_set(&c->err, ERR_USAGE, ERR_PERMANENT,
                       "--catchup %s: must be none, one or all: how many jobs make up for times "
                       "that passed while nobody ran",
                       s->catchup);
    }
    return cli_option_i64(c, "prio", INT16_MIN, INT16_MAX, 0, &s->prio) != 0 ? -1
                                                                             : take_payload(c, s);
}

int cli_jobs_cron_add_check(struct cli *c)
{
    struct schedule s;
    return take_schedule(c, &s);
}

struct add_flow {
    struct flow f;
    struct cli *c;
    struct schedule s;
    struct db_unit u;
};
#define ADD_STEPS(STEP)                                                                            \
    STEP(add, check) /* time zone and name */                                                      \
    STEP(add, insert)                                                                              \
    STEP(add, report)
FLOW_STEPS(add, ADD_STEPS);

static struct add_flow *add_of(struct flow *f)
{
    return container_of(f, struct add_flow, f);
}

static enum flow_next add_check(struct flow *f)
{
    struct add_flow *a = add_of(f);
    if (take_schedule(a->c, &a->s) != 0) {
        f->err = a->c->err;
        return flow_fail(f);
    }
    db_unit_init(&a->u, a->c->app.pool, f->arena, DB_READONLY);
    db_add(&a->u, &SQL_jobs_cmd_cron_check);
    db_p_text(&a->u, a->s.tz);
    db_p_text(&a->u, a->s.name);
    db_submit(&a->u);
    return flow_wait(f, &a->u.op, add_STEP_insert, 60000);
}

static int refuse(struct flow *f, enum err_domain domain, const char *thing, const char *remedy)
{
    return err_set(&f->err, domain, ERR_PERMANENT, "schedule %s: %s%s", add_of(f)->s.name, thing,
                   remedy);
}

static int taken(struct flow *f)
{
    return refuse(f, ERR_DATA, "there is one of that name",
                  ": waymark jobs cron remove takes it away, waymark jobs cron list shows it");
}

/* The numbers whose bits are set. */
static void add_bits(struct db_unit *u, uint64_t bits)
{
    int64_t v[BITS];
    size_t n = 0;
    for (int i = 0; i < BITS; i++) {
        if (bits >> i & 1) {
            v[n++] = i;
        }
    }
    db_p_i64_array(u, v, n);
}

static enum flow_next add_insert(struct flow *f)
{
    struct add_flow *a = add_of(f);
    const struct schedule *s = &a->s;
    if (db_get_i64(&a->u, 0, 0, 0) == 0) {
        const char *near = db_get_text(&a->u, 0, 0, 1, f->arena);
        (void)refuse(f, ERR_USAGE, arena_printf(f->arena, "there is no time zone %s", s->tz),
                     near && *s->tz ? arena_printf(f->arena, "; perhaps %s", near)
                                    : "; they are named like Europe/Zurich");
        return flow_fail(f);
    }
    if (db_get_i64(&a->u, 0, 0, 2) != 0) {
        return taken(f), flow_fail(f);
    }
    db_unit_done(&a->u);
    db_unit_init(&a->u, a->c->app.pool, f->arena, 0);
    db_add(&a->u, &SQL_jobs_cmd_cron_add);
    db_p_text(&a->u, s->name);
    db_p_text(&a->u, s->spec);
    db_p_text(&a->u, s->tz);
    add_bits(&a->u, s->cron.minutes);
    add_bits(&a->u, s->cron.hours);
    add_bits(&a->u, s->cron.days);
    add_bits(&a->u, s->cron.months);
    add_bits(&a->u, s->cron.weekdays);
    db_p_bool(&a->u, s->cron.any_day);
    db_p_bool(&a->u, s->cron.any_hour);
    db_p_text(&a->u, s->queue);
    db_p_text(&a->u, s->kind);
    db_p_i64(&a->u, s->prio);
    db_p_text(&a->u, s->payload);
    db_p_text(&a->u, s->catchup);
    db_p_text(&a->u, cli__jobs_who(a->c));
    db_p_text(&a->u, cli__jobs_options_json(a->c, "name", s->name, "queue kind tz catchup prio"));
    db_submit(&a->u);
    return flow_wait(f, &a->u.op, add_STEP_report, 60000);
}

/* Each line of text, as a warning. */
static void warn(struct json_out *j, struct span text)
{
    while (text.n > 0) {
        const char *end = memchr(text.p, '\n', text.n);
        struct span line = {text.p, end ? (size_t)(end - text.p) : text.n};
        size_t used = line.n + (end != NULL);
        if (j && line.n > 0) {
            jo_span(j, NULL, line);
        } else if (line.n > 0) {
            fprintf(stderr, "waymark: warning: %.*s\n", (int)line.n, line.p);
        }
        text.p += used;
        text.n -= used;
    }
}

static enum flow_next add_report(struct flow *f)
{
    struct add_flow *a = add_of(f);
    struct buf lines = {0}, out = {0};
    struct json_out j = {.buf = &out};
    char at[40];
    if (db_rows(&a->u, 0) == 0) {
        /* Taken since we looked; or no next time was found. */
        (void)refuse(f, ERR_USAGE, "no such time ever comes, or the name was taken",
                     ": see waymark jobs cron list");
        return flow_fail(f);
    }
    (void)jobs_cron_lint(&a->s.cron, a->s.tz, &lines);
    const char *local = db_get_text(&a->u, 0, 0, 1, f->arena);
    if (a->c->json) {
        jo_begin_object(&j, NULL);
        jo_str(&j, "name", a->s.name);
        jo_str(&j, "next", time_format_iso(db_get_time_us(&a->u, 0, 0, 0), at));
        jo_begin_array(&j, "warnings");
        warn(&j, buf_span(&lines));
        jo_end_array(&j);
        jo_end_object(&j);
        puts(out.p);
    } else {
        warn(NULL, buf_span(&lines));
        printf("%s: next at %s, %s\n", arena_tame(f->arena, a->s.name), local, a->s.tz);
    }
    buf_done(&lines);
    buf_done(&out);
    return FLOW_DONE;
}

static void add_end(struct flow *f)
{
    db_unit_done(&add_of(f)->u);
}

static const struct flow_def add_def = {"jobs_cron_add", add_steps, add_STEP_COUNT, add_end};

struct flow *cli_jobs_cron_add(struct cli *c)
{
    struct add_flow *a = flow_new(c->app.loop, &add_def, sizeof(*a), 0);
    a->c = c;
    return &a->f;
}

/* ---- list ------------------------------------------------------------------------------------ */

enum {
    COL_NAME,
    COL_SPEC,
    COL_TZ,
    COL_QUEUE,
    COL_KIND,
    COL_PRIO,
    COL_CATCHUP,
    COL_PAUSED,
    COL_NEXT,
    COL_NEXT_LOCAL,
    COL_LAST,
    COL_LAST_LOCAL,
    COL_MISSED,
    COL_PAYLOAD,
    COL_PROBLEM
};

static void list_json(const struct db_unit *u)
{
    struct buf out = {0};
    struct json_out j = {.buf = &out};
    static const struct {
        const char *name;
        int col;
    } text[] = {{"name", COL_NAME},   {"spec", COL_SPEC}, {"tz", COL_TZ},
                {"queue", COL_QUEUE}, {"kind", COL_KIND}, {"catchup", COL_CATCHUP}};
    jo_begin_array(&j, NULL);
    for (int i = 0; i < db_rows(u, 0); i++) {
        char at[40];
        jo_begin_object(&j, NULL);
        for (size_t k = 0; k < COUNT_OF(text); k++) {
            jo_span(&j, text[k].name, db_get_span(u, 0, i, text[k].col));
        }
        jo_i64(&j, "prio", db_get_i64(u, 0, i, COL_PRIO));
        jo_bool(&j, "paused", db_get_i64(u, 0, i, COL_PAUSED) != 0);
        jo_i64(&j, "missed", db_get_i64(u, 0, i, COL_MISSED));
        if (db_get_time_us(u, 0, i, COL_NEXT) != INT64_MAX) {
            jo_str(&j, "next", time_format_iso(db_get_time_us(u, 0, i, COL_NEXT), at));
        }
        if (!db_is_null(u, 0, i, COL_LAST)) {
            jo_str(&j, "last", time_format_iso(db_get_time_us(u, 0, i, COL_LAST), at));
        }
        if (!db_is_null(u, 0, i, COL_PROBLEM)) {
            jo_span(&j, "problem", db_get_span(u, 0, i, COL_PROBLEM));
        }
        buf_puts(&out, ",\"payload\":");
        jobs_mask(db_get_span(u, 0, i, COL_PAYLOAD), &out);
        jo_end_object(&j);
    }
    jo_end_array(&j);
    puts(out.p);
    buf_done(&out);
}

static int list_show(struct cli *c, const struct db_unit *u)
{
    static const char *const head[] = {"schedule", "spec",    "time zone", "next", "last",
                                       ">missed",  "catchup", "queue",     "kind"};
    struct cli_table t;
    if (c->json) {
        list_json(u);
        return 0;
    }
    if (db_rows(u, 0) == 0) {
        puts("There is no schedule: waymark jobs cron add NAME 'SPEC' --kind KIND --queue QUEUE");
        return 0;
    }
    cli_table_init(&t, c->arena, head, COUNT_OF(head));
    for (int i = 0; i < db_rows(u, 0); i++) {
        const char **cell = cli_table_row(&t);
        bool never = db_get_time_us(u, 0, i, COL_NEXT) == INT64_MAX;
        cell[0] = db_get_text(u, 0, i, COL_NAME, c->arena);
        cell[1] = db_get_text(u, 0, i, COL_SPEC, c->arena);
        cell[2] = db_get_text(u, 0, i, COL_TZ, c->arena);
        cell[3] = db_get_i64(u, 0, i, COL_PAUSED) ? "paused"
                  : never                         ? "never"
                                                  : db_get_text(u, 0, i, COL_NEXT_LOCAL, c->arena);
        cell[4] = db_get_text(u, 0, i, COL_LAST_LOCAL, c->arena);
        cell[4] = cell[4] ? cell[4] : "";
        cell[5] = cli__jobs_i64(c, db_get_i64(u, 0, i, COL_MISSED));
        cell[6] = db_get_text(u, 0, i, COL_CATCHUP, c->arena);
        cell[7] = db_get_text(u, 0, i, COL_QUEUE, c->arena);
        cell[8] = db_get_text(u, 0, i, COL_KIND, c->arena);
    }
    cli_table_print(&t, stdout);
    for (int i = 0; i < db_rows(u, 0); i++) {
        if (!db_is_null(u, 0, i, COL_PROBLEM)) {
            printf("%s cannot be fired: %s: remove it and add it anew, or resume it\n",
                   arena_tame(c->arena, db_get_text(u, 0, i, COL_NAME, c->arena)),
                   arena_tame(c->arena, db_get_text(u, 0, i, COL_PROBLEM, c->arena)));
        }
    }
    return 0;
}

struct flow *cli_jobs_cron_list(struct cli *c)
{
    return cli__query_flow(c, &SQL_jobs_cmd_cron_list, NULL, list_show);
}

/* ---- remove, pause, resume, run -------------------------------------------------------------- */

static void remove_add(struct cli *c, struct db_unit *u)
{
    db_p_text_array(u, c->operand, c->noperands);
    db_p_text(u, cli__jobs_who(c));
}

static int names_show(struct cli *c, const struct db_unit *u)
{
    const char *word = strrchr(c->command->name, ' ') + 1;
    const char *verb = strcmp(word, "remove") == 0  ? "removed"
                       : strcmp(word, "pause") == 0 ? "paused"
                                                    : "goes on";
    return cli__jobs_tell_names(c, u, "schedule", "waymark jobs cron list", verb);
}

struct flow *cli_jobs_cron_remove(struct cli *c)
{
    return cli__query_flow(c, &SQL_jobs_cmd_cron_remove, remove_add, names_show);
}

static void pause_add(struct cli *c, struct db_unit *u)
{
    db_p_text_array(u, c->operand, c->noperands);
    db_p_bool(u, strcmp(c->command->name, "jobs cron pause") == 0);
    db_p_text(u, cli__jobs_who(c));
    db_p_text(u, c->command->name);
}

/* Also resume. */
struct flow *cli_jobs_cron_pause(struct cli *c)
{
    return cli__query_flow(c, &SQL_jobs_cmd_cron_pause, pause_add, names_show);
}

static void run_add(struct cli *c, struct db_unit *u)
{
    db_p_text(u, c->operand[0]);
    db_p_text(u, cli__jobs_who(c));
    db_p_text(u, cli__jobs_options_json(c, "name", c->operand[0], ""));
    db_p_text(u, cli__jobs_channel(c));
}

static int run_show(struct cli *c, const struct db_unit *u)
{
    if (db_rows(u, 0) == 0) {
        return err_set(&c->err, ERR_DATA, ERR_PERMANENT,
                       "there is no schedule \"%s\": see waymark jobs cron list", c->operand[0]);
    }
    long long job = (long long)db_get_i64(u, 0, 0, 0);
    if (c->json) {
        printf("{\"job\":%lld}\n", job);
    } else {
        printf("%s: job %lld, see waymark jobs show %lld\n", arena_tame(c->arena, c->operand[0]),
               job, job);
    }
    return 0;
}

struct flow *cli_jobs_cron_run(struct cli *c)
{
    return cli__query_flow(c, &SQL_jobs_cmd_cron_run, run_add, run_show);
}
