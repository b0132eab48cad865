#include "base/base.h"

static int64_t read_clock(clockid_t id, int64_t per_s)
{
    struct timespec ts;
    CHECK(clock_gettime(id, &ts) == 0);
    return (int64_t)ts.tv_sec * per_s + ts.tv_nsec / (1000000000 / per_s);
}

int64_t clock_mono_ms(void)
{
    return read_clock(CLOCK_MONOTONIC, 1000);
}

int64_t clock_mono_ns(void)
{
    return read_clock(CLOCK_MONOTONIC, 1000000000);
}

int64_t clock_wall_us(void)
{
    return read_clock(CLOCK_REALTIME, 1000000);
}

/* ---- durations ---------------------------------------------------------------------------------
 */

static const int64_t NS_MAX = INT64_C(3650) * 86400 * 1000000000;

static const struct unit {
    const char *name;
    int64_t ns;
} units[] = {
    {"ns", 1},
    {"us", 1000},
    {"\xc2\xb5s", 1000},
    {"ms", 1000000},
    {"s", 1000000000},
    {"m", INT64_C(60000000000)},
    {"h", INT64_C(3600000000000)},
    {"d", INT64_C(86400000000000)},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A number as its digits: the unit, and with it the scale, comes after it. */
struct number {
    struct span whole, fraction;
};

static struct span take_digits(struct span *s)
{
    struct span digits = {s->p, 0};
    while (digits.n < s->n && is_digit(s->p[digits.n])) {
        digits.n++;
    }
    s->p += digits.n;
    s->n -= digits.n;
    return digits;
}

static bool take_number(struct span *s, struct number *ret)
{
    ret->whole = take_digits(s);
    ret->fraction = (struct span){NULL, 0};
    if (s->n && s->p[0] == '.') {
        s->p++;
        s->n--;
        ret->fraction = take_digits(s);
    }
    return ret->whole.n || ret->fraction.n;
}

/* The unit is everything up to the next number. */
static int64_t take_unit(struct span *s)
{
    struct span name = {s->p, 0};
    while (name.n < s->n && !is_digit(s->p[name.n]) && s->p[name.n] != '.') {
        name.n++;
    }
    s->p += name.n;
    s->n -= name.n;
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (span_is(name, units[i].name)) {
            return units[i].ns;
        }
    }
    return 0;
}

/* Adds number * unit; false past the limit. */
static bool add_scaled(int64_t *total, const struct number *number, int64_t unit)
{
    int64_t whole = 0;
    for (size_t i = 0; i < number->whole.n; i++) {
        whole = whole * 10 + (number->whole.p[i] - '0');
        if (whole > NS_MAX / unit) {
            return false;
        }
    }
    *total += whole * unit;
    for (size_t i = 0; i < number->fraction.n && unit > 1; i++) {
        unit /= 10;
        *total += (number->fraction.p[i] - '0') * unit;
    }
    return *total <= NS_MAX;
}

int duration_parse(struct span s, int64_t *ret_ms, struct err *err)
{
    struct span all = span_trim(s);
    struct span rest = all;
    int64_t total = 0;
    int parts = 0;
    do {
        struct number number;
        if (!take_number(&rest, &number)) {
            goto bad;
        }
        bool bare = rest.n == 0 && parts == 0;
        int64_t unit = bare ? 1000000000 : take_unit(&rest);
        if (unit == 0) {
            goto bad;
        }
        if (!add_scaled(&total, &number, unit)) {
            return err_set(err, ERR_DATA, ERR_PERMANENT,
                           "duration \"%.*s\" is longer than ten years",
                           (int)(all.n < 60 ? all.n : 60), all.p);
        }
        parts++;
    } while (rest.n);
    /* Upwards: what is not zero must not become "off". */
    *ret_ms = (total + 999999) / 1000000;
    return 0;
bad:
    return err_set(err, ERR_DATA, ERR_PERMANENT,
                   "\"%.*s\" is not a duration such as 90s, 1h30m or 250ms",
                   (int)(all.n < 60 ? all.n : 60), all.n ? all.p : "");
}

char *duration_format(int64_t ms, char out[32])
{
    static const struct unit steps[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    size_t at = 0;
    uint64_t left = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
    if (ms < 0) {
        out[at++] = '-';
    }
    if (ms == 0) {
        snprintf(out, 32, "0s");
        return out;
    }
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        uint64_t count = left / (uint64_t)steps[i].ns;
        left %= (uint64_t)steps[i].ns;
        if (count) {
            at += (size_t)snprintf(out + at, 32 - at, "%llu%s", (unsigned long long)count,
                                   steps[i].name);
        }
    }
    return out;
}

/* ---- ISO 8601 ----------------------------------------------------------------------------------
 */

