/* The accuracy that the matching promises (targets A to E), on the labelled set and through the
 * whole product: inserted as a frontend does, matched by `process`, read from route_sections. */
#include "it/load.h"

#include <math.h>

enum { PIECES_MAX = 4096, CLASSES_MAX = 64, SPURIOUS_M = 100 };

/* ---- intervals ----------------------------------------------------------------------------- */

struct piece {
    double a, b;
};
struct pieces {
    struct piece p[PIECES_MAX];
    unsigned n;
};

static int by_start(const void *x, const void *y)
{
    const struct piece *p = x, *q = y;
    return (p->a > q->a) - (p->a < q->a);
}

/* Of "[[a, b], [c, d]]", or "": their union. */
static void read_pieces(struct pieces *out, const char *json)
{
    struct pieces all = {.n = 0};
    double pair[2];
    int have = 0;
    for (const char *s = json; *(s += strspn(s, "[], \n")) != '\0';) {
        char *end;
        pair[have++] = strtod(s, &end);
        assert_true(end != s && all.n < PIECES_MAX);
        s = end;
        if (have == 2)
            all.p[all.n++] = (struct piece){fmin(pair[0], pair[1]), fmax(pair[0], pair[1])};
        have %= 2;
    }
    assert_int_equal(have, 0);
    qsort(all.p, all.n, sizeof(all.p[0]), by_start);
    out->n = 0;
    for (unsigned i = 0; i < all.n; i++) {
        struct piece *last = out->n > 0 ? &out->p[out->n - 1] : NULL;
        if (last != NULL && all.p[i].a <= last->b)
            last->b = fmax(last->b, all.p[i].b);
        else
            out->p[out->n++] = all.p[i];
    }
}

static double length_of(const struct pieces *x)
{
    double m = 0;
    for (unsigned i = 0; i < x->n; i++)
        m += x->p[i].b - x->p[i].a;
    return m;
}

static double common(const struct pieces *x, const struct pieces *y)
{
    double m = 0;
    for (unsigned i = 0; i < x->n; i++) {
        for (unsigned j = 0; j < y->n; j++)
            m += fmax(0, fmin(x->p[i].b, y->p[j].b) - fmax(x->p[i].a, y->p[j].a));
    }
    return m;
}

/* ---- scores -------------------------------------------------------------------------------- */

/* Of the activities of one class on one route, metres. */
struct score {
    char route[24], name[24];
    unsigned n, bad;
    double truth, under, over; /* over: of those with truth */
    double spurious;           /* emitted by those without */
    double worst_m, worst_share;
};
struct scores {
    struct score of[CLASSES_MAX], total;
    unsigned n;
};

static struct score *score_of(struct scores *all, const char *route, const char *name)
{
    for (unsigned i = 0; i < all->n; i++) {
        if (strcmp(all->of[i].route, route) == 0 && strcmp(all->of[i].name, name) == 0)
            return &all->of[i];
    }
    assert_true(all->n < CLASSES_MAX);
    struct score *s = &all->of[all->n++];
    (void)snprintf(s->route, sizeof(s->route), "%s", route);
    (void)snprintf(s->name, sizeof(s->name), "%s", name);
    return s;
}

static void add(struct score *s, double truth, double under, double over)
{
    double wrong = under + over;
    s->n++;
    s->bad += truth > 0 ? wrong > 0.1 * truth : over > SPURIOUS_M;
    s->truth += truth;
    s->under += under;
    *(truth > 0 ? &s->over : &s->spurious) += over;
    s->worst_m = fmax(s->worst_m, wrong);
    if (truth > 0)
        s->worst_share = fmax(s->worst_share, wrong / truth);
}

static void show(const struct score *s)
{
    print_message("%-13s%-16s%4u %8.1f km  under %.3f %%  over %.3f %%  worst %.2f %%, %.0f m"
                  "  spurious %.0f m  bad %u\n",
                  s->route, s->name, s->n, s->truth / 1e3, 100 * s->under / fmax(s->truth, 1),
                  100 * s->over / fmax(s->truth, 1), 100 * s->worst_share, s->worst_m, s->spurious,
                  s->bad);
}

/* The labels beside what was found for each. The server reads the file: it knows CSV. */
static PGresult *labels(struct it_db *db, const char *sets)
{
    const char *file = it_read_file(load_shared("data/coverage/activities.csv"));
    it_exec(db, "CREATE TEMP TABLE label (id bigint, set text, class text, route text,"
                " distance_m text, polyline text, truth_m text)");
    PQclear(PQexec(db->pg, "COPY label FROM STDIN WITH (FORMAT csv, HEADER)"));
    for (size_t rest = strlen(file); rest > 0;) {
        int n = rest < 1 << 20 ? (int)rest : 1 << 20;
        assert_int_equal(PQputCopyData(db->pg, file, n), 1);
        file += n;
        rest -= (size_t)n;
    }
    assert_int_equal(PQputCopyEnd(db->pg, NULL), 1);
    for (PGresult *res; (res = PQgetResult(db->pg)) != NULL; PQclear(res))
        assert_int_equal(PQresultStatus(res), PGRES_COMMAND_OK);
    return it_query(db,
                    "SELECT id, class, route, truth_m, (SELECT coalesce(json_agg("
                    " json_build_array(s.start_m, s.end_m))::text, '') FROM route_sections s"
                    "  WHERE s.activity_id = l.id AND s.route_id = l.route) FROM label l"
                    " WHERE set = ANY (string_to_array('%s', '+')) AND route <> ''"
                    " ORDER BY route, class, id",
                    sets);
}

