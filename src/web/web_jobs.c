/* Jobs: those that one looks for, and all that is known of one. */
#include "web/internal.h"

#include <math.h>
#include <string.h>

enum { ARG_QUEUE, ARG_KIND, ARG_STATE, ARG_ATHLETE, ARG_ERROR };
enum { SHOWN = 100 };
static const char *const states[] = {"ready", "running", "waiting", "blocked", "dead", "done"};

/* ---- looking for some ------------------------------------------------------------------------ */

int web__jobs_ask(struct web_view *v, struct db_unit *u, struct err *err)
{
    const char *given = v->arg[ARG_STATE];
    int64_t athlete = 0;
    bool known = !given;
    for (size_t i = 0; i < COUNT_OF(states); i++) {
        known = known || strcmp(given, states[i]) == 0;
    }
    if (!known) {
        return err_set(err, ERR_USAGE, ERR_PERMANENT,
                       "state must be ready, running, waiting, blocked, dead or done");
    }
    if (v->arg[ARG_ATHLETE] &&
        span_to_i64(span_of(v->arg[ARG_ATHLETE]), INT64_MIN + 1, INT64_MAX, &athlete) != 0) {
        return err_set(err, ERR_USAGE, ERR_PERMANENT, "athlete must be a whole number");
    }
    db_add(u, &SQL_jobs_cmd_list);
    if (given) {
        db_p_text_array(u, &given, 1);
    } else {
        db_p_text_array(u, states, COUNT_OF(states));
    }
    db_p_null(u);
    db_p_text(u, v->arg[ARG_QUEUE]);
    db_p_text(u, v->arg[ARG_KIND]);
    if (v->arg[ARG_ATHLETE]) {
        db_p_i64(u, athlete);
    } else {
        db_p_null(u);
    }
    db_p_text(u, v->arg[ARG_ERROR]);
    db_p_null(u);
    db_p_null(u);
    db_p_i64(u, SHOWN);
    db_add(u, &SQL_jobs_cmd_pauses);
    return 0;
}

static void input(const struct web_view *v, struct buf *b, const char *name, const char *label,
                  int arg)
{
    web__html(b, "<label>%s <input name=\"%s\" value=\"%s\"></label>\n", label, name,
              v->arg[arg] ? v->arg[arg] : "");
}

static void search_form(const struct web_view *v, struct buf *b)
{
    buf_puts(b, "<form class=\"search\" method=\"get\" action=\"/admin/jobs\">\n");
    input(v, b, "queue", "Queue", ARG_QUEUE);
    input(v, b, "kind", "Kind", ARG_KIND);
    buf_puts(b, "<label>State <select name=\"state\"><option value=\"\">any</option>");
    for (size_t i = 0; i < COUNT_OF(states); i++) {
        bool chosen = v->arg[ARG_STATE] && strcmp(v->arg[ARG_STATE], states[i]) == 0;
        web__html(b, chosen ? "<option selected>%s</option>" : "<option>%s</option>", states[i]);
    }
    buf_puts(b, "</select></label>\n");
    input(v, b, "athlete", "Athlete", ARG_ATHLETE);
    input(v, b, "error", "Error has", ARG_ERROR);
    buf_puts(b, "<button>Look</button></form>\n");
}

/* Whoever looks at one kind of a queue may stop it. */
static void kind_button(struct web_view *v, struct buf *b)
{
    const char *queue = v->arg[ARG_QUEUE], *kind = v->arg[ARG_KIND];
    bool paused = false;
    if (!queue || !kind) {
        return;
    }
    for (int i = 0; i < db_rows(v->u, 2); i++) {
        const char *of = web__str(v, 2, i, 1);
        paused = paused || (strcmp(web__str(v, 2, i, 0), queue) == 0 && of &&
                            strcmp(of, kind) == 0 && db_is_null(v->u, 2, i, 2));
    }
    buf_puts(b, paused ? "<p class=\"acts\"><span class=\"tag warn\">This kind is paused</span> "
                       : "<p class=\"acts\">");
    web__button(v, b, paused ? "resume" : "pause", paused ? "Resume this kind" : "Pause this kind",
                false, (const char *const[]){"queue", queue, "kind", kind, NULL});
    buf_puts(b, "</p>\n");
}

enum list_col {
    L_ID,
    L_QUEUE,
    L_KIND,
    L_STATE,
    L_PRIO,
    L_ATTEMPT,
    L_MOST,
    L_TENANT,
    L_LANE,
    L_AT,
    L_AGE,
    L_ERROR
};

