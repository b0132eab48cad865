/* One's own page: trails, how the import goes, the newest activities, and the doors. */
#include "web/internal.h"

#include <math.h>

enum { WHO, TRAILS, NEWEST }; /* calls of the unit */
enum {                        /* columns of WHO */
       W_ATHLETE,
       W_NAME,
       W_ALL,
       W_SCOPES_KNOWN,
       W_REAUTH,
       W_REASON,
       W_ACTIVITIES,
       W_UNMATCHED,
       W_SYNC,
       W_LISTED,
       W_COMPARED_S,
       W_CALLS,
       W_CALLS_S
};
enum { T_NAME, T_LENGTH, T_COVERED, T_ACTIVITIES, T_GAP, T_BEGINS, T_ENDS };
enum { N_ID, N_NAME, N_TYPE, N_DAY, N_DISTANCE, N_STRAVA };

static void km(struct buf *b, double metres)
{
    if (!isfinite(metres)) {
        buf_puts(b, "–");
    } else if (metres < 1000) {
        buf_printf(b, "%.0f\u00a0m", metres);
    } else {
        buf_printf(b, metres < 100000 ? "%.1f\u00a0km" : "%.0f\u00a0km", metres / 1000);
    }
}

/* All of it is only said when it is, but for a metre. */
static double percent(double covered, double length)
{
    if (!(length > 0) || !(covered > 0)) {
        return 0;
    }
    return length - covered < 1 ? 100 : floor(1000 * covered / length) / 10;
}

/* ---- what is to be told ---------------------------------------------------------------------- */

static void draw_grant(struct buf *b, const struct db_unit *u, struct arena *a)
{
    if (db_get_i64(u, WHO, 0, W_REAUTH)) {
        const char *reason = db_get_text(u, WHO, 0, W_REASON, a);
        web__html(
            b,
            "<div class=\"told\" role=\"status\"><p class=\"problem\">Strava does not let this "
            "server ask for you any more%s%s.</p><p>What is here stays. Nothing new comes until "
            "you connect again.</p>",
            reason ? ": " : "", reason ? reason : "");
        buf_puts(b, "<p><a class=\"connect\" href=\"/auth/strava?again=1\">Connect with Strava</a>"
                    "</p></div>\n");
    } else if (db_get_i64(u, WHO, 0, W_SCOPES_KNOWN) && !db_get_i64(u, WHO, 0, W_ALL)) {
        buf_puts(b,
                 "<div class=\"told\"><p>Activities that only you can see, and the parts of tracks "
                 "that you hide, stay out: you did not grant them. <a "
                 "href=\"/auth/strava?again=1\">Connect again</a> to change that.</p></div>\n");
    }
}

static void draw_import(struct buf *b, const struct db_unit *u)
{
    int64_t n = db_get_i64(u, WHO, 0, W_ACTIVITIES), left = db_get_i64(u, WHO, 0, W_UNMATCHED),
            calls = db_get_i64(u, WHO, 0, W_CALLS);
    struct span sync = db_get_span(u, WHO, 0, W_SYNC);
    buf_puts(b, "<p>");
    web__count(b, n);
    buf_puts(b, n == 1 ? " activity is here." : " activities are here.");
    if (span_is(sync, "running")) {
        buf_puts(b, " Your history is being fetched from Strava, the newest first");
        if (db_get_i64(u, WHO, 0, W_LISTED) > 0) {
            buf_puts(b, ": ");
            web__count(b, db_get_i64(u, WHO, 0, W_LISTED));
            buf_puts(b, " so far");
        }
        buf_putc(b, '.');
    } else if (span_is(sync, "failed")) {
        buf_puts(b, " The last comparison with Strava did not come to its end; it is tried again.");
    }
    if (!db_is_null(u, WHO, 0, W_COMPARED_S)) {
        buf_puts(b, " Compared with Strava ");
        web__age(b, db_get_f64(u, WHO, 0, W_COMPARED_S));
        buf_puts(b, " ago.");
    }
    if (calls > 0) {
        buf_putc(b, ' ');
        web__count(b, calls);
        buf_puts(b, calls == 1 ? " of them waits" : " of them wait");
        buf_puts(b, " for Strava, which allows so many questions a day");
        if (!db_is_null(u, WHO, 0, W_CALLS_S)) {
            buf_puts(b, ": about ");
            web__age(b, db_get_f64(u, WHO, 0, W_CALLS_S));
            buf_puts(b, ", if nobody else comes");
        }
        buf_putc(b, '.');
    }
    if (left > 0) {
        buf_putc(b, ' ');
        web__count(b, left);
        buf_puts(b, left == 1 ? " is" : " are");
        buf_puts(b, " still to be compared with the trails.");
    }
    buf_puts(b, "</p>\n");
}

