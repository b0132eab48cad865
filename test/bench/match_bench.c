/* Runs the matcher over a labelled set and prints what it costs.
 *
 * usage: match_bench DATA_DIR [OUT.csv]
 *
 * DATA_DIR holds activities.csv (id,set,class,route,distance_m,polyline,truth_m) and
 * routes/<name>.wkt. Activities of the set "account" are matched against bruce and coast, all
 * others against the route they are labelled with. OUT.csv gets activity_id,route_id,start_m,end_m,
 * which coverage_score.py scores. A line per set gives CPU microseconds a pair: prepare (decode the
 * polyline, geo_activity_new; once an activity) and match (geo_match, which projects an activity on
 * first need). */
#include "geo/geo.h"

#include <time.h>

enum { MAX_ROUTES = 32, MAX_SETS = 16, REPEAT = 5 };

struct route {
    char name[40];
    struct geo_route *r;
};

struct set {
    char name[24];
    size_t pairs, touched, sections;
    int64_t prepare_ns, match_ns;
};

struct bench {
    const char *dir;
    FILE *out;
    struct route route[MAX_ROUTES];
    size_t nroute;
    struct set set[MAX_SETS];
    size_t nset;
};

struct activity {
    struct span id, set, route, polyline;
};

static __attribute__((noreturn)) void die(const char *what, const struct err *err)
{
    fprintf(stderr, "match_bench: %s%s%s\n", what, err != NULL ? ": " : "",
            err != NULL ? err->msg : "");
    exit(1);
}

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct buf read_file(const char *path)
{
    struct buf b = {.p = NULL};
    char chunk[1 << 16];
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        die(path, NULL);
    for (size_t n; (n = fread(chunk, 1, sizeof(chunk), f)) > 0;)
        buf_put(&b, chunk, n);
    fclose(f);
    return b;
}

/* LINESTRING(lon lat, lon lat, ...) */
static void read_wkt(const char *text, struct geo_track *ret)
{
    struct err err;
    const char *p = strchr(text, '(');
    if (p == NULL)
        die("no LINESTRING", NULL);
    while (*p == '(' || *p == ',') {
        char *end;
        struct geo_pt pt;
        pt.lon = strtod(p + 1, &end);
        pt.lat = strtod(end, &end);
        if (geo_track_add(ret, pt, 0.0 / 0.0, ret->n == 0, &err) < 0)
            die("reading a route", &err);
        p = end + strspn(end, " ");
    }
}

static struct geo_route *load_route(const char *dir, const char *name)
{
    struct err err;
    char path[4096];
    snprintf(path, sizeof(path), "%s/routes/%s.wkt", dir, name);
    struct buf text = read_file(path);
    struct geo_track line = {.pt = NULL};
    read_wkt(text.p, &line);
    struct geo_route *r = geo_route_new(&line, 40, &err);
    if (r == NULL)
        die(path, &err);
    geo_track_done(&line);
    buf_done(&text);
    return r;
}

static const struct route *route_named(struct bench *b, struct span name)
{
    for (size_t i = 0; i < b->nroute; i++)
        if (span_is(name, b->route[i].name))
            return &b->route[i];
    if (b->nroute == MAX_ROUTES)
        die("too many routes", NULL);
    struct route *r = &b->route[b->nroute++];
    snprintf(r->name, sizeof(r->name), "%.*s", (int)name.n, name.p);
    r->r = load_route(b->dir, r->name);
    return r;
}

static struct set *set_named(struct bench *b, struct span name)
{
    for (size_t i = 0; i < b->nset; i++)
        if (span_is(name, b->set[i].name))
            return &b->set[i];
    if (b->nset == MAX_SETS)
        die("too many sets", NULL);
    struct set *s = &b->set[b->nset++];
    snprintf(s->name, sizeof(s->name), "%.*s", (int)name.n, name.p);
    return s;
}