void web__jobs_draw(struct web_view *v, struct buf *b)
{
    search_form(v, b);
    kind_button(v, b);
    int n = db_rows(v->u, 1);
    web__table(b, "Jobs", "#Job|Queue|Kind|State|#Attempts|Athlete|Lane|#Age|Error");
    for (int i = 0; i < n; i++) {
        web__row(b);
        web__number_cell(b);
        web__job_link(b, web__i64(v, 1, i, L_ID));
        web__text_cell(v, b, 1, i, L_QUEUE);
        web__text_cell(v, b, 1, i, L_KIND);
        web__text_cell(v, b, 1, i, L_STATE);
        web__count_cell(v, b, 1, i, L_ATTEMPT);
        web__cell(b);
        if (!db_is_null(v->u, 1, i, L_TENANT)) {
            int64_t athlete = web__i64(v, 1, i, L_TENANT);
            web__html(b, "<a href=\"/admin/athletes/%d\">%d</a>", athlete, athlete);
        }
        web__text_cell(v, b, 1, i, L_LANE);
        web__age_cell(b, web__f64(v, 1, i, L_AGE));
        web__error_cell(v, b, 1, i, L_ERROR);
    }
    web__end_table(b);
    if (n == SHOWN) {
        buf_puts(b, "<p class=\"note\">These are the first hundred: narrow it down to see others."
                    "</p>\n");
    }
}

/* ---- one ------------------------------------------------------------------------------------- */

enum { CALL_JOB = 1, CALL_TRIES = 2, CALL_NEAR = 3 };
enum job_col {
    J_STATE,
    J_QUEUE,
    J_KIND,
    J_PRIO,
    J_ATTEMPT,
    J_MOST,
    J_CRASHES,
    J_TENANT,
    J_LANE,
    J_UKEY,
    J_PARENT,
    J_HALT,
    J_SUSPECT,
    J_CANCEL,
    J_TIMEOUT,
    J_OWNER,
    J_HOST,
    J_PID,
    J_CREATED,
    J_RUN_AT,
    J_STARTED,
    J_DEADLINE,
    J_ENDED,
    J_ERROR,
    J_REASON,
    J_PAYLOAD,
    J_HALTED
};

int web__job_ask(struct web_view *v, struct db_unit *u, struct err *err)
{
    (void)err;
    const struct db_stmt *const stmt[] = {&SQL_jobs_cmd_show, &SQL_web_tries,
                                          &SQL_jobs_cmd_show_near};
    int64_t id;
    CHECK(span_to_i64(span_of(v->arg[0]), INT64_MIN, INT64_MAX, &id) == 0); /* {id:i64} */
    for (size_t i = 0; i < COUNT_OF(stmt); i++) {
        db_add(u, stmt[i]);
        db_p_i64(u, id);
    }
    return 0;
}

static void fact(struct buf *b, const char *name, const char *value)
{
    if (value && *value) {
        web__html(b, "<dt>%s</dt><dd>%s</dd>\n", name, value);
    }
}

static void number_fact(const struct web_view *v, struct buf *b, const char *name, int col)
{
    if (!db_is_null(v->u, CALL_JOB, 0, col)) {
        web__html(b, "<dt>%s</dt><dd>%d</dd>\n", name, web__i64(v, CALL_JOB, 0, col));
    }
}

static void time_text(struct buf *b, int64_t us)
{
    char iso[40];
    if (us == INT64_MIN) {
        buf_puts(b, "–");
        return;
    }
    web__html(b, "<time datetime=\"%s\">", time_format_iso(us, iso));
    iso[10] = ' ';
    iso[19] = '\0';
    web__html(b, "%s</time>", iso);
}

static void time_fact(const struct web_view *v, struct buf *b, const char *name, int col)
{
    if (!db_is_null(v->u, CALL_JOB, 0, col)) {
        web__html(b, "<dt>%s</dt><dd>", name);
        time_text(b, db_get_time_us(v->u, CALL_JOB, 0, col));
        buf_puts(b, "</dd>\n");
    }
}

