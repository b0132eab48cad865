/* Athletes: what is matched, and how they stand with Strava. */
#include "web/internal.h"

/* Of SQL_web_athletes. */
enum { L_BACKFILL = 1, L_ACTIVITIES, L_UNMATCHED, L_DEAD, L_STRAVA, L_CALLS };

int web__athletes_ask(struct web_view *v, struct db_unit *u, struct err *err)
{
    (void)v;
    (void)err;
    db_add(u, &SQL_web_athletes);
    return 0;
}

static void progress(struct buf *b, int64_t all, int64_t left)
{
    web__html(b, "<progress max=\"%d\" value=\"%d\" aria-label=\"activities matched\"></progress> ",
              all > 0 ? all : (int64_t)1, all > 0 ? all - left : (int64_t)1);
    web__count(b, all - left);
    buf_puts(b, " of ");
    web__count(b, all);
}

void web__athletes_draw(struct web_view *v, struct buf *b)
{
    web__table(b, "Athletes",
               "Athlete|Strava|Backfill|Activities matched|#Calls waiting|#Dead letters");
    for (int i = 0; i < db_rows(v->u, 1); i++) {
        int64_t id = web__i64(v, 1, i, 0);
        web__row(b);
        web__cell(b);
        web__html(b, "<a href=\"/admin/athletes/%d\">%d</a>", id, id);
        web__text_cell(v, b, 1, i, L_STRAVA);
        web__text_cell(v, b, 1, i, L_BACKFILL);
        web__cell(b);
        progress(b, web__i64(v, 1, i, L_ACTIVITIES), web__i64(v, 1, i, L_UNMATCHED));
        web__count_cell(v, b, 1, i, L_CALLS);
        web__count_cell(v, b, 1, i, L_DEAD);
    }
    web__end_table(b);
}

/* ---- one of them ------------------------------------------------------------------------------
 */

enum { CALL_ATHLETE = 1, CALL_ROUTES, CALL_STRAVA, CALL_SYNCS };
/* Of SQL_web_athlete_strava and SQL_web_athlete_syncs. */
enum { A_STATE, A_REASON, A_SCOPES, A_SINCE_S, A_CALLS, A_CALLS_S, A_PROBLEMS };
enum { S_STARTED, S_MODE, S_BY, S_STATE, S_PAGES, S_PROBLEM = 10 }; /* counts in between */

int web__athlete_ask(struct web_view *v, struct db_unit *u, struct err *err)
{
    int64_t id;
    (void)err;
    CHECK(span_to_i64(span_of(v->arg[0]), INT64_MIN, INT64_MAX, &id) == 0); /* {id:i64} */
    db_add(u, &SQL_web_athlete);
    db_p_i64(u, id);
    db_add(u, &SQL_web_athlete_routes);
    db_p_i64(u, id);
    db_add(u, &SQL_web_athlete_strava);
    db_p_i64(u, id);
    db_add(u, &SQL_web_athlete_syncs);
    db_p_i64(u, id);
    return 0;
}

static void eta(const struct web_view *v, struct buf *b)
{
    int64_t left = web__i64(v, CALL_ATHLETE, 0, 3);
    double per_s = web__f64(v, CALL_ATHLETE, 0, 9);
    if (left == 0) {
        buf_puts(b, "all is matched");
    } else if (per_s > 0) {
        buf_puts(b, "about ");
        web__age(b, (double)left / per_s);
        buf_puts(b, " at the pace of the last ten minutes");
    } else {
        buf_puts(b, "unknown: nothing was done in the last ten minutes");
    }
}

static void draw_calls(const struct web_view *v, struct buf *b)
{
    int64_t calls = web__i64(v, CALL_STRAVA, 0, A_CALLS);
    web__count(b, calls);
    if (calls > 0 && !db_is_null(v->u, CALL_STRAVA, 0, A_CALLS_S)) {
        buf_puts(b, ", about ");
        web__age(b, web__f64(v, CALL_STRAVA, 0, A_CALLS_S));
        buf_puts(b, " with everybody else's");
    }
}

