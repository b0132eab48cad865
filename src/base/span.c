#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>

#include "base/internal.h"

struct span span_of(const char *cstr)
{
    return cstr ? (struct span){cstr, strlen(cstr)} : (struct span){NULL, 0};
}

bool span_eq(struct span a, struct span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool span_is(struct span a, const char *cstr)
{
    return span_eq(a, span_of(cstr));
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct span span_trim(struct span s)
{
    while (s.n && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && is_space(s.p[s.n - 1])) {
        s.n--;
    }
    return s;
}

/* ---- UTF-8 -------------------------------------------------------------------------------------
 */

size_t base__utf8_next(const char *p, size_t n, uint32_t *ret)
{
    if (n == 0) {
        return 0;
    }
    unsigned char lead = (unsigned char)p[0];
    if (lead < 0x80) {
        *ret = lead;
        return 1;
    }
    size_t len = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || n < len) {
        return 0;
    }
    uint32_t cp = lead & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        unsigned char c = (unsigned char)p[i];
        if ((c & 0xc0) != 0x80) {
            return 0;
        }
        cp = cp << 6 | (c & 0x3f);
    }
    /* Overlong three and four byte forms, surrogates, beyond Unicode. */
    if ((len == 3 && cp < 0x800) || (len == 4 && cp < 0x10000) || (cp >= 0xd800 && cp <= 0xdfff) ||
        cp > 0x10ffff) {
        return 0;
    }
    *ret = cp;
    return len;
}

size_t base__utf8_cut(const char *p, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char c = (unsigned char)p[n - back];
        if (c >= 0xc0) {
            size_t len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
            return back < len ? n - back : n;
        }
        if (c < 0x80) {
            break;
        }
    }
    return n;
}

bool span_utf8_valid(struct span s)
{
    uint32_t cp;
    for (size_t i = 0; i < s.n;) {
        size_t len = base__utf8_next(s.p + i, s.n - i, &cp);
        if (len == 0 || cp == 0) {
            return false;
        }
        i += len;
    }
    return true;
}

static bool is_obeyed(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x061c || cp == 0x200e || cp == 0x200f ||
           (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069);
}

char *text_tame(char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t len = base__utf8_next(text + i, n - i, &cp);
        if (len == 0) {
            text[i++] = '?';
            continue;
        }
        if (is_obeyed(cp)) {
            memset(text + i, ' ', len);
        }
        i += len;
    }
    return text;
}

/* ---- numbers -----------------------------------------------------------------------------------
 */

int span_to_i64(struct span s, int64_t min, int64_t max, int64_t *ret)
{
    bool negative = s.n && s.p[0] == '-';
    size_t i = negative;
    if (i == s.n) {
        return -1;
    }
    /* Counted downwards: the negative range is the larger one. */
    int64_t v = 0;
    for (; i < s.n; i++) {
        int digit = s.p[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_sub_overflow(v, digit, &v)) {
            return -1;
        }
    }
    if (!negative && __builtin_sub_overflow(0, v, &v)) {
        return -1;
    }
    if (v < min || v > max) {
        return -1;
    }
    *ret = v;
    return 0;
}

static locale_t c_locale;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    CHECK(c_locale);
}

static locale_t get_c_locale(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CHECK(pthread_once(&once, make_c_locale) == 0);
    return c_locale;
}

static size_t skip_digits(const char *p, size_t i, size_t n)
{
    while (i < n && p[i] >= '0' && p[i] <= '9') {
        i++;
    }
    return i;
}

/* [+-] digits [. digits] [e [+-] digits], a digit on at least one side of the point. */
static bool is_decimal(const char *p, size_t n)
{
    size_t i = n && (p[0] == '+' || p[0] == '-');
    size_t start = i;
    i = skip_digits(p, i, n);
    size_t digits = i - start;
    if (i < n && p[i] == '.') {
        start = ++i;
        i = skip_digits(p, i, n);
        digits += i - start;
    }
    if (digits == 0) {
        return false;
    }
    if (i < n && (p[i] == 'e' || p[i] == 'E')) {
        i++;
        i += i < n && (p[i] == '+' || p[i] == '-');
        start = i;
        i = skip_digits(p, i, n);
        if (i == start) {
            return false;
        }
    }
    return i == n;
}

int span_to_f64(struct span s, double *ret)
{
    /* The shortest exact decimal of a coordinate has 17 digits; 127 leaves room for any sane
     * writer. */
    char text[128];
    if (s.n >= sizeof(text) || !is_decimal(s.p, s.n)) {
        return -1;
    }
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    double v = strtod_l(text, NULL, get_c_locale());
    if (!isfinite(v)) {
        return -1;
    }
    *ret = v;
    return 0;
}

char *base__format_f64(double v, int decimals, char out[BASE__F64_SIZE])
{
    CHECK(isfinite(v) && decimals >= 0 && decimals <= 17);
    locale_t before = uselocale(get_c_locale());
    int n = snprintf(out, BASE__F64_SIZE, "%.*f", decimals, v);
    uselocale(before);
    CHECK(n > 0 && n < BASE__F64_SIZE);
    if (strchr(out, '.')) {
        while (out[n - 1] == '0') {
            out[--n] = '\0';
        }
        if (out[n - 1] == '.') {
            out[--n] = '\0';
        }
    }
    if (strcmp(out, "-0") == 0) {
        out[0] = '0';
        out[1] = '\0';
    }
    return out;
}
