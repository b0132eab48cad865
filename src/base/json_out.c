#include <math.h>

#include "base/internal.h"

static void put_code(struct buf *b, uint32_t cp)
{
    static const char short_forms[] = "\bb\tt\nn\ff\rr\"\"\\\\";
    for (const char *f = short_forms; *f; f += 2) {
        if ((unsigned char)f[0] == cp) {
            buf_putc(b, '\\');
            buf_putc(b, f[1]);
            return;
        }
    }
    buf_printf(b, "\\u%04x", (unsigned)cp);
}

void base__json_escape(struct buf *b, struct span s)
{
    size_t plain = 0; /* start of the run that needs no change */
    for (size_t i = 0; i < s.n;) {
        uint32_t cp;
        size_t len = base__utf8_next(s.p + i, s.n - i, &cp);
        bool escape = len && (cp < 0x20 || cp == '"' || cp == '\\' || (cp >= 0x7f && cp < 0xa0));
        if (len && !escape) {
            i += len;
            continue;
        }
        buf_put(b, s.p + plain, i - plain);
        put_code(b, len ? cp : 0xfffd);
        i += len ? len : 1;
        plain = i;
    }
    buf_put(b, s.n ? s.p + plain : "", s.n - plain);
}

static void before_value(struct json_out *j, const char *key)
{
    if (j->comma) {
        buf_putc(j->buf, ',');
    }
    if (key) {
        buf_putc(j->buf, '"');
        base__json_escape(j->buf, span_of(key));
        buf_puts(j->buf, "\":");
    }
    j->comma = true;
}

static void begin(struct json_out *j, const char *key, char bracket)
{
    before_value(j, key);
    buf_putc(j->buf, bracket);
    j->comma = false;
}

static void end(struct json_out *j, char bracket)
{
    buf_putc(j->buf, bracket);
    j->comma = true;
}

void jo_begin_object(struct json_out *j, const char *key)
{
    begin(j, key, '{');
}

void jo_end_object(struct json_out *j)
{
    end(j, '}');
}

void jo_begin_array(struct json_out *j, const char *key)
{
    begin(j, key, '[');
}

void jo_end_array(struct json_out *j)
{
    end(j, ']');
}

void jo_span(struct json_out *j, const char *key, struct span val)
{
    before_value(j, key);
    buf_putc(j->buf, '"');
    base__json_escape(j->buf, val);
    buf_putc(j->buf, '"');
}

void jo_str(struct json_out *j, const char *key, const char *val)
{
    if (val) {
        jo_span(j, key, span_of(val));
    } else {
        jo_null(j, key);
    }
}

void jo_i64(struct json_out *j, const char *key, int64_t val)
{
    before_value(j, key);
    buf_printf(j->buf, "%lld", (long long)val);
}

void jo_f64(struct json_out *j, const char *key, double val, int decimals)
{
    if (!isfinite(val)) {
        jo_null(j, key);
        return;
    }
    char text[BASE__F64_SIZE];
    before_value(j, key);
    buf_puts(j->buf, base__format_f64(val, decimals, text));
}

void jo_bool(struct json_out *j, const char *key, bool val)
{
    before_value(j, key);
    buf_puts(j->buf, val ? "true" : "false");
}

void jo_null(struct json_out *j, const char *key)
{
    before_value(j, key);
    buf_puts(j->buf, "null");
}
