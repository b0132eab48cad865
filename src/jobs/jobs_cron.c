/* Cron expressions, as crontab(5) has them: taken apart, and looked at for what their author may
 * not have meant. Pure; when they fire is for q.cron_next, which knows the zones. */
#include "jobs/jobs.h"

#include <strings.h>

enum {
    MAX_SPEC = 256, /* a list of all 60 minutes has 169 characters */
    MAX_DIGITS = 3,
    SHOWN = 40, /* of what was read, in messages */
    ALL_HOURS = (1 << 24) - 1,
    NIGHT_HOURS = 0xf, /* 0 to 3: when zones turn their clocks */
    FEBRUARY = 1 << 2,
    MANY_AN_HOUR = 4,
};
#define ALL_MINUTES ((UINT64_C(1) << 60) - 1)

static const struct field {
    const char *name;
    unsigned min, max;
    unsigned count;    /* of different values */
    const char *names; /* of three letters each, from the lowest value on */
    const char *allowed;
} fields[] = {
    {"minute", 0, 59, 60, "", "0 to 59"},
    {"hour", 0, 23, 24, "", "0 to 23"},
    {"day of month", 1, 31, 31, "", "1 to 31"},
    {"month", 1, 12, 12, "janfebmaraprmayjunjulaugsepoctnovdec", "1 to 12 or jan to dec"},
    {"day of week", 0, 7, 7, "sunmontuewedthufrisat",
     "0 to 7, of which 0 and 7 are Sunday, or sun to sat"},
};

/* One part of a list: spec[from..to), read up to at. */
struct part {
    const struct field *field;
    struct span spec;
    size_t from, to, at;
    struct err *err;
};

