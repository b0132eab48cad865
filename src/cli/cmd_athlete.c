/* waymark athlete list, export, erase. */
#include "cli/cmd_jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "people/people.h"

static int athlete_id(struct cli *c, int64_t *ret)
{
    const char *given = c->operand[0];
    if (span_to_i64(span_of(given), INT64_MIN + 1, INT64_MAX, ret) != 0) {
        return err_set(&c->err, ERR_USAGE, ERR_PERMANENT,
                       "\"%s\" is not the id of an athlete: see waymark athlete list", given);
    }
    return 0;
}

/* ---- list ---------------------------------------------------------------------------- */

static int list_json(const struct db_unit *u)
{
    struct buf out = {0};
    struct json_out j = {.buf = &out};
    char iso[40];
    jo_begin_array(&j, NULL);
    for (int i = 0; i < db_rows(u, 0); i++) {
        jo_begin_object(&j, NULL);
        jo_i64(&j, "id", db_get_i64(u, 0, i, 0));
        if (!db_is_null(u, 0, i, 1)) {
            jo_span(&j, "name", db_get_span(u, 0, i, 1));
        }
        if (!db_is_null(u, 0, i, 2)) {
            jo_span(&j, "scopes", db_get_span(u, 0, i, 2));
        }
        jo_span(&j, "strava", db_get_span(u, 0, i, 3));
        jo_i64(&j, "activities", db_get_i64(u, 0, i, 4));
        if (!db_is_null(u, 0, i, 5)) {
            jo_str(&j, "last_import", time_format_iso(db_get_time_us(u, 0, i, 5), iso));
        }
        jo_end_object(&j);
    }
    jo_end_array(&j);
    puts(out.p);
    buf_done(&out);
    return 0;
}

static const char *text_or_dash(const struct cli *c, const struct db_unit *u, int row, int col)
{
    const char *text = db_get_text(u, 0, row, col, c->arena);
    return text && *text ? text : "-";
}

static int list_show(struct cli *c, const struct db_unit *u)
{
    static const char *const head[] = {">athlete", "name",        "strava",
                                       "scopes",   ">activities", "last import (UTC)"};
    struct cli_table t;
    char iso[40];
    if (c->json) {
        return list_json(u);
    }
    if (db_rows(u, 0) == 0) {
        puts("There is no athlete yet: waymark import makes one, and so does a login with Strava.");
        return 0;
    }
    cli_table_init(&t, c->arena, head, COUNT_OF(head));
    for (int i = 0; i < db_rows(u, 0); i++) {
        const char **cell = cli_table_row(&t);
        cell[0] = arena_printf(c->arena, "%lld", (long long)db_get_i64(u, 0, i, 0));
        cell[1] = text_or_dash(c, u, i, 1);
        cell[2] = text_or_dash(c, u, i, 3);
        cell[3] = text_or_dash(c, u, i, 2);
        cell[4] = arena_printf(c->arena, "%lld", (long long)db_get_i64(u, 0, i, 4));
        cell[5] = "-";
        if (!db_is_null(u, 0, i, 5)) {
            time_format_iso(db_get_time_us(u, 0, i, 5), iso);
            cell[5] = arena_printf(c->arena, "%.10s %.8s", iso, iso + 11);
        }
    }
    cli_table_print(&t, stdout);
    return 0;
}

struct flow *cli_athlete_list(struct cli *c)
{
    return cli__query_flow(c, &SQL_people_list, NULL, list_show);
}

/* ---- export -------------------------------------------------------------------------- */

struct export_flow {
    struct flow f;
    struct cli *c;
    const char *path, *part; /* --out FILE, and what it is called until it is whole; NULL: stdout */
    FILE *out;
    struct people_export e;
    struct op op;
};
#define EXPORT_STEPS(STEP)                                                                         \
    STEP(export, open)                                                                             \
    STEP(export, close)
FLOW_STEPS(export, EXPORT_STEPS);

static struct export_flow *export_of(struct flow *f)
{
    return container_of(f, struct export_flow, f);
}

