/* Which jobs a command is about, and small things that all commands on jobs need. */
#include "cli/cmd_jobs.h"

#include <math.h>
#include <pwd.h>
#include <unistd.h>

/* ---- parsing --------------------------------------------------------------------------------- */

static int option_age(struct cli *c, const char *name, double *ret_s)
{
    const char *v = cli_option(c, name);
    int64_t ms;
    *ret_s = -1;
    if (v && duration_parse(span_of(v), &ms, NULL) != 0) {
        return err_set(&c->err, ERR_USAGE, ERR_PERMANENT,
                       "--%s %s: must be a duration, such as 90s, 2h30m or 30d", name, v);
    }
    if (v) {
        *ret_s = (double)ms / 1000;
    }
    return 0;
}

/* A word of a list separated by spaces. */
static bool is_listed(const char *list, struct span word)
{
    for (const char *p = list; *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        if (span_eq((struct span){p, n}, word)) {
            return true;
        }
        p += n;
    }
    return false;
}

static size_t count_words(const char *list)
{
    size_t n = 0;
    for (const char *p = list; *p; p += strspn(p, " ")) {
        p += strcspn(p, " ");
        n++;
    }
    return n;
}

/* Words separated by sep, each once. */
static int take_states(struct cli *c, const char *given, char sep, const char *known,
                       struct jobs_filter *f)
{
    const char seps[2] = {sep, '\0'};
    for (const char *p = given;; p++) {
        struct span word = {p, strcspn(p, seps)};
        if (!is_listed(known, word)) {
            return err_set(&c->err, ERR_USAGE, ERR_PERMANENT,
                           "--state %s: must be %s; several with commas between", given,
                           cli__jobs_words(c, known));
        }
        char *state = arena_span_dup(c->arena, word);
        if (!cli__jobs_has_state(f, state)) {
            CHECK(f->nstate < JOBS_STATES);
            f->state[f->nstate++] = state;
        }
        p += word.n;
        if (!*p) {
            return 0;
        }
    }
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int take_ids(struct cli *c, struct jobs_filter *f)
{
    f->id = arena_new_array(c->arena, int64_t, c->noperands + 1);
    for (size_t i = 0; i < c->noperands; i++) {
        if (span_to_i64(span_of(c->operand[i]), INT64_MIN + 1, INT64_MAX, &f->id[i]) != 0) {
            return err_set(&c->err, ERR_USAGE, ERR_PERMANENT,
                           "%s is no job: ids are whole numbers, see waymark jobs list",
                           c->operand[i]);
        }
    }
    qsort(f->id, c->noperands, sizeof(f->id[0]), by_value);
    for (size_t i = 0; i < c->noperands; i++) {
        if (f->nid == 0 || f->id[f->nid - 1] != f->id[i]) {
            f->id[f->nid++] = f->id[i];
        }
    }
    return 0;
}

int cli__jobs_filter(struct cli *c, const char *states, const char *fallback,
                     struct jobs_filter *ret)
{
    const char *state = cli_option(c, "state");
    *ret = (struct jobs_filter){
        .queue = cli_option(c, "queue"),
        .kind = cli_option(c, "kind"),
        .error = cli_option(c, "error"),
        .by_athlete = cli_option(c, "athlete") != NULL,
    };
    if (take_ids(c, ret) != 0 ||
        cli_option_i64(c, "athlete", INT64_MIN + 1, INT64_MAX, 0, &ret->athlete) != 0 ||
        option_age(c, "older", &ret->older_s) != 0 || option_age(c, "newer", &ret->newer_s) != 0 ||
        take_states(c, state ? state : fallback, state ? ',' : ' ', states, ret) != 0) {
        return -1;
    }
    ret->whole = ret->nid == 0 && !ret->queue && !ret->kind && !ret->error && !ret->by_athlete &&
                 ret->older_s < 0 && ret->newer_s < 0 && ret->nstate == count_words(states);
    return 0;
}

bool cli__jobs_has_state(const struct jobs_filter *f, const char *state)
{
    for (size_t i = 0; i < f->nstate; i++) {
        if (strcmp(f->state[i], state) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- parameters ------------------------------------------------------------------------------ */

static void add_seconds(struct db_unit *u, double s)
{
    if (s < 0) {
        db_p_null(u);
    } else {
        db_p_f64(u, s);
    }
}

void cli__jobs_add_filter(struct db_unit *u, const struct jobs_filter *f, const int64_t *id,
                          size_t n, bool with_error)
{
    if (f->nid == 0) {
        db_p_null(u);
    } else {
        db_p_i64_array(u, id, n);
    }
    db_p_text(u, f->queue);
    db_p_text(u, f->kind);
    if (f->by_athlete) {
        db_p_i64(u, f->athlete);
    } else {
        db_p_null(u);
    }
    if (with_error) {
        db_p_text(u, f->error);
    }
    add_seconds(u, f->older_s);
    add_seconds(u, f->newer_s);
}

/* ---- the audit ------------------------------------------------------------------------------- */

/* The options as somebody typed them, except where that was many words. */
static void put_options(struct cli *c, struct json_out *j, const char *names)
{
    for (const char *p = names; *p; p += strspn(p, " ")) {
        const char *name = arena_span_dup(c->arena, (struct span){p, strcspn(p, " ")});
        const char *v = cli_option(c, name);
        if (v && *v) {
            jo_str(j, name, v);
        } else if (v) {
            jo_bool(j, name, true); /* a flag */
        }
        p += strlen(name);
    }
}

const char *cli__jobs_options_json(struct cli *c, const char *name, const char *operand,
                                   const char *options)
{
    struct buf out = {0};
    struct json_out j = {.buf = &out};
    jo_begin_object(&j, NULL);
    if (operand) {
        jo_str(&j, name, operand);
    }
    put_options(c, &j, options);
    jo_end_object(&j);
    char *text = arena_strdup(c->arena, out.p);
    buf_done(&out);
    return text;
}

const char *cli__jobs_filter_json(struct cli *c, const struct jobs_filter *f, const char *to)
{
    enum { IDS_KEPT = 1000 }; /* of a row that stays for a year */
    struct buf out = {0};
    struct json_out j = {.buf = &out};
    jo_begin_object(&j, NULL);
    put_options(c, &j, "queue kind state error older newer all");
    if (f->by_athlete) {
        jo_i64(&j, "athlete", f->athlete);
    }
    if (to) {
        jo_str(&j, "to", to);
    }
    if (f->nid > IDS_KEPT) {
        jo_i64(&j, "ids", (int64_t)f->nid);
    } else if (f->nid > 0) {
        jo_begin_array(&j, "ids");
        for (size_t i = 0; i < f->nid; i++) {
            jo_i64(&j, NULL, f->id[i]);
        }
        jo_end_array(&j);
    }
    jo_end_object(&j);
    char *text = arena_strdup(c->arena, out.p);
    buf_done(&out);
    return text;
}

const char *cli__jobs_who(struct cli *c)
{
    char host[256] = "", names[4096];
    struct passwd entry, *found = NULL;
    (void)gethostname(host, sizeof(host) - 1);
    if (getpwuid_r(geteuid(), &entry, names, sizeof(names), &found) != 0 || !found) {
        return arena_printf(c->arena, "uid %u@%s", (unsigned)geteuid(), host);
    }
    return arena_printf(c->arena, "%s@%s", found->pw_name, host);
}

const char *cli__jobs_channel(const struct cli *c)
{
    return config_str(c->config, "database.channel");
}

/* ---- text ------------------------------------------------------------------------------------ */

const char *cli__jobs_age(struct cli *c, double seconds)
{
    if (isnan(seconds)) {
        return "";
    }
    double s = seconds < 0 ? 0 : seconds;
    return s < 120         ? arena_printf(c->arena, "%.0f s", floor(s))
           : s < 2 * 3600  ? arena_printf(c->arena, "%.0f min", floor(s / 60))
           : s < 48 * 3600 ? arena_printf(c->arena, "%.0f h", floor(s / 3600))
                           : arena_printf(c->arena, "%.0f d", floor(s / 86400));
}

const char *cli__jobs_i64(struct cli *c, int64_t v)
{
    return arena_printf(c->arena, "%lld", (long long)v);
}

const char *cli__jobs_words(struct cli *c, const char *list)
{
    const char *text = "";
    for (const char *p = list; *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        text = arena_printf(c->arena, "%s%s%.*s", text,
                            p == list      ? ""
                            : p[n] == '\0' ? " or "
                                           : ", ",
                            (int)n, p);
        p += n;
    }
    return text;
}

const char *cli__jobs_cut(struct cli *c, const char *text, size_t n)
{
    char *all = arena_tame(c->arena, text);
    size_t chars = 0;
    for (char *p = all; *p; p++) {
        if (((unsigned char)*p & 0xc0) != 0x80 && chars++ == n) {
            *p = '\0';
            return arena_printf(c->arena, "%s...", all);
        }
    }
    return all;
}

/* ---- names ----------------------------------------------------------------------------------- */

static bool is_there(const struct db_unit *u, const char *name)
{
    for (int i = 0; i < db_rows(u, 0); i++) {
        if (span_is(db_get_span(u, 0, i, 0), name)) {
            return true;
        }
    }
    return false;
}

int cli__jobs_tell_names(struct cli *c, const struct db_unit *u, const char *thing,
                         const char *list, const char *verb)
{
    struct buf out = {0};
    struct json_out j = {.buf = &out};
    jo_begin_array(&j, NULL);
    for (size_t i = 0; i < c->noperands; i++) {
        const char *name = c->operand[i];
        bool there = is_there(u, name);
        if (!there) {
            fprintf(stderr, "waymark: there is no %s \"%s\": see %s\n", thing,
                    arena_tame(c->arena, name), list);
            c->status = 1;
        } else if (!c->json) {
            printf("%s: %s\n", arena_tame(c->arena, name), verb);
        }
        jo_begin_object(&j, NULL);
        jo_str(&j, "name", name);
        jo_bool(&j, "done", there);
        jo_end_object(&j);
    }
    jo_end_array(&j);
    if (c->json) {
        puts(out.p);
    }
    buf_done(&out);
    return 0;
}