static int refuse(const struct part *p, const char *why)
{
    size_t n = p->to - p->from;
    return err_set(p->err, ERR_DATA, ERR_PERMANENT,
                   "schedule: %s, at position %zu: \"%.*s\"%s: %s; allowed are %s, ranges (a-b), "
                   "steps (*/n, a-b/n) and lists (a,b)",
                   p->field->name, p->from + 1, (int)(n < SHOWN ? n : SHOWN), p->spec.p + p->from,
                   n < SHOWN ? "" : "...", why, p->field->allowed);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool next_is(const struct part *p, char c)
{
    return p->at < p->to && p->spec.p[p->at] == c;
}

/* Plain digits. */
static int read_number(struct part *p, unsigned min, unsigned max, const char *why, unsigned *ret)
{
    unsigned v = 0;
    size_t start = p->at;
    for (; p->at < p->to && is_digit(p->spec.p[p->at]); p->at++) {
        if (p->at - start >= MAX_DIGITS) {
            return refuse(p, why);
        }
        v = v * 10 + (unsigned)(p->spec.p[p->at] - '0');
    }
    if (v < min || v > max) {
        return refuse(p, why);
    }
    *ret = v;
    return 0;
}

static int read_name(struct part *p, unsigned *ret)
{
    size_t start = p->at;
    while (p->at < p->to && is_letter(p->spec.p[p->at])) {
        p->at++;
    }
    const char *names = p->field->names;
    if (*names == '\0') {
        return refuse(p, "this field has no names");
    }
    for (unsigned i = 0; names[(size_t)3 * i]; i++) {
        if (p->at - start == 3 && strncasecmp(names + (size_t)3 * i, p->spec.p + start, 3) == 0) {
            *ret = p->field->min + i;
            return 0;
        }
    }
    return refuse(p, "not a name of three letters that is known here");
}

static int read_value(struct part *p, unsigned *ret)
{
    if (p->at >= p->to) {
        return refuse(p, "a value is missing");
    }
    if (is_letter(p->spec.p[p->at])) {
        return read_name(p, ret);
    }
    if (!is_digit(p->spec.p[p->at])) {
        return refuse(p, "not a value");
    }
    return read_number(p, p->field->min, p->field->max, "out of range", ret);
}

/* From Saturday to Sunday is a range as 6-7. */
static int refuse_backwards(struct part *p, unsigned low, unsigned high)
{
    const struct field *f = p->field;
    char why[96], tail[16] = "", head[16] = "";
    unsigned last = f->min + f->count - 1;
    if (low != last) {
        snprintf(tail, sizeof(tail), "-%u", last);
    }
    if (high != f->min) {
        snprintf(head, sizeof(head), "-%u", high);
    }
    snprintf(why, sizeof(why), "a range that runs backwards (write %u%s,%u%s)", low, tail, f->min,
             head);
    return refuse(p, why);
}

static int read_part(struct part *p, uint64_t *bits)
{
    const struct field *f = p->field;
    unsigned low = f->min, high = f->min + f->count - 1, step = 1;
    bool range = true;
    if (next_is(p, '*')) {
        p->at++;
    } else {
        if (read_value(p, &low)) {
            return -1;
        }
        high = low;
        range = next_is(p, '-');
        if (range) {
            p->at++;
            if (read_value(p, &high)) {
                return -1;
            }
            if (high < low) {
                return refuse_backwards(p, low, high);
            }
        }
    }
    if (next_is(p, '/')) {
        char why[64];
        snprintf(why, sizeof(why), "its step must be a number from 1 to %u", f->count);
        p->at++;
        if (!range) {
            return refuse(p, "a step needs a range or * before it");
        }
        if (read_number(p, 1, f->count, why, &step)) {
            return -1;
        }
    }
    if (p->at < p->to) {
        return refuse(p, "not understood to its end");
    }
    for (unsigned v = low; v <= high; v += step) {
        *bits |= UINT64_C(1) << (v - f->min) % f->count << f->min;
    }
    return 0;
}

/* A field is a list without blanks, spec[from..to). */
static int read_field(const struct field *f, struct span spec, size_t from, size_t to,
                      uint64_t *bits, struct err *err)
{
    *bits = 0;
    for (size_t start = from;; start++) {
        struct part p = {.field = f, .spec = spec, .from = start, .at = start, .err = err};
        const char *comma = memchr(spec.p + start, ',', to - start);
        p.to = comma ? (size_t)(comma - spec.p) : to;
        if (read_part(&p, bits)) {
            return -1;
        }
        start = p.to;
        if (start == to) {
            return 0;
        }
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static int read_shorthand(struct span word, size_t at, struct span *ret, struct err *err)
{
    static const struct {
        const char *name, *spec;
    } known[] = {
        {"@hourly", "0 * * * *"},   {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
        {"@weekly", "0 0 * * 0"},   {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
        {"@annually", "0 0 1 1 *"},
    };
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (span_is(word, known[i].name)) {
            *ret = span_of(known[i].spec);
            return 0;
        }
    }
    size_t n = word.n < SHOWN ? word.n : SHOWN;
    return err_set(err, ERR_DATA, ERR_PERMANENT,
                   "schedule: at position %zu: \"%.*s\" is not known; allowed are @hourly, @daily, "
                   "@weekly, @monthly, @yearly or five fields",
                   at + 1, (int)n, word.p);
}

/* The first bytes that cannot be in a schedule, before any of them gets into a message. */
static int check_bytes(struct span spec, struct err *err)
{
    if (spec.n > MAX_SPEC) {
        return err_set(err, ERR_DATA, ERR_PERMANENT,
                       "schedule: it has %zu characters; allowed are at most %d", spec.n, MAX_SPEC);
    }
    for (size_t i = 0; i < spec.n; i++) {
        unsigned char c = (unsigned char)spec.p[i];
        if ((c < ' ' && c != '\t') || c > '~') {
            return err_set(err, ERR_DATA, ERR_PERMANENT,
                           "schedule: at position %zu: byte 0x%02x; allowed are digits, letters, "
                           "blanks and * , - / @",
                           i + 1, c);
        }
    }
    return 0;
}

/* Where the words lie; returns how many there are, of which at most max are told. */
static size_t split(struct span spec, size_t from[], size_t to[], size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < spec.n;) {
        if (is_blank(spec.p[i])) {
            i++;
            continue;
        }
        size_t start = i;
        while (i < spec.n && !is_blank(spec.p[i])) {
            i++;
        }
        if (n < max) {
            from[n] = start;
            to[n] = i;
        }
        n++;
    }
    return n;
}

static int wrong_count(struct span spec, size_t n, const size_t from[], struct err *err)
{
    static const char five[] =
        "allowed are five: minute, hour, day of month, month, day of week (or @daily and the like)";
    if (n == 0) {
        return err_set(err, ERR_DATA, ERR_PERMANENT, "schedule: it is empty; %s", five);
    }
    if (n < COUNT_OF(fields)) {
        return err_set(err, ERR_DATA, ERR_PERMANENT,
                       "schedule: %s, at position %zu: missing after %zu field%s; %s",
                       fields[n].name, spec.n + 1, n, n == 1 ? "" : "s", five);
    }
    size_t at = from[COUNT_OF(fields)], rest = spec.n - at;
    return err_set(err, ERR_DATA, ERR_PERMANENT,
                   "schedule: at position %zu: \"%.*s\" is one field too many; %s", at + 1,
                   (int)(rest < SHOWN ? rest : SHOWN), spec.p + at, five);
}

int jobs_cron_parse(struct span spec, struct jobs_cron *ret, struct err *err)
{
    if (check_bytes(spec, err)) {
        return -1;
    }
    size_t from[COUNT_OF(fields) + 1], to[COUNT_OF(fields) + 1];
    size_t n = split(spec, from, to, COUNT_OF(from));
    if (n == 1 && spec.p[from[0]] == '@') {
        if (read_shorthand((struct span){spec.p + from[0], to[0] - from[0]}, from[0], &spec, err)) {
            return -1;
        }
        n = split(spec, from, to, COUNT_OF(from));
    }
    if (n != COUNT_OF(fields)) {
        return wrong_count(spec, n, from, err);
    }
    struct jobs_cron c = {0};
    uint64_t *bits[] = {&c.minutes, &c.hours, &c.days, &c.months, &c.weekdays};
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (read_field(&fields[i], spec, from[i], to[i], bits[i], err)) {
            return -1;
        }
    }
    /* As crontab(5) says: by its first character, so with every second day both must hold. */
    c.any_day = spec.p[from[2]] != '*' && spec.p[from[4]] != '*';
    c.any_hour = c.hours == ALL_HOURS;
    *ret = c;
    return 0;
}

/* ---- what may not have been meant ---------------------------------------------------------- */

static void lint_minutes(const struct jobs_cron *c, struct buf *out, unsigned *n)
{
    int many = __builtin_popcountll(c->minutes);
    if (c->any_hour || many <= MANY_AN_HOUR) {
        return;
    }
    if (c->minutes == ALL_MINUTES) {
        buf_puts(out, "it fires every minute of the hours it names, 60 times in each; a minute "
                      "such as 0 makes it once\n");
    } else {
        buf_printf(out, "it names hours, and fires %d times in each of them\n", many);
    }
    ++*n;
}

/* Zones whose clock is never turned, as far as the name tells. */
static bool is_steady(const char *tz)
{
    static const char *const steady[] = {"UTC",   "UCT",       "GMT",       "GMT0", "GMT+0",
                                         "GMT-0", "Greenwich", "Universal", "Zulu", "Z"};
    for (size_t i = 0; i < COUNT_OF(steady); i++) {
        if (strcasecmp(tz, steady[i]) == 0) {
            return true;
        }
    }
    return *tz == '\0' || strncasecmp(tz, "Etc/", 4) == 0;
}

static void lint_clock(const struct jobs_cron *c, const char *tz, struct buf *out, unsigned *n)
{
    if (c->any_hour || !(c->hours & NIGHT_HOURS) || is_steady(tz)) {
        return;
    }
    buf_puts(out, "it names hours (");
    const char *comma = "";
    for (unsigned h = 0; h < 4; h++) {
        if (c->hours >> h & 1) {
            buf_printf(out, "%s%u", comma, h);
            comma = ", ";
        }
    }
    buf_printf(out,
               ") that %s may skip or repeat when its clock is turned; it then fires once, at "
               "the jump or at the first of the two\n",
               tz);
    ++*n;
}

static unsigned month_days(unsigned m)
{
    return m == 2 ? 29 : m == 4 || m == 6 || m == 9 || m == 11 ? 30 : 31;
}

/* Bits of the days that the longest of its months has. */
static uint64_t days_there_are(const struct jobs_cron *c)
{
    unsigned longest = 0;
    for (unsigned m = 1; m <= 12; m++) {
        if (c->months >> m & 1 && month_days(m) > longest) {
            longest = month_days(m);
        }
    }
    return (UINT64_C(2) << longest) - 2;
}

static bool lint_dates(const struct jobs_cron *c, struct buf *out, unsigned *n)
{
    uint64_t come = c->days & days_there_are(c);
    if (come == 0) {
        buf_puts(out, c->any_day ? "its days of the month never come in its months: only its days "
                                   "of the week count\n"
                                 : "it never fires: no month that it names has such a day\n");
    } else if (c->months == FEBRUARY && come == UINT64_C(1) << 29) {
        buf_puts(out, c->any_day ? "29 February comes in leap years only\n"
                                 : "it fires in leap years only\n");
    } else {
        return false;
    }
    ++*n;
    return true;
}

/* Not of a day that stands in a row with others, as in 28-31 or in every second day: it is not
 * missed. */
static void lint_short_months(const struct jobs_cron *c, struct buf *out, unsigned *n)
{
    for (unsigned d = 29; d <= 31; d++) {
        if (!(c->days >> d & 1) || c->days >> (d - 1) & 1 || c->days >> (d - 2) & 1) {
            continue;
        }
        unsigned missing = 0;
        for (unsigned m = 1; m <= 12; m++) {
            unsigned shortest = m == 2 ? 28 : month_days(m);
            if (!(c->months >> m & 1) || shortest >= d) {
                continue;
            }
            buf_puts(out, missing++ ? ", " : "");
            if (missing == 1) {
                buf_printf(out, "day %u is skipped in ", d);
            }
            buf_printf(out, "%.3s%s", fields[3].names + (size_t)3 * (m - 1),
                       m == 2 && d == 29 ? " (but for leap years)" : "");
        }
        if (missing) {
            buf_puts(out, "\n");
            ++*n;
        }
    }
}

unsigned jobs_cron_lint(const struct jobs_cron *c, const char *tz, struct buf *out)
{
    unsigned n = 0;
    lint_minutes(c, out, &n);
    lint_clock(c, tz ? tz : "UTC", out, &n);
    if (!lint_dates(c, out, &n)) {
        lint_short_months(c, out, &n);
    }
    return n;
}
