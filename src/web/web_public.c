/* The look of the public pages, and what those see who are not logged in. */
#include "web/internal.h"

#define FILES "/static/"

void web__public_begin(struct buf *out, const char *title, bool small)
{
    web__head(out, title, FILES);
    web__html(out,
              "<link rel=\"stylesheet\" href=\"" FILES "people.css\">\n</head><body class=\"%s\">\n"
              "<header><a class=\"name\" href=\"/\">Waymark</a>",
              small ? "people small" : "people");
    buf_puts(out, "</header>\n<main id=\"main\">");
    web__html(out, "<h1>%s</h1>\n", title);
}

void web__public_end(struct buf *out)
{
    buf_puts(out, "</main>\n</body></html>\n");
}

void web__public_notice(struct httpd_req *r, int status, const char *title, const char *text,
                        const char *href, const char *label)
{
    struct buf out = {0};
    web__public_begin(&out, title, true);
    web__html(&out, "<p>%s</p>\n<p><a class=\"button\" href=\"%s\">%s</a></p>\n", text, href,
              label);
    web__public_end(&out);
    httpd_html(r, status, &out);
}

static const char about[] =
    "<p>How much of a long-distance trail have you walked, over all the years? Waymark finds every "
    "stretch of every trail in your activities, and adds them up.</p>\n";

static const char privacy[] =
    "<h2>What becomes of your data</h2>\n<dl>\n"
    "<dt>What is stored</dt><dd>Your activities as Strava tells of them (name, kind, times, "
    "track), "
    "your name, and the keys with which Strava lets this server ask. They are fetched anew when "
    "something changes at Strava; what you hide or delete there goes here too.</dd>\n"
    "<dt>Who sees it</dt><dd>You, when you are logged in. No other visitor; there are no lists and "
    "no comparisons. Whoever runs this server can read its database.</dd>\n"
    "<dt>How to leave</dt><dd>“Disconnect” on your page erases all of it at once and gives the "
    "keys "
    "back. Withdrawing in <a href=\"https://www.strava.com/settings/apps\">Strava’s settings</a> "
    "does the same. Before that you can take everything along: “Export”.</dd>\n"
    "<dt>Whom to ask</dt><dd>";

/* Who that is only they can say; where they are, we know. */
static void whom_to_ask(struct buf *out, const struct web *w)
{
    const char *host = w->conf.origin ? strstr(w->conf.origin, "://") + 3 : NULL;
    if (host) {
        web__html(out, "Whoever runs <a href=\"%s\">%s</a>", w->conf.origin, host);
    } else {
        buf_puts(out, "Whoever runs this server");
    }
    buf_puts(out, ": they answer questions, and can erase you, too.</dd>\n</dl>\n");
}

void web__welcome(struct httpd_req *r, const struct web *w)
{
    struct buf out = {0};
    web__public_begin(&out, "Your trails", false);
    buf_puts(&out, about);
    if (w->conf.strava) {
        buf_puts(&out, "<p><a class=\"connect\" href=\"/auth/strava\">Connect with Strava</a></p>\n"
                       "<p class=\"note\">Whoever was here before logs in with it, too.</p>\n");
        buf_puts(&out, privacy);
        whom_to_ask(&out, w);
    } else {
        buf_puts(&out,
                 "<p class=\"note\">Nobody can log in here: this server is not connected with "
                 "Strava (its setting strava.client_id is empty).</p>\n");
    }
    web__public_end(&out);
    httpd_html(r, 200, &out);
}
