/* Dead letters by cause, and what is to become of a cause as a whole. */
#include "web/internal.h"

enum { D_CAUSE, D_QUEUE, D_KIND, D_COUNT, D_FIRST, D_LAST, D_ERROR };

int web__dead_ask(struct web_view *v, struct db_unit *u, struct err *err)
{
    (void)v;
    (void)err;
    db_add(u, &SQL_web_dead);
    db_add(u, &SQL_web_dead_count);
    return 0;
}

void web__dead_draw(struct web_view *v, struct buf *b)
{
    buf_puts(b, "<p>Jobs that failed for good. Those whose error differs only in numbers are one "
                "cause. ");
    web__count(b, web__i64(v, 2, 0, 0));
    buf_puts(b, " in all.</p>\n");
    web__table(b, "Causes", "Error|Queue|Kind|#Jobs|#First|#Last|");
    for (int i = 0; i < db_rows(v->u, 1); i++) {
        web__row(b);
        web__error_cell(v, b, 1, i, D_ERROR);
        web__text_cell(v, b, 1, i, D_QUEUE);
        web__text_cell(v, b, 1, i, D_KIND);
        web__count_cell(v, b, 1, i, D_COUNT);
        web__age_cell(b, web__f64(v, 1, i, D_FIRST));
        web__age_cell(b, web__f64(v, 1, i, D_LAST));
        web__cell(b);
        web__html(b,
                  "<a class=\"button\" href=\"/admin/dead/%s?queue=", web__str(v, 1, i, D_CAUSE));
        web__url(b, web__str(v, 1, i, D_QUEUE));
        buf_puts(b, "&amp;kind=");
        web__url(b, web__str(v, 1, i, D_KIND));
        web__html(b, "\" aria-label=\"Look at the %s letters: %s\">Look</a>",
                  web__str(v, 1, i, D_KIND), web__str(v, 1, i, D_ERROR));
    }
    web__end_table(b);
}

/* ---- one cause ------------------------------------------------------------------------------- */

enum { ARG_CAUSE, ARG_QUEUE, ARG_KIND };
enum { CALL_SUM = 1, CALL_JOBS = 2 };

int web__cause_ask(struct web_view *v, struct db_unit *u, struct err *err)
{
    (void)err;
    const struct db_stmt *const stmt[] = {&SQL_web_cause, &SQL_web_cause_jobs};
    for (size_t i = 0; i < COUNT_OF(stmt); i++) {
        db_add(u, stmt[i]);
        db_p_text(u, v->arg[ARG_CAUSE]);
        db_p_text(u, v->arg[ARG_QUEUE]);
        db_p_text(u, v->arg[ARG_KIND]);
    }
    return 0;
}

static void cause_buttons(struct web_view *v, struct buf *b, int64_t n)
{
    const char *fields[7] = {"cause", v->arg[ARG_CAUSE]};
    size_t k = 2;
    static const char *const name[] = {"queue", "kind"};
    for (size_t i = 0; i < COUNT_OF(name); i++) {
        if (v->arg[ARG_QUEUE + i]) {
            fields[k++] = name[i];
            fields[k++] = v->arg[ARG_QUEUE + i];
        }
    }
    const char *s = n == 1 ? "" : "s";
    buf_puts(b, "<p class=\"acts\">");
    web__button(v, b, "retry", arena_printf(v->arena, "Replay %lld job%s", (long long)n, s), false,
                fields);
    web__button(v, b, "discard", arena_printf(v->arena, "Discard %lld job%s", (long long)n, s),
                true, fields);
    buf_puts(b, "</p>\n");
}

void web__cause_draw(struct web_view *v, struct buf *b)
{
    int64_t n = web__i64(v, CALL_SUM, 0, 0);
    if (n == 0) {
        buf_puts(b, "<p>There is no dead letter of this cause any more. "
                    "<a href=\"/admin/dead\">All causes</a></p>\n");
        return;
    }
    web__html(b, "<pre class=\"error\">%s</pre>\n<p>", web__str(v, CALL_SUM, 0, 3));
    web__count(b, n);
    buf_puts(b, n == 1 ? " job, " : " jobs, ");
    web__count(b, web__i64(v, CALL_SUM, 0, 4));
    buf_puts(b, " athletes; the first ");
    web__age(b, web__f64(v, CALL_SUM, 0, 1));
    buf_puts(b, " ago, the last ");
    web__age(b, web__f64(v, CALL_SUM, 0, 2));
    buf_puts(b, " ago.</p>\n");
    cause_buttons(v, b, n);
    web__table(b, "The newest of them", "Job|Queue|Kind|Athlete|#Attempts|Reason|#Died|Error");
    for (int i = 0; i < db_rows(v->u, CALL_JOBS); i++) {
        web__row(b);
        web__cell(b);
        web__job_link(b, web__i64(v, CALL_JOBS, i, 0));
        web__text_cell(v, b, CALL_JOBS, i, 1);
        web__text_cell(v, b, CALL_JOBS, i, 2);
        web__cell(b);
        if (!db_is_null(v->u, CALL_JOBS, i, 3)) {
            int64_t athlete = web__i64(v, CALL_JOBS, i, 3);
            web__html(b, "<a href=\"/admin/athletes/%d\">%d</a>", athlete, athlete);
        }
        web__count_cell(v, b, CALL_JOBS, i, 4);
        web__text_cell(v, b, CALL_JOBS, i, 5);
        web__age_cell(b, web__f64(v, CALL_JOBS, i, 6));
        web__error_cell(v, b, CALL_JOBS, i, 7);
    }
    web__end_table(b);
}