/* ---- trails ---------------------------------------------------------------------------------- */

static void draw_way(struct buf *b, const struct db_unit *u, int row, struct arena *a, double share)
{
    int64_t *begin = NULL, *end = NULL;
    size_t n = db_get_i64_array(u, TRAILS, row, T_BEGINS, a, &begin);
    size_t m = db_get_i64_array(u, TRAILS, row, T_ENDS, a, &end);
    buf_printf(
        b,
        "<svg class=\"way\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" role=\"img\" "
        "aria-label=\"%.1f %% covered\"><rect class=\"all\" width=\"1000\" height=\"10\"/>",
        share);
    for (size_t i = 0; i < n && i < m; i++) {
        web__html(b, "<rect class=\"have\" x=\"%d\" width=\"%d\" height=\"10\"/>", begin[i],
                  end[i] - begin[i]);
    }
    buf_puts(b, "</svg>");
}

static void draw_trails(struct buf *b, const struct db_unit *u, struct arena *a)
{
    int rows = db_rows(u, TRAILS);
    buf_puts(b, "<h2>Your trails</h2>\n");
    if (rows == 0) {
        buf_puts(b, "<p class=\"note\">Nothing of a trail is covered yet.</p>\n");
        return;
    }
    buf_puts(b, "<ul class=\"trails\">\n");
    for (int i = 0; i < rows; i++) {
        double length = db_get_f64(u, TRAILS, i, T_LENGTH),
               covered = db_get_f64(u, TRAILS, i, T_COVERED), share = percent(covered, length);
        int64_t n = db_get_i64(u, TRAILS, i, T_ACTIVITIES);
        web__html(b, "<li><h3><span>%s</span>", db_get_text(u, TRAILS, i, T_NAME, a));
        buf_printf(b, "<span>%.1f %%</span></h3>", share);
        draw_way(b, u, i, a, share);
        buf_puts(b, "<p>");
        km(b, covered);
        buf_puts(b, " of ");
        km(b, length);
        buf_puts(b, " in ");
        web__count(b, n);
        buf_puts(b, n == 1 ? " activity; longest gap " : " activities; longest gap ");
        km(b, db_get_f64(u, TRAILS, i, T_GAP));
        buf_puts(b, "</p></li>\n");
    }
    buf_puts(b, "</ul>\n");
}

static void draw_newest(struct buf *b, const struct db_unit *u, struct arena *a)
{
    int rows = db_rows(u, NEWEST);
    if (rows == 0) {
        return;
    }
    buf_puts(b, "<h2>Newest activities</h2>\n<ul class=\"newest\">\n");
    for (int i = 0; i < rows; i++) {
        const char *day = db_get_text(u, NEWEST, i, N_DAY, a);
        double metres = db_get_f64(u, NEWEST, i, N_DISTANCE);
        web__html(b, "<li><span>%s</span><span>%s, %s, ", db_get_text(u, NEWEST, i, N_NAME, a),
                  day ? day : "no date", db_get_text(u, NEWEST, i, N_TYPE, a));
        km(b, metres);
        if (db_get_i64(u, NEWEST, i, N_STRAVA)) {
            web__html(
                b,
                " <a href=\"https://www.strava.com/activities/%d\" rel=\"noreferrer\">View on "
                "Strava</a>",
                db_get_i64(u, NEWEST, i, N_ID));
        }
        buf_puts(b, "</span></li>\n");
    }
    buf_puts(b, "</ul>\n");
}

static void draw_doors(struct buf *b, const char *csrf)
{
    buf_puts(b, "<div class=\"doors\"><a class=\"button\" href=\"/export\">Export</a>\n"
                "<a class=\"button\" href=\"/auth/disconnect\">Disconnect</a>\n");
    web__html(b,
              "<form method=\"post\" action=\"/auth/logout\"><input type=\"hidden\" name=\"csrf\" "
              "value=\"%s\"><button class=\"quiet\">Log out</button></form></div>\n",
              csrf);
}

void web__people_draw(struct buf *out, const struct db_unit *u, struct arena *a, const char *csrf)
{
    const char *name = db_get_text(u, WHO, 0, W_NAME, a);
    web__public_begin(out, name && *name ? name : "Your trails", false);
    draw_grant(out, u, a);
    draw_import(out, u);
    draw_trails(out, u, a);
    draw_newest(out, u, a);
    draw_doors(out, csrf);
    buf_puts(out, "<p class=\"powered\">Powered by Strava</p>\n");
    web__public_end(out);
}