static void read_scores(struct scores *all, struct it_db *db, const char *sets)
{
    static struct pieces truth, found;
    PGresult *res = labels(db, sets);
    *all = (struct scores){.total = {.route = "all", .name = ""}};
    for (int i = 0; i < PQntuples(res); i++) {
        read_pieces(&truth, PQgetvalue(res, i, 3));
        read_pieces(&found, PQgetvalue(res, i, 4));
        double both = common(&truth, &found), t = length_of(&truth), e = length_of(&found);
        struct score *s = score_of(all, PQgetvalue(res, i, 2), PQgetvalue(res, i, 1));
        unsigned bad = s->bad;
        add(s, t, t - both, e - both);
        add(&all->total, t, t - both, e - both);
        if (s->bad > bad)
            print_message("BAD: activity %s, %s on %s: truth %.0f m, under %.0f m, over %.0f m\n",
                          PQgetvalue(res, i, 0), s->name, s->route, t, t - both, e - both);
    }
    for (unsigned i = 0; i < all->n; i++)
        show(&all->of[i]);
    show(&all->total);
}

static struct it_db *read_labelled(struct scores *all, const char *sets)
{
    struct it_db *db = it_db_new();
    if (!load_labelled(db, sets)) {
        print_message("skipped: the labelled coverage set is not at hand\n");
        skip();
    }
    it_process(db);
    read_scores(all, db, sets);
    return db;
}

/* ---- targets ------------------------------------------------------------------------------- */

/* Zero: no limit. Metres and shares; "activity" limits hold for each, the others for the class. */
struct target {
    const char *route, *names; /* NULL: any; names with a space before and after each */
    double under, over, wrong; /* shares of the truth */
    double activity_share, activity_m, mean_m;
};
/* The first that fits. Those in front have a matter of their own with any class. */
static const struct target targets[] = {
    {.route = "bruce_coarse", .wrong = 0.006},
    {.route = "zigzag", .over = 0.035},
    {.names = " along multiday out_back gap_short full_ring most_ring seam ",
     .wrong = 0.006,
     .activity_share = 0.025,
     .activity_m = 100},
    {.names = " return_parallel two_sided ", .wrong = 0.01, .activity_share = 0.05},
    {.names = " touch_twice join_far gap_long out_back_park spur_only spur_skip spur_with ",
     .under = 0.004,
     .over = 0.025},
    {.names = " crossing parallel100 parallel400 near_off ", .activity_m = 50},
    {.names = " shallow_cross ", .activity_m = 350, .mean_m = 80},
    {.names = " sparse noisy ", .under = 0.005},
};

static const struct target *target_of(const struct score *s)
{
    for (unsigned i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        const struct target *t = &targets[i];
        if ((t->route == NULL || strcmp(t->route, s->route) == 0) &&
            (t->names == NULL || strstr(t->names, it_format(" %s ", s->name)) != NULL))
            return t;
    }
    fail_msg("no target for %s on %s", s->name, s->route);
    return NULL;
}

static unsigned exceeds(const struct score *s, const char *what, double got, double limit)
{
    if (limit == 0 || got <= limit)
        return 0;
    print_error("%s %s: %s %g, target %g\n", s->route, s->name, what, got, limit);
    return 1;
}

static unsigned missed(const struct score *s, const struct target *t)
{
    double truth = fmax(s->truth, 1e-9), wrong = s->under + s->over;
    return exceeds(s, "under", s->under / truth, t->under) +
           exceeds(s, "over", s->over / truth, t->over) +
           exceeds(s, "under and over", wrong / truth, t->wrong) +
           exceeds(s, "share of the worst", s->worst_share, t->activity_share) +
           exceeds(s, "metres of the worst", s->worst_m, t->activity_m) +
           exceeds(s, "metres in the mean", (wrong + s->spurious) / s->n, t->mean_m);
}

static void the_labelled_set_meets_its_targets(void **state)
{
    (void)state;
    static struct scores all;
    static const struct target total = {.under = 0.0015, .over = 0.0025};
    read_labelled(&all, "acc+acc2");
    unsigned misses = missed(&all.total, &total);
    for (unsigned i = 0; i < all.n; i++)
        misses += missed(&all.of[i], target_of(&all.of[i]));
    assert_int_equal(misses, 0);
    assert_int_equal(all.total.bad, 0);
    assert_true(all.total.n >= 396);
}

static void an_account_is_matched_without_a_bad_activity(void **state)
{
    (void)state;
    static struct scores all;
    struct it_db *db = read_labelled(&all, "account");
    assert_int_equal(all.total.bad, 0);
    assert_true(all.total.n >= 100);
    it_holds(db, "NOT EXISTS (SELECT FROM route_sections s JOIN label l ON l.id = s.activity_id"
                 " WHERE l.class = 'elsewhere')");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(the_labelled_set_meets_its_targets),
        IT_TEST(an_account_is_matched_without_a_bad_activity),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
