/* What the other parts are written with: chance, JSON, scopes. */
#include <math.h>

#include "sim/sim.h"

/* ---- chance ------------------------------------------------------------------------------------
 */

/* splitmix64: every output depends on all bits of the input. */
static uint64_t scramble(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t sim_mix(uint64_t a, uint64_t b)
{
    return scramble(scramble(a) ^ (b * UINT64_C(0xd6e8feb86659fd93)));
}

uint64_t rnd_u64(struct rnd *r)
{
    r->s += UINT64_C(0x9e3779b97f4a7c15);
    return scramble(r->s);
}

double rnd_f64(struct rnd *r)
{
    return (double)(rnd_u64(r) >> 11) / 9007199254740992.0;
}

int64_t rnd_below(struct rnd *r, int64_t n)
{
    return (int64_t)(rnd_u64(r) % (uint64_t)n);
}

double rnd_between(struct rnd *r, double a, double b)
{
    return a + (b - a) * rnd_f64(r);
}

/* ---- JSON --------------------------------------------------------------------------------------
 */

static void escaped(struct buf *b, const char *text)
{
    buf_putc(b, '"');
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\') {
            buf_putc(b, '\\');
            buf_putc(b, *p);
        } else if (c < 0x20 || c == '&' || c == '<' || c == '>' || c == 0x7f) {
            buf_printf(b, "\\u%04x", c);
        } else {
            buf_putc(b, *p);
        }
    }
    buf_putc(b, '"');
}

static void before(struct jw *w, const char *key)
{
    if (w->comma)
        buf_putc(w->b, ',');
    w->comma = true;
    if (key) {
        escaped(w->b, key);
        buf_putc(w->b, ':');
    }
}

void jw_open(struct jw *w, const char *key, char bracket)
{
    before(w, key);
    buf_putc(w->b, bracket);
    w->comma = false;
}

void jw_close(struct jw *w, char bracket)
{
    buf_putc(w->b, bracket);
    w->comma = true;
}

void jw_str(struct jw *w, const char *key, const char *val)
{
    before(w, key);
    if (val)
        escaped(w->b, val);
    else
        buf_puts(w->b, "null");
}

void jw_i64(struct jw *w, const char *key, int64_t val)
{
    before(w, key);
    buf_printf(w->b, "%lld", (long long)val);
}

void jw_f64(struct jw *w, const char *key, double val, int decimals)
{
    char text[64];
    before(w, key);
    int n = snprintf(text, sizeof(text), "%.*f", decimals, val);
    while (n > 2 && text[n - 1] == '0' && text[n - 2] != '.')
        text[--n] = '\0';
    buf_puts(w->b, strcmp(text, "-0.0") == 0 ? "0.0" : text);
}

void jw_bool(struct jw *w, const char *key, bool val)
{
    before(w, key);
    buf_puts(w->b, val ? "true" : "false");
}

void jw_null(struct jw *w, const char *key)
{
    before(w, key);
    buf_puts(w->b, "null");
}

void jw_raw(struct jw *w, const char *key, const char *json)
{
    before(w, key);
    buf_puts(w->b, json);
}

char *sim_iso(int64_t us, char out[40])
{
    time_format_iso(us, out);
    char *point = strchr(out, '.');
    if (point)
        memcpy(point, "Z", 2);
    return out;
}

void jw_time(struct jw *w, const char *key, int64_t us)
{
    char text[40];
    jw_str(w, key, sim_iso(us, text));
}

/* ---- scopes ------------------------------------------------------------------------------------
 */

static const char *const scope_names[] = {
    "read",          "read_all",          "profile:read_all", "profile:write",
    "activity:read", "activity:read_all", "activity:write",   NULL,
};

int scope_parse(const char *text, unsigned *ret)
{
    unsigned all = 0;
    while (*text) {
        size_t n = strcspn(text, ", ");
        unsigned i = 0;
        while (scope_names[i] &&
               (strncmp(scope_names[i], text, n) != 0 || scope_names[i][n] != '\0'))
            i++;
        if (!scope_names[i])
            return -1;
        all |= 1u << i;
        text += n;
        text += *text != '\0';
    }
    *ret = all;
    return 0;
}

char *scope_format(unsigned scope, char out[128])
{
    size_t n = 0;
    out[0] = '\0';
    for (unsigned i = 0; scope_names[i]; i++) {
        if (scope & (1u << i))
            n += (size_t)snprintf(out + n, 128 - n, "%s%s", n ? "," : "", scope_names[i]);
    }
    return out;
}

int name_index(const char *const *names, const char *text)
{
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], text) == 0)
            return i;
    }
    return -1;
}
