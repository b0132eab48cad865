/* The page around a page: menu, forms, notices. */
#include "web/internal.h"

#define FILES "/admin/static/"

void web__head(struct buf *b, const char *title, const char *files)
{
    web__html(b,
              "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
              "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
              "<meta name=\"robots\" content=\"noindex\">\n"
              "<title>%s – Waymark</title>\n"
              "<link rel=\"icon\" href=\"%sicon.svg\" type=\"image/svg+xml\">\n"
              "<link rel=\"stylesheet\" href=\"%sadmin.css\">\n",
              title, files, files);
}

static void menu(const struct web_view *v, struct buf *b)
{
    buf_puts(b, "<header><a class=\"skip\" href=\"#main\">Skip to content</a>"
                "<a class=\"name\" href=\"/admin\">Waymark</a><nav aria-label=\"Pages\"><ul>");
    for (size_t i = 0; i < web__page_count; i++) {
        const struct web_page *p = &web__pages[i];
        if (p->nav) {
            web__html(b,
                      p == v->page ? "<li><a href=\"%s\" aria-current=\"page\">%s</a></li>"
                                   : "<li><a href=\"%s\">%s</a></li>",
                      p->path, p->title);
        }
    }
    web__html(
        b,
        "</ul></nav><form method=\"post\" action=\"/admin/logout\"><input type=\"hidden\" "
        "name=\"csrf\" value=\"%s\"><button class=\"quiet\">Log out</button></form></header>\n",
        v->csrf);
}

void web__frame(struct web_view *v, struct buf *out)
{
    struct buf body = {0};
    v->page->draw(v, &body); /* first: it may set the status */
    web__head(out, v->page->title, FILES);
    buf_puts(out, "<script src=\"/admin/static/admin.js\" defer></script>\n</head><body>\n");
    menu(v, out);
    web__html(out, "<main id=\"main\" tabindex=\"-1\"><h1>%s</h1>\n", v->page->title);
    if (v->page->live) {
        buf_puts(out, "<p class=\"live\" role=\"status\" aria-live=\"off\" hidden></p>\n");
        web__html(out, "<div id=\"live\" data-live=\"/admin/live%s\">\n",
                  strlen(v->path) > 6 ? v->path + 6 : "/");
    } else {
        buf_puts(out, "<div>\n");
    }
    buf_put(out, body.p, body.n);
    buf_puts(out, "</div></main>\n</body></html>\n");
    buf_done(&body);
}

static void small_page(struct buf *out, const char *title)
{
    web__head(out, title, FILES);
    web__html(out, "</head><body class=\"small\">\n<main id=\"main\"><h1>%s</h1>\n", title);
}

void web__login_page(struct buf *out, const char *next, const char *problem)
{
    small_page(out, "Log in");
    if (problem) {
        web__html(out, "<p class=\"problem\" role=\"alert\">%s</p>\n", problem);
    }
    web__html(
        out,
        "<form method=\"post\" action=\"/admin/login\">"
        "<input type=\"hidden\" name=\"next\" value=\"%s\">\n"
        "<label for=\"secret\">Admin secret</label>\n"
        "<input id=\"secret\" name=\"secret\" type=\"password\" required autofocus "
        "autocomplete=\"current-password\" maxlength=\"200\">\n"
        "<button>Log in</button></form>\n"
        "<p>It was shown once when the service first started, or is <code>admin.secret</code> "
        "in its configuration. <code>waymark admin secret</code> makes a new one.</p>\n"
        "</main></body></html>\n",
        next ? next : "/admin");
}

void web__notice(struct httpd_req *r, int status, const char *title, const char *text)
{
    struct buf out = {0};
    small_page(&out, title);
    web__html(&out, "<p>%s</p>\n<p><a href=\"/admin\">To the queues</a></p></main></body></html>\n",
              text);
    httpd_html(r, status, &out);
}

void web__button(struct web_view *v, struct buf *b, const char *action, const char *label,
                 bool danger, const char *const *fields)
{
    web__html(b,
              "<form class=\"act\" method=\"post\" action=\"/admin/do/%s\">"
              "<input type=\"hidden\" name=\"csrf\" value=\"%s\">"
              "<input type=\"hidden\" name=\"back\" value=\"%s\">",
              action, v->csrf, v->path);
    for (; *fields; fields += 2) {
        web__html(b, "<input type=\"hidden\" name=\"%s\" value=\"%s\">", fields[0], fields[1]);
    }
    web__html(b,
              danger ? "<button class=\"danger\">%s</button></form>" : "<button>%s</button></form>",
              label);
}