static struct geo_activity *prepare(struct span polyline)
{
    struct err err;
    struct geo_track track = {.pt = NULL};
    if (geo_polyline_decode(polyline, 5, &track, &err) < 0)
        die("polyline", &err);
    struct geo_activity *a = geo_activity_new(&track, &err);
    if (a == NULL)
        die("activity", &err);
    geo_track_done(&track);
    return a;
}

static void run_pair(struct bench *b, struct set *set, const struct activity *act,
                     const struct geo_activity *a, const struct route *r, bool record)
{
    struct err err;
    struct geo_match m;
    const int64_t start = cpu_ns();
    if (geo_match(r->r, a, &m, &err) < 0)
        die("match", &err);
    set->match_ns += cpu_ns() - start;
    if (record) {
        set->pairs++;
        set->touched += m.n > 0;
        set->sections += m.n;
        for (size_t i = 0; b->out != NULL && i < m.n; i++)
            fprintf(b->out, "%.*s,%s,%.2f,%.2f\n", (int)act->id.n, act->id.p, r->name,
                    m.section[i].iv.a, m.section[i].iv.b);
    }
    geo_match_done(&m);
}

static void run_activity(struct bench *b, const struct activity *act, bool record)
{
    struct set *set = set_named(b, act->set);
    const int64_t start = cpu_ns();
    struct geo_activity *a = prepare(act->polyline);
    set->prepare_ns += cpu_ns() - start;
    if (span_is(act->set, "account")) {
        run_pair(b, set, act, a, route_named(b, SPAN("bruce")), record);
        run_pair(b, set, act, a, route_named(b, SPAN("coast")), record);
    } else {
        run_pair(b, set, act, a, route_named(b, act->route), record);
    }
    geo_activity_free(a);
}

static struct span field(const char **p)
{
    const size_t n = strcspn(*p, ",\n");
    const struct span s = {*p, n};
    *p += n + ((*p)[n] == ',');
    return s;
}

/* The last column is quoted and not needed; no other holds a comma. */
static void run_all(struct bench *b, const char *csv, bool record)
{
    const char *p = csv + strcspn(csv, "\n");
    while (*p == '\n' && p[1] != '\0') {
        p++;
        struct activity act = {.id = field(&p)};
        act.set = field(&p);
        (void)field(&p);
        act.route = field(&p);
        (void)field(&p);
        act.polyline = field(&p);
        p += strcspn(p, "\n");
        run_activity(b, &act, record);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: match_bench DATA_DIR [OUT.csv]\n");
        return 2;
    }
    struct bench b = {.dir = argv[1]};
    char path[4096];
    snprintf(path, sizeof(path), "%s/activities.csv", b.dir);
    struct buf csv = read_file(path);
    if (argc == 3) {
        b.out = fopen(argv[2], "w");
        if (b.out == NULL)
            die(argv[2], NULL);
        fprintf(b.out, "activity_id,route_id,start_m,end_m\n");
    }
    for (int i = 0; i < REPEAT; i++)
        run_all(&b, csv.p, i == 0);
    if (b.out != NULL && fclose(b.out) != 0)
        die(argv[2], NULL);
    printf("%-12s %7s %8s %9s %12s %12s %12s\n", "set", "pairs", "touched", "sections",
           "prepare us", "match us", "us a pair");
    for (size_t i = 0; i < b.nset; i++) {
        const struct set *s = &b.set[i];
        const double n = (double)s->pairs * REPEAT * 1e3;
        printf("%-12s %7zu %8zu %9zu %12.2f %12.2f %12.2f\n", s->name, s->pairs, s->touched,
               s->sections, (double)s->prepare_ns / n, (double)s->match_ns / n,
               (double)(s->prepare_ns + s->match_ns) / n);
    }
    for (size_t i = 0; i < b.nroute; i++)
        geo_route_free(b.route[i].r);
    buf_done(&csv);
    return 0;
}
