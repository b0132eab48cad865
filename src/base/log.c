#include <errno.h>
#include <math.h>
#include <poll.h>
#include <unistd.h>

#include "base/internal.h"

/* A value longer than this is cut: one line is one write, and a pipe keeps only short ones whole.
 */
enum { VALUE_MAX = 4096, SECRET_MIN = 6 };

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static struct {
    enum log_level level;
    enum log_format format;
    FILE *out;
    struct buf line, clean;
    struct {
        VEC(char *);
    } secrets; /* the longest first, so that a secret is not cut by another one that is part of it
                */
} lg = {.level = LOG_LEVEL_INFO};

void log_init(enum log_level level, enum log_format format, FILE *out)
{
    lg.level = level;
    lg.format = format;
    lg.out = out;
    buf_done(&lg.line);
    buf_done(&lg.clean);
}

bool log_enabled(enum log_level level)
{
    return level >= lg.level;
}

/* ---- secrets -----------------------------------------------------------------------------------
 */

void log_add_secret(const char *value)
{
    size_t n = value ? strlen(value) : 0;
    if (n < SECRET_MIN) {
        return;
    }
    size_t at = 0;
    while (at < lg.secrets.n && strlen(lg.secrets.v[at]) >= n) {
        if (strcmp(lg.secrets.v[at], value) == 0) {
            return;
        }
        at++;
    }
    (void)vec_push(&lg.secrets);
    memmove(lg.secrets.v + at + 1, lg.secrets.v + at,
            (lg.secrets.n - at - 1) * sizeof(*lg.secrets.v));
    lg.secrets.v[at] = mem_strdup(value);
}

void log_forget_secrets(void)
{
    for (size_t i = 0; i < lg.secrets.n; i++) {
        explicit_bzero(lg.secrets.v[i], strlen(lg.secrets.v[i]));
        mem_free(lg.secrets.v[i]);
    }
    vec_done(&lg.secrets);
}

static const char *secret_at(const char *p, size_t n)
{
    for (size_t i = 0; i < lg.secrets.n; i++) {
        size_t len = strlen(lg.secrets.v[i]);
        if (len <= n && memcmp(p, lg.secrets.v[i], len) == 0) {
            return lg.secrets.v[i];
        }
    }
    return NULL;
}

/* The text without secrets, valid until the next call. Before escaping: a secret may hold a quote.
 */
static struct span redact(struct span s)
{
    if (lg.secrets.n == 0) {
        return s;
    }
    buf_clear(&lg.clean);
    for (size_t i = 0; i < s.n;) {
        const char *secret = secret_at(s.p + i, s.n - i);
        buf_put(&lg.clean, secret ? "***" : s.p + i, secret ? 3 : 1);
        i += secret ? strlen(secret) : 1;
    }
    return buf_span(&lg.clean);
}

/* ---- lines -------------------------------------------------------------------------------------
 */

/* A logfmt value may stand bare if nobody could read it otherwise. */
static bool bare(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f) {
            return false;
        }
    }
    return s.n > 0;
}

static void put_text(struct buf *b, struct span s, bool quoted)
{
    s = redact(s);
    bool cut = s.n > VALUE_MAX;
    if (cut) {
        s.n = base__utf8_cut(s.p, VALUE_MAX);
    }
    if (!quoted && !cut && bare(s)) {
        buf_put(b, s.p, s.n);
        return;
    }
    buf_putc(b, '"');
    base__json_escape(b, s);
    buf_puts(b, cut ? "...\"" : "\"");
}

/* Numbers go through the same redaction: a secret may be one. */
static void put_number(struct buf *b, const char *text)
{
    struct span clean = redact(span_of(text));
    if (!span_is(clean, text)) {
        put_text(b, span_of(text), lg.format == LOG_FORMAT_JSON);
    } else {
        buf_puts(b, text);
    }
}

static void put_value(struct buf *b, const struct log_kv *kv)
{
    char text[BASE__F64_SIZE];
    switch (kv->type) {
    case LOG_KV_STR:
        if (kv->s) {
            put_text(b, span_of(kv->s), lg.format == LOG_FORMAT_JSON);
        } else {
            buf_puts(b, "null");
        }
        return;
    case LOG_KV_I64:
        snprintf(text, sizeof(text), "%lld", (long long)kv->i);
        put_number(b, text);
        return;
    case LOG_KV_F64:
        put_number(b, isfinite(kv->f) ? base__format_f64(kv->f, 6, text) : "null");
        return;
    case LOG_KV_BOOL:
        buf_puts(b, kv->i ? "true" : "false");
        return;
    }
}

static void put_key(struct buf *b, const char *key)
{
    if (lg.format == LOG_FORMAT_JSON) {
        buf_printf(b, "%s\"%s\":", b->n ? "," : "{", key);
    } else {
        buf_printf(b, "%s%s=", b->n ? " " : "", key);
    }
}

/* One write a line, so that lines of processes that share a pipe do not mix. A reader that does not
 * read may hold us up for a moment, but not for good. */
static void emit(const struct buf *b)
{
    FILE *out = lg.out ? lg.out : stderr;
    int fd = fileno(out);
    if (fd < 0) {
        /* A memory stream, in tests. */
        fwrite(b->p, 1, b->n, out);
        fflush(out);
        return;
    }
    fflush(out);
    for (size_t done = 0; done < b->n;) {
        ssize_t n = write(fd, b->p + done, b->n - done);
        if (n >= 0) {
            done += (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            if (poll(&wait, 1, 100) <= 0) {
                return;
            }
        } else if (errno != EINTR) {
            return;
        }
    }
}

void log_write(enum log_level level, const char *msg, const struct log_kv *kv, size_t n)
{
    if (!log_enabled(level)) {
        return;
    }
    bool json = lg.format == LOG_FORMAT_JSON;
    char now[40];
    struct buf *b = &lg.line;
    buf_clear(b);
    put_key(b, "time");
    buf_printf(b, json ? "\"%s\"" : "%s", time_format_iso(clock_wall_us(), now));
    put_key(b, "level");
    buf_printf(b, json ? "\"%s\"" : "%s", level_names[level]);
    put_key(b, "msg");
    put_text(b, span_of(msg), true);
    for (size_t i = 0; i < n; i++) {
        put_key(b, kv[i].key);
        put_value(b, &kv[i]);
    }
    buf_puts(b, json ? "}\n" : "\n");
    emit(b);
}

void log_err(enum log_level level, const char *msg, const struct err *err)
{
    char at[128];
    snprintf(at, sizeof(at), "%s:%d", err->file ? err->file : "?", err->line);
    const struct log_kv kv[] = {
        L_S("class", err_class_name(err->class)),
        L_S("error", err->msg),
        L_S("at", at),
        L_S("sqlstate", err->sqlstate),
    };
    log_write(level, msg, kv, err->sqlstate[0] ? 4 : 3);
}