static void job_facts(const struct web_view *v, struct buf *b)
{
    static const struct {
        const char *name;
        int col;
    } words[] = {{"Queue", J_QUEUE}, {"Kind", J_KIND},      {"Lane", J_LANE},
                 {"Key", J_UKEY},    {"Died of", J_REASON}, {"Host", J_HOST}},
      numbers[] = {{"Prio", J_PRIO},
                   {"Attempts", J_ATTEMPT},
                   {"At most", J_MOST},
                   {"Crashes", J_CRASHES},
                   {"Instance", J_OWNER},
                   {"Made by job", J_PARENT},
                   {"Seconds it may take", J_TIMEOUT}},
      times[] = {{"Added", J_CREATED},
                 {"Not before", J_RUN_AT},
                 {"Started", J_STARTED},
                 {"Deadline", J_DEADLINE},
                 {"Ended", J_ENDED}};
    buf_puts(b, "<dl>\n");
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        fact(b, words[i].name, web__str(v, CALL_JOB, 0, words[i].col));
    }
    if (!db_is_null(v->u, CALL_JOB, 0, J_TENANT)) {
        int64_t athlete = web__i64(v, CALL_JOB, 0, J_TENANT);
        web__html(b, "<dt>Athlete</dt><dd><a href=\"/admin/athletes/%d\">%d</a></dd>\n", athlete,
                  athlete);
    }
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        number_fact(v, b, numbers[i].name, numbers[i].col);
    }
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        time_fact(v, b, times[i].name, times[i].col);
    }
    buf_puts(b, "</dl>\n");
}

static void job_buttons(struct web_view *v, struct buf *b, const char *state)
{
    const char *const id[] = {"id", v->arg[0], NULL};
    bool dead = strcmp(state, "dead") == 0, done = strcmp(state, "done") == 0;
    buf_puts(b, "<p class=\"acts\">");
    if (dead) {
        web__button(v, b, "retry", "Replay", false, id);
        web__button(v, b, "discard", "Discard", true, id);
    } else if (!done) {
        if (strcmp(state, "waiting") == 0) {
            web__button(v, b, "release", "Run now", false, id);
        }
        web__button(v, b, "cancel", "Cancel", true, id);
    }
    buf_puts(b, "</p>\n");
}

static void timeline(const struct web_view *v, struct buf *b)
{
    web__table(b, "Attempts (times in UTC)",
               "#Attempt|#Instance|Started|Ended|#Took|Outcome|Error");
    for (int i = 0; i < db_rows(v->u, CALL_TRIES); i++) {
        web__row(b);
        web__count_cell(v, b, CALL_TRIES, i, 0);
        web__number_cell(b);
        if (!db_is_null(v->u, CALL_TRIES, i, 1)) {
            web__html(b, "%d", web__i64(v, CALL_TRIES, i, 1));
        }
        for (int col = 2; col <= 3; col++) {
            web__cell(b);
            time_text(b, db_get_time_us(v->u, CALL_TRIES, i, col));
        }
        web__age_cell(b, web__f64(v, CALL_TRIES, i, 4));
        web__text_cell(v, b, CALL_TRIES, i, 5);
        web__error_cell(v, b, CALL_TRIES, i, 6);
    }
    web__end_table(b);
}

static void neighbours(const struct web_view *v, struct buf *b)
{
    if (db_rows(v->u, CALL_NEAR) == 0) {
        return;
    }
    web__table(b, "Jobs it has to do with", "What|Job|Kind|State");
    for (int i = 0; i < db_rows(v->u, CALL_NEAR); i++) {
        web__row(b);
        web__text_cell(v, b, CALL_NEAR, i, 0);
        web__cell(b);
        web__job_link(b, web__i64(v, CALL_NEAR, i, 1));
        web__text_cell(v, b, CALL_NEAR, i, 2);
        web__text_cell(v, b, CALL_NEAR, i, 3);
    }
    web__end_table(b);
}

void web__job_draw(struct web_view *v, struct buf *b)
{
    if (db_rows(v->u, CALL_JOB) == 0) {
        web__html(b, "<p>There is no job %s: it ended more than a week ago, or never was.</p>\n",
                  v->arg[0]);
        v->status = 404;
        return;
    }
    const char *state = web__str(v, CALL_JOB, 0, J_STATE);
    bool cancel = web__i64(v, CALL_JOB, 0, J_CANCEL) != 0;
    web__html(b, "<p class=\"state\">Job %s is <strong>%s</strong>%s%s.</p>\n", v->arg[0], state,
              cancel ? ", and asked to stop" : "",
              web__i64(v, CALL_JOB, 0, J_HALTED) ? "; its lane is stopped" : "");
    const char *error = web__str(v, CALL_JOB, 0, J_ERROR);
    if (error && strcmp(state, "done") != 0) {
        web__html(b, "<pre class=\"error\">%s</pre>\n", error);
    }
    job_buttons(v, b, state);
    job_facts(v, b);
    timeline(v, b);
    struct span payload = db_get_span(v->u, CALL_JOB, 0, J_PAYLOAD);
    if (payload.n > 0) {
        struct buf masked = {0};
        jobs_mask(payload, &masked);
        buf_puts(b, "<h2>Payload</h2>\n<pre>");
        web__span(b, buf_span(&masked));
        buf_puts(b, "</pre>\n");
        buf_done(&masked);
    }
    neighbours(v, b);
}