static int write_piece(void *ctx, struct span piece, struct op *wait, struct err *err)
{
    struct export_flow *x = ctx;
    (void)wait;
    return fwrite(piece.p, 1, piece.n, x->out) == piece.n
               ? 0
               : err_sys(err, errno, "writing %s", x->path ? x->part : "standard output");
}

static enum flow_next export_open(struct flow *f)
{
    struct export_flow *x = export_of(f);
    x->out = stdout;
    if (x->path) {
        /* All that is known of somebody: for nobody else's eyes. */
        int fd = open(x->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        x->out = fd < 0 ? NULL : fdopen(fd, "w");
        if (!x->out) {
            (void)err_sys(&f->err, errno, "writing %s", x->part);
            return flow_fail(f);
        }
    }
    flow_call(people_export_flow(x->c->app.pool, &x->e), &x->op);
    return flow_wait(f, &x->op, export_STEP_close, 0);
}

static enum flow_next export_close(struct flow *f)
{
    struct export_flow *x = export_of(f);
    FILE *out = x->out;
    bool ok = fflush(out) == 0 && (!x->path || fsync(fileno(out)) == 0);
    if (x->path) {
        x->out = NULL;
        ok = fclose(out) == 0 && ok && rename(x->part, x->path) == 0;
    }
    if (!ok) {
        (void)err_sys(&f->err, errno, "writing %s", x->path ? x->path : "standard output");
        return flow_fail(f);
    }
    if (!x->c->quiet) {
        fprintf(stderr, "%lld activit%s written%s%s\n", (long long)x->e.activities,
                x->e.activities == 1 ? "y" : "ies", x->path ? " to " : "",
                x->path ? arena_tame(x->c->arena, x->path) : "");
    }
    return FLOW_DONE;
}

static void export_end(struct flow *f)
{
    struct export_flow *x = export_of(f);
    if (x->path && x->out) {
        (void)fclose(x->out);
    }
    if (x->path && f->failed) {
        (void)unlink(x->part);
    }
}

static const struct flow_def export_def = {"athlete_export", export_steps, export_STEP_COUNT,
                                           export_end};

int cli_athlete_export_check(struct cli *c)
{
    int64_t id;
    const char *path = cli_option(c, "out");
    if (path && !*path) {
        return err_set(&c->err, ERR_USAGE, ERR_PERMANENT, "--out wants the name of a file");
    }
    return athlete_id(c, &id);
}

struct flow *cli_athlete_export(struct cli *c)
{
    struct export_flow *x = flow_new(c->app.loop, &export_def, sizeof(*x), 0);
    x->c = c;
    x->path = cli_option(c, "out");
    x->part = x->path ? arena_printf(c->arena, "%s.part", x->path) : NULL;
    x->e.sink = (struct people_sink){.write = write_piece, .ctx = x};
    CHECK(athlete_id(c, &x->e.athlete_id) == 0);
    return &x->f;
}

/* ---- a line from the terminal ------------------------------------------------------------------
 */

struct line_op {
    struct op op;
    uv_poll_t poll;
    bool open, cancelled;
    char text[128];
};

static void line_closed(uv_handle_t *h)
{
    struct line_op *x = h->data;
    x->open = false;
    if (x->cancelled) {
        op_finish_cancelled(&x->op);
    } else {
        op_finish(&x->op, NULL);
    }
}

static void line_end(struct line_op *x)
{
    if (!uv_is_closing((uv_handle_t *)&x->poll)) {
        uv_close((uv_handle_t *)&x->poll, line_closed);
    }
}

static void line_cancel(struct op *op)
{
    struct line_op *x = container_of(op, struct line_op, op);
    x->cancelled = true;
    line_end(x);
}

/* A terminal gives a whole line or nothing. */
static void line_ready(uv_poll_t *poll, int status, int events)
{
    struct line_op *x = poll->data;
    (void)events;
    ssize_t n = status == 0 ? read(STDIN_FILENO, x->text, sizeof(x->text) - 1) : 0;
    x->text[n > 0 ? n : 0] = '\0';
    line_end(x);
}

static int line_start(struct line_op *x, struct loop *l, struct err *err)
{
    op_init(&x->op, l, line_cancel);
    int rc = uv_poll_init(loop_uv(l), &x->poll, STDIN_FILENO);
    if (rc != 0) {
        return err_set(err, ERR_UV, ERR_PERMANENT, "reading from the terminal: %s",
                       uv_strerror(rc));
    }
    x->poll.data = x;
    x->open = true;
    op_begin(&x->op);
    CHECK(uv_poll_start(&x->poll, UV_READABLE, line_ready) == 0);
    return 0;
}

/* ---- erase --------------------------------------------------------------------------- */

struct erase_flow {
    struct flow f;
    struct cli *c;
    struct people_count before, after;
    struct people_erasure e;
    bool revoked;         /* or there was nothing to revoke */
    struct err unrevoked; /* why not; class 0: it was, or nobody is asked */
    struct line_op line;
    struct op op;
};
#define ERASE_STEPS(STEP)                                                                          \
    STEP(erase, count)                                                                             \
    STEP(erase, show) /* -> revoke, with --yes */                                                  \
    STEP(erase, answer)                                                                            \
    STEP(erase, revoke) /* -> erase, if there is no way to Strava */                               \
    STEP(erase, revoked)                                                                           \
    STEP(erase, erase)                                                                             \
    STEP(erase, report)
FLOW_STEPS(erase, ERASE_STEPS);

static struct erase_flow *erase_of(struct flow *f)
{
    return container_of(f, struct erase_flow, f);
}

static enum flow_next erase_count(struct flow *f)
{
    struct erase_flow *x = erase_of(f);
    flow_call(people_count_flow(x->c->app.pool, x->e.athlete_id, x->c->arena, &x->before), &x->op);
    return flow_wait(f, &x->op, erase_STEP_show, 0);
}

static void print_places(struct cli *c, const struct people_count *count, bool erased, FILE *out)
{
    static const char *const head[] = {"table", ">rows", ">left"};
    struct cli_table t;
    cli_table_init(&t, c->arena, head, erased ? 3 : 2);
    for (size_t i = 0; i < count->n; i++) {
        const struct people_place *p = &count->place[i];
        if (p->rows > 0) {
            const char **cell = cli_table_row(&t);
            cell[0] = p->name;
            cell[1] = arena_printf(c->arena, "%lld", (long long)p->rows);
            if (erased) {
                cell[2] = arena_printf(c->arena, "%lld", (long long)p->left);
            }
        }
    }
    cli_table_print(&t, out);
}

static enum flow_next erase_show(struct flow *f)
{
    struct erase_flow *x = erase_of(f);
    long long id = (long long)x->e.athlete_id;
    if (x->before.rows == 0) {
        (void)err_set(&f->err, ERR_DATA, ERR_PERMANENT,
                      "there is no athlete %lld, nor anything about one: see waymark athlete list",
                      id);
        return flow_fail(f);
    }
    if (cli_option(x->c, "yes")) {
        return flow_goto(f, erase_STEP_revoke);
    }
    print_places(x->c, &x->before, false, stderr);
    fprintf(stderr,
            "All of this about athlete %lld will be gone for good (waymark athlete export keeps a "
            "copy).\nType the id to erase it: ",
            id);
    if (line_start(&x->line, f->loop, &f->err) != 0) {
        return flow_fail(f);
    }
    return flow_wait(f, &x->line.op, erase_STEP_answer, 3600000);
}

static enum flow_next erase_answer(struct flow *f)
{
    struct erase_flow *x = erase_of(f);
    int64_t typed;
    struct span said = span_trim(span_of(x->line.text));
    if (span_to_i64(said, INT64_MIN, INT64_MAX, &typed) != 0 || typed != x->e.athlete_id) {
        (void)err_set(&f->err, ERR_DATA, ERR_PERMANENT, "nothing was erased");
        return flow_fail(f);
    }
    return FLOW_NEXT;
}

static enum flow_next erase_revoke(struct flow *f)
{
    struct erase_flow *x = erase_of(f);
    if (!app_strava_is_on(x->c->config)) {
        return flow_goto(f, erase_STEP_erase);
    }
    if (app_open_strava(&x->c->app, &x->unrevoked) != 0) {
        return flow_goto(f, erase_STEP_erase);
    }
    flow_call(strava_revoke_flow(x->c->app.strava, x->e.athlete_id), &x->op);
    return flow_wait_any(f, &x->op, erase_STEP_revoked, 0);
}

static enum flow_next erase_revoked(struct flow *f)
{
    struct erase_flow *x = erase_of(f);
    x->revoked = !x->op.failed;
    if (x->op.failed) {
        x->unrevoked = x->op.err;
    }
    return FLOW_NEXT;
}

static enum flow_next erase_erase(struct flow *f)
{
    struct erase_flow *x = erase_of(f);
    if (x->c->stopping) {
        (void)err_set(&f->err, ERR_DATA, ERR_RETRY, "stopped by a signal: nothing was erased");
        return flow_fail(f);
    }
    flow_call(people_erase_flow(x->c->app.pool, &x->e), &x->op);
    return flow_wait(f, &x->op, erase_STEP_report, 0);
}

static void report_json(const struct erase_flow *x)
{
    struct buf out = {0};
    struct json_out j = {.buf = &out};
    jo_begin_object(&j, NULL);
    jo_i64(&j, "athlete", x->e.athlete_id);
    jo_bool(&j, "revoked", x->revoked);
    jo_i64(&j, "rows", x->after.rows);
    jo_i64(&j, "left", x->after.left);
    jo_begin_array(&j, "tables");
    for (size_t i = 0; i < x->after.n; i++) {
        jo_begin_object(&j, NULL);
        jo_str(&j, "table", x->after.place[i].name);
        jo_i64(&j, "rows", x->after.place[i].rows);
        jo_i64(&j, "left", x->after.place[i].left);
        jo_end_object(&j);
    }
    jo_end_array(&j);
    jo_end_object(&j);
    puts(out.p);
    buf_done(&out);
}

static enum flow_next erase_report(struct flow *f)
{
    struct erase_flow *x = erase_of(f);
    if (x->unrevoked.class != 0) {
        fprintf(
            stderr,
            "waymark: the grant could not be withdrawn at Strava (%s): the athlete can do so at "
            "https://www.strava.com/settings/apps\n",
            x->unrevoked.msg);
    }
    if (x->c->json) {
        report_json(x);
        return FLOW_DONE;
    }
    print_places(x->c, &x->after, true, stdout);
    printf("athlete %lld: %lld rows erased, %lld left%s\n", (long long)x->e.athlete_id,
           (long long)x->after.rows, (long long)x->after.left,
           x->revoked ? "; the grant at Strava is withdrawn" : "");
    return FLOW_DONE;
}

static const struct flow_def erase_def = {"athlete_erase", erase_steps, erase_STEP_COUNT, NULL};

int cli_athlete_erase_check(struct cli *c)
{
    int64_t id;
    if (athlete_id(c, &id) != 0) {
        return -1;
    }
    if (!cli_option(c, "yes") && (isatty(STDIN_FILENO) != 1 || c->json)) {
        return err_set(&c->err, ERR_USAGE, ERR_PERMANENT,
                       "nobody can be asked here whether that is meant: waymark athlete erase "
                       "%lld --yes",
                       (long long)id);
    }
    return 0;
}

struct flow *cli_athlete_erase(struct cli *c)
{
    struct erase_flow *x = flow_new(c->app.loop, &erase_def, sizeof(*x), 0);
    x->c = c;
    CHECK(athlete_id(c, &x->e.athlete_id) == 0);
    x->e.who = cli__jobs_who(c);
    x->e.arena = c->arena;
    x->e.ret = &x->after;
    return &x->f;
}