/* How the athlete stands with Strava; nothing for whoever never was there. */
static void draw_strava(const struct web_view *v, struct buf *b)
{
    const char *reason = web__str(v, CALL_STRAVA, 0, A_REASON);
    const char *scopes = web__str(v, CALL_STRAVA, 0, A_SCOPES);
    int64_t problems = web__i64(v, CALL_STRAVA, 0, A_PROBLEMS);
    web__html(b, reason ? "<dt>Strava</dt><dd>%s: %s" : "<dt>Strava</dt><dd>%s",
              web__str(v, CALL_STRAVA, 0, A_STATE), reason);
    if (!db_is_null(v->u, CALL_STRAVA, 0, A_SINCE_S)) {
        buf_puts(b, ", logged in ");
        web__age(b, web__f64(v, CALL_STRAVA, 0, A_SINCE_S));
        buf_puts(b, " ago");
    }
    web__html(b, scopes ? ", granted %s</dd>\n" : "</dd>\n", scopes);
    buf_puts(b, "<dt>Calls that wait</dt><dd>");
    draw_calls(v, b);
    buf_puts(b, "</dd>\n");
    if (problems > 0) {
        web__html(b, "<dt>Set aside</dt><dd>%d activities that Strava could not serve</dd>\n",
                  problems);
    }
}

static void draw_syncs(const struct web_view *v, struct buf *b)
{
    if (db_rows(v->u, CALL_SYNCS) == 0) {
        return;
    }
    web__table(
        b, "Syncs with Strava",
        "Started|Mode|Asked by|State|#Pages|#Listed|#New|#Changed|#Gone|#Unreadable|Problem");
    for (int i = 0; i < db_rows(v->u, CALL_SYNCS); i++) {
        web__row(b);
        web__text_cell(v, b, CALL_SYNCS, i, S_STARTED);
        web__text_cell(v, b, CALL_SYNCS, i, S_MODE);
        web__text_cell(v, b, CALL_SYNCS, i, S_BY);
        web__text_cell(v, b, CALL_SYNCS, i, S_STATE);
        for (int n = S_PAGES; n < S_PROBLEM; n++) {
            web__count_cell(v, b, CALL_SYNCS, i, n);
        }
        web__error_cell(v, b, CALL_SYNCS, i, S_PROBLEM);
    }
    web__end_table(b);
}

void web__athlete_draw(struct web_view *v, struct buf *b)
{
    static const char *const job[] = {"ready", "waiting", "running", "blocked", "dead"};
    if (db_rows(v->u, CALL_ATHLETE) == 0) {
        web__html(b, "<p>There is no athlete %s.</p>\n", v->arg[0]);
        v->status = 404;
        return;
    }
    buf_puts(b, "<dl>\n<dt>Activities matched</dt><dd>");
    progress(b, web__i64(v, CALL_ATHLETE, 0, 2), web__i64(v, CALL_ATHLETE, 0, 3));
    buf_puts(b, "</dd>\n<dt>Time left</dt><dd>");
    eta(v, b);
    web__html(b, "</dd>\n<dt>Backfill</dt><dd>%s</dd>\n<dt>Jobs</dt><dd>",
              web__str(v, CALL_ATHLETE, 0, 0));
    for (int i = 0; i < (int)COUNT_OF(job); i++) {
        web__html(b,
                  i ? " · <a href=\"/admin/jobs?athlete=%s&amp;state=%s\">%d %s</a>"
                    : "<a href=\"/admin/jobs?athlete=%s&amp;state=%s\">%d %s</a>",
                  v->arg[0], job[i], web__i64(v, CALL_ATHLETE, 0, 4 + i), job[i]);
    }
    buf_puts(b, "</dd>\n");
    draw_strava(v, b);
    buf_puts(b, "</dl>\n");
    draw_syncs(v, b);
    web__table(b, "Routes", "Route|#Length, km|#Covered, km|#Percent");
    for (int i = 0; i < db_rows(v->u, CALL_ROUTES); i++) {
        double length = web__f64(v, CALL_ROUTES, i, 2), covered = web__f64(v, CALL_ROUTES, i, 3);
        web__row(b);
        web__text_cell(v, b, CALL_ROUTES, i, 1);
        web__number_cell(b);
        buf_printf(b, "%.1f", length / 1000);
        web__number_cell(b);
        buf_printf(b, "%.1f", covered / 1000);
        web__number_cell(b);
        buf_printf(b, "%.1f", length > 0 ? 100 * covered / length : 0);
    }
    web__end_table(b);
}
