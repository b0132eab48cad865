#include "it/prom.h"

#include <ctype.h>
#include <math.h>

/* The text format: https://prometheus.io/docs/instrumenting/exposition_formats/ */
static void wrong(const char *line, const char *why)
{
    fail_msg("%s: %.*s", why, (int)strcspn(line, "\n"), line);
}

static size_t name_length(const char *p, bool colons)
{
    size_t n = 0;
    while (isalpha((unsigned char)p[n]) || p[n] == '_' || (colons && p[n] == ':') ||
           (n > 0 && isdigit((unsigned char)p[n])))
        n++;
    return n;
}

static bool is_type(const char *type)
{
    static const char *const types[] = {"counter", "gauge", "histogram", "summary", "untyped"};
    for (unsigned i = 0; i < sizeof(types) / sizeof(*types); i++) {
        if (strcmp(type, types[i]) == 0)
            return true;
    }
    return false;
}

/* "# HELP name text", and on the next line "# TYPE name type"; returns what follows. */
static const char *read_head(struct prom *m, const char *line)
{
    struct prom_family *f = &m->family[m->families];
    if (strncmp(line, "# HELP ", 7) != 0)
        wrong(line, "neither a sample nor HELP");
    size_t n = name_length(line + 7, true);
    if (n == 0 || line[7 + n] != ' ')
        wrong(line, "no name");
    f->name = it_format("%.*s", (int)n, line + 7);
    if (prom_family(m, f->name))
        wrong(line, "twice");
    const char *type = strchr(line, '\n') + 1, *before = it_format("# TYPE %s ", f->name);
    if (strncmp(type, before, strlen(before)) != 0)
        wrong(type, "no TYPE after HELP");
    type += strlen(before);
    f->type = it_format("%.*s", (int)strcspn(type, "\n"), type);
    f->samples = 0;
    if (!is_type(f->type))
        wrong(type, "no such type");
    size_t len = strlen(f->name);
    bool total = len > 6 && strcmp(f->name + len - 6, "_total") == 0;
    if (total != (strcmp(f->type, "counter") == 0))
        wrong(line, "counters, and nothing else, end in _total");
    m->families++;
    assert_true(m->families < PROM_FAMILIES);
    return strchr(type, '\n') + 1;
}

/* Behind the labels. */
static const char *read_labels(const char *line, const char *p)
{
    if (*p != '{')
        return p;
    do {
        p++;
        size_t n = name_length(p, false);
        if (n == 0 || p[n] != '=' || p[n + 1] != '"')
            wrong(line, "a label without name or quotes");
        for (p += n + 2; *p != '"'; p++) {
            if (*p == '\n' || *p == '\0' || (*p == '\\' && !strchr("\\\"n", *++p)))
                wrong(line, "a label value that is not escaped");
        }
        p++;
    } while (*p == ',');
    if (*p != '}')
        wrong(line, "labels that do not end");
    return p + 1;
}

static double read_value(const char *line, const char *text)
{
    char *end;
    if (strcmp(text, "NaN") == 0)
        return NAN;
    if (strcmp(text, "+Inf") == 0)
        return INFINITY;
    if (!isdigit((unsigned char)text[0]) && !(text[0] == '-' && isdigit((unsigned char)text[1])))
        wrong(line, "no number");
    double v = strtod(text, &end);
    if (*end != '\0')
        wrong(line, "more than a number");
    return v;
}

static bool belongs(const struct prom_family *f, const char *name)
{
    size_t n = strlen(f->name);
    if (strcmp(f->type, "histogram") != 0)
        return strcmp(f->name, name) == 0;
    return strncmp(f->name, name, n) == 0 &&
           (strcmp(name + n, "_bucket") == 0 || strcmp(name + n, "_sum") == 0 ||
            strcmp(name + n, "_count") == 0);
}

static const char *read_sample(struct prom *m, const char *line)
{
    struct prom_sample *s = &m->sample[m->samples];
    assert_true(m->samples < PROM_SAMPLES);
    size_t n = name_length(line, true);
    const char *end = read_labels(line, line + n), *stop = strchr(line, '\n');
    s->name = it_format("%.*s", (int)n, line);
    s->labels = it_format("%.*s", (int)(end - line) - (int)n, line + n);
    if (n == 0 || *end != ' ' || m->families == 0)
        wrong(line, "no sample");
    s->value = read_value(line, it_format("%.*s", (int)(stop - end - 1), end + 1));
    struct prom_family *f = &m->family[m->families - 1];
    s->family = f;
    if (!belongs(f, s->name))
        wrong(line, "not below its HELP and TYPE");
    for (unsigned i = m->samples; i-- > 0 && m->sample[i].family == f;) {
        if (strcmp(m->sample[i].name, s->name) == 0 && strcmp(m->sample[i].labels, s->labels) == 0)
            wrong(line, "a series twice");
    }
    bool grows = strcmp(f->type, "gauge") != 0;
    if (grows && !(s->value >= 0))
        wrong(line, "a count below nothing");
    f->samples++;
    m->samples++;
    return stop + 1;
}

/* ---- histograms ---------------------------------------------------------------------------- */

/* Buckets stand together, grow, and end with all. */
static void check_histograms(const struct prom *m)
{
    double last = -1, bound = -INFINITY;
    for (unsigned i = 0; i < m->samples; i++) {
        const struct prom_sample *s = &m->sample[i];
        const char *le = strstr(s->labels, "le=\"");
        if (strcmp(s->family->type, "histogram") != 0)
            continue;
        if (!strstr(s->name, "_bucket")) {
            if (strstr(s->name, "_count") && s->value != last)
                wrong(s->name, "the count is not the last bucket");
            if (bound != INFINITY)
                wrong(s->name, "no bucket for the rest");
            continue;
        }
        if (!le)
            wrong(s->labels, "a bucket without a bound");
        double at = strncmp(le + 4, "+Inf", 4) == 0 ? INFINITY : strtod(le + 4, NULL);
        if (bound == INFINITY) {
            bound = -INFINITY;
            last = 0;
        }
        if (at <= bound || s->value < last)
            wrong(s->labels, "a bucket out of order");
        bound = at;
        last = s->value;
    }
}

/* ---- the whole ----------------------------------------------------------------------------- */

void prom_read(struct prom *m, const char *text)
{
    m->families = m->samples = 0;
    size_t n = strlen(text);
    assert_true(n > 0 && text[n - 1] == '\n');
    for (const char *p = text; *p;)
        p = *p == '#' ? read_head(m, p) : read_sample(m, p);
    check_histograms(m);
}

const struct prom_family *prom_family(const struct prom *m, const char *name)
{
    for (unsigned i = 0; i < m->families; i++) {
        if (strcmp(m->family[i].name, name) == 0)
            return &m->family[i];
    }
    return NULL;
}

double prom_value(const struct prom *m, const char *name, const char *labels)
{
    for (unsigned i = 0; i < m->samples; i++) {
        if (strcmp(m->sample[i].name, name) == 0 && strcmp(m->sample[i].labels, labels) == 0)
            return m->sample[i].value;
    }
    return NAN;
}

void prom_no_less(const struct prom *first, const struct prom *second)
{
    for (unsigned i = 0; i < first->samples; i++) {
        const struct prom_sample *s = &first->sample[i];
        double now = prom_value(second, s->name, s->labels);
        if (strcmp(s->family->type, "gauge") != 0 && !(now >= s->value))
            fail_msg("%s%s was %g and is %g", s->name, s->labels, s->value, now);
    }
}