/* Exactly n digits. */
static bool take_fixed(struct span *s, size_t n, int *ret)
{
    if (s->n < n) {
        return false;
    }
    int v = 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(s->p[i])) {
            return false;
        }
        v = v * 10 + (s->p[i] - '0');
    }
    s->p += n;
    s->n -= n;
    *ret = v;
    return true;
}

static bool take_char(struct span *s, const char *any_of)
{
    if (s->n == 0 || s->p[0] == '\0' || !strchr(any_of, s->p[0])) {
        return false;
    }
    s->p++;
    s->n--;
    return true;
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar; the year starts in March so that the
 * leap day is its last and months have a closed form. */
static int64_t days_of(int year, int month, int day)
{
    int y = month <= 2 ? year - 1 : year;
    int m = month <= 2 ? month + 9 : month - 3;
    int64_t leap = y / 4 - y / 100 + y / 400;
    return (int64_t)y * 365 + leap + (153 * m + 2) / 5 + day - 1 - 719468;
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* hh:mm[:ss[.fraction]] in microseconds. A leap second runs into the next minute. */
static bool take_time(struct span *s, int64_t *ret_us)
{
    int hour, minute, second = 0;
    int64_t us = 0;
    if (!take_fixed(s, 2, &hour) || !take_char(s, ":") || !take_fixed(s, 2, &minute)) {
        return false;
    }
    if (take_char(s, ":")) {
        if (!take_fixed(s, 2, &second)) {
            return false;
        }
        if (take_char(s, ".,")) {
            struct span digits = take_digits(s);
            if (digits.n == 0) {
                return false;
            }
            for (size_t i = 0; i < 6; i++) {
                us = us * 10 + (i < digits.n ? digits.p[i] - '0' : 0);
            }
        }
    }
    if (hour > 23 || minute > 59 || second > 60) {
        return false;
    }
    *ret_us = ((int64_t)hour * 3600 + minute * 60 + second) * 1000000 + us;
    return true;
}

/* Z, +hh, +hhmm, +hh:mm or nothing, in seconds east. */
static bool take_zone(struct span *s, int64_t *ret_s)
{
    *ret_s = 0;
    if (s->n == 0 || take_char(s, "Zz")) {
        return true;
    }
    int sign = s->p[0] == '-' ? -1 : 1;
    int hour, minute = 0;
    if (!take_char(s, "+-") || !take_fixed(s, 2, &hour)) {
        return false;
    }
    if (s->n && (take_char(s, ":"), !take_fixed(s, 2, &minute))) {
        return false;
    }
    *ret_s = sign * ((int64_t)hour * 3600 + minute * 60);
    return hour <= 23 && minute <= 59;
}

int time_parse_iso(struct span s, int64_t *ret_us, struct err *err)
{
    struct span all = span_trim(s);
    struct span rest = all;
    int year, month, day;
    int64_t us = 0, zone = 0;
    bool ok = take_fixed(&rest, 4, &year) && take_char(&rest, "-") &&
              take_fixed(&rest, 2, &month) && take_char(&rest, "-") && take_fixed(&rest, 2, &day) &&
              year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= days_in(year, month);
    if (ok && rest.n) {
        ok = take_char(&rest, "Tt ") && take_time(&rest, &us) && take_zone(&rest, &zone) &&
             rest.n == 0;
    }
    if (!ok) {
        return err_set(err, ERR_DATA, ERR_PERMANENT,
                       "\"%.*s\" is not a time such as 2026-11-21T22:05:00Z",
                       (int)(all.n < 60 ? all.n : 60), all.n ? all.p : "");
    }
    int64_t result = (days_of(year, month, day) * 86400 - zone) * 1000000 + us;
    /* The zone may move it out of the years that the database and the formatter know. */
    if (result < days_of(1, 1, 1) * 86400000000 || result >= days_of(10000, 1, 1) * 86400000000) {
        return err_set(err, ERR_DATA, ERR_PERMANENT,
                       "time \"%.*s\" is outside the years 1 to 9999 in UTC",
                       (int)(all.n < 60 ? all.n : 60), all.p);
    }
    *ret_us = result;
    return 0;
}

char *time_format_iso(int64_t us, char out[40])
{
    int64_t ms = us / 1000 - (us % 1000 < 0);
    int64_t s = ms / 1000 - (ms % 1000 < 0);
    time_t t = (time_t)s;
    struct tm tm;
    if (!gmtime_r(&t, &tm)) {
        snprintf(out, 40, "invalid");
        return out;
    }
    size_t n = strftime(out, 40, "%Y-%m-%dT%H:%M:%S", &tm);
    /* %Y does not pad years before 1000. */
    if (tm.tm_year + 1900 >= 0 && tm.tm_year + 1900 < 1000) {
        n = (size_t)snprintf(out, 40, "%04d", tm.tm_year + 1900);
        n += strftime(out + n, 40 - n, "-%m-%dT%H:%M:%S", &tm);
    }
    snprintf(out + n, 40 - n, ".%03dZ", (int)(ms - s * 1000));
    return out;
}
