/* Text that becomes HTML. Nothing from outside gets into a page but through web__span. */
#include "web/internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>

void web__span(struct buf *b, struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        switch (ch) {
        case '&':
            buf_puts(b, "&amp;");
            break;
        case '<':
            buf_puts(b, "&lt;");
            break;
        case '>':
            buf_puts(b, "&gt;");
            break;
        case '"':
            buf_puts(b, "&quot;");
            break;
        case '\'':
            buf_puts(b, "&#39;");
            break;
        default:
            buf_putc(b, ch >= ' ' || ch == '\n' ? (char)ch : ' ');
        }
    }
}

void web__text(struct buf *b, const char *s)
{
    web__span(b, span_of(s));
}

void web__html(struct buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    for (const char *p = fmt; *p; p++) {
        if (*p != '%') {
            buf_putc(b, *p);
            continue;
        }
        switch (*++p) {
        case 's':
            web__text(b, va_arg(args, const char *));
            break;
        case 'd':
            buf_printf(b, "%" PRId64, va_arg(args, int64_t));
            break;
        case '%':
            buf_putc(b, '%');
            break;
        default:
            CHECK(!"a conversion that web__html knows");
        }
    }
    va_end(args);
}

void web__age(struct buf *b, double seconds)
{
    if (isnan(seconds)) {
        buf_puts(b, "–");
        return;
    }
    double s = seconds < 0 ? 0 : seconds;
    if (s < 1) {
        buf_printf(b, "%.0f ms", s * 1000);
    } else if (s < 120) {
        buf_printf(b, s < 10 ? "%.1f s" : "%.0f s", s);
    } else if (s < 7200) {
        buf_printf(b, "%.0f min", s / 60);
    } else if (s < 48 * 3600) {
        buf_printf(b, "%.0f h", s / 3600);
    } else {
        buf_printf(b, "%.0f d", s / 86400);
    }
}

void web__count(struct buf *b, int64_t n)
{
    char digits[32];
    int len = snprintf(digits, sizeof(digits), "%" PRId64, n < 0 ? -n : n);
    if (n < 0) {
        buf_puts(b, "−");
    }
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) {
            buf_puts(b, "\u202f");
        }
        buf_putc(b, digits[i]);
    }
}

void web__url(struct buf *b, const char *s)
{
    static const char plain[] = "-._~";
    for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
        bool ok = (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ||
                  (*p >= 'A' && *p <= 'Z') || strchr(plain, *p);
        if (ok) {
            buf_putc(b, (char)*p);
        } else {
            buf_printf(b, "%%%02X", *p);
        }
    }
}

/* ---- tables ---------------------------------------------------------------------------------- */

void web__table(struct buf *b, const char *caption, const char *columns)
{
    buf_puts(b, "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"");
    web__text(b, caption);
    buf_puts(b, "\"><table><caption>");
    web__text(b, caption);
    buf_puts(b, "</caption><thead><tr>");
    for (const char *p = columns; *p;) {
        size_t n = strcspn(p, "|");
        bool number = *p == '#';
        buf_puts(b, number ? "<th scope=\"col\" class=\"n\">" : "<th scope=\"col\">");
        web__span(b, (struct span){p + number, n - number});
        buf_puts(b, "</th>");
        p += n;
        if (*p == '|' && !*++p) {
            buf_puts(b, "<td></td>"); /* over buttons there is nothing to say */
        }
    }
    buf_puts(b, "</tr></thead><tbody>\n<tr>"); /* the first web__row closes this one */
}

void web__row(struct buf *b)
{
    static const char first[] = "<tbody>\n<tr>";
    size_t n = sizeof(first) - 1;
    if (b->n < n || memcmp(b->p + b->n - n, first, n) != 0) {
        buf_puts(b, "</td></tr>\n<tr>");
    }
}

static void cell(struct buf *b, const char *open)
{
    if (b->n < 4 || memcmp(b->p + b->n - 4, "<tr>", 4) != 0) {
        buf_puts(b, "</td>");
    }
    buf_puts(b, open);
}

void web__cell(struct buf *b)
{
    cell(b, "<td>");
}

void web__number_cell(struct buf *b)
{
    cell(b, "<td class=\"n\">");
}

void web__end_table(struct buf *b)
{
    static const char first[] = "<tbody>\n<tr>";
    size_t n = sizeof(first) - 1;
    if (b->n >= n && memcmp(b->p + b->n - n, first, n) == 0) {
        buf_puts(b, "<td class=\"none\">none");
    }
    buf_puts(b, "</td></tr>\n</tbody></table></div>\n");
}
