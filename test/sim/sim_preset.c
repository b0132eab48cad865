/* What athletes have done before the simulation begins. */
#include <math.h>

#include "sim/sim.h"

enum {
    DAY_S = 86400,
    ID_STEP = 390,        /* up to that between the ids of an athlete's activities */
    IDS_OF_ONE = 1000000, /* kept apart for each athlete */
};
static const int64_t FIRST_ID = INT64_C(16000000000);

struct maker {
    struct world *w;
    const struct line *trail;
    struct athlete *who;
    struct rnd r;
    int64_t anchor_s; /* midnight: nothing is later */
    int64_t id;
};

/* ---- one activity ------------------------------------------------------------------------------
 */

static const struct sport {
    const char *name, *noun;
    double least_m, most_m, slow, fast; /* metres; metres a second */
    bool on_trail;
} sports[] = {
    {"Run", "Run", 3000, 16000, 2.5, 3.6, true},
    {"TrailRun", "Trail Run", 5000, 21000, 2.0, 3.0, true},
    {"Hike", "Hike", 5000, 18000, 1.0, 1.4, true},
    {"Walk", "Walk", 1500, 7000, 1.2, 1.6, true},
    {"Ride", "Ride", 15000, 80000, 5.5, 8.5, false},
    {"GravelRide", "Gravel Ride", 15000, 60000, 4.5, 6.5, false},
};
static const struct sport indoor[] = {
    {"VirtualRide", "Zwift", 10000, 40000, 7.0, 9.0, false},
    {"Run", "Treadmill", 4000, 12000, 2.6, 3.4, false},
};
static const struct sport by_hand[] = {
    {"Yoga", "Yoga", 0, 0, 0, 0, false},
    {"WeightTraining", "Weights", 0, 0, 0, 0, false},
    {"Swim", "Swim", 800, 3000, 0.7, 1.0, false},
};

static void take_times(struct maker *m, struct activity *a, double metres,
                       const struct sport *sport)
{
    a->whole_moving_s = sport->fast > 0
                            ? (int)(metres / rnd_between(&m->r, sport->slow, sport->fast))
                            : (int)rnd_between(&m->r, 1200, 5400);
    a->whole_elapsed_s = a->whole_moving_s + (int)rnd_below(&m->r, 900);
}

static void take_shape(struct maker *m, struct activity *a, double metres, bool on_trail)
{
    double whole = line_length_m(m->trail);
    if (on_trail && whole > 1000) {
        if (metres > whole * 0.9)
            metres = whole * 0.9;
        double from = rnd_between(&m->r, 0, whole - metres);
        bool back = rnd_f64(&m->r) < 0.4;
        a->shape = SHAPE_TRAIL;
        a->trail_from = back ? from + metres : from;
        a->trail_to = back ? from : from + metres;
    } else {
        a->shape = SHAPE_LOOP;
        a->loop_m = metres;
    }
}

static void take_name(struct activity *a, const char *noun)
{
    int64_t local = a->start_us / S_US + town_utc_offset_s(a->start_us / S_US);
    int64_t hour = local % DAY_S / 3600;
    const char *part = hour < 11   ? "Morning"
                       : hour < 14 ? "Lunch"
                       : hour < 17 ? "Afternoon"
                                   : "Evening";
    char name[64];
    snprintf(name, sizeof(name), "%s %s", part, noun);
    text_set(&a->name, name);
}

static struct activity *make(struct maker *m, const struct sport *sport, int64_t start_s)
{
    struct activity *a = activity_new(rnd_u64(&m->r));
    double metres = rnd_between(&m->r, sport->least_m, sport->most_m);
    a->start_us = start_s * S_US;
    activity_set_sport(a, sport->name, NULL);
    take_name(a, sport->noun);
    take_times(m, a, metres, sport);
    if (sport >= by_hand && sport < by_hand + COUNT_OF(by_hand))
        a->manual = true;
    if (sport >= indoor && sport < indoor + COUNT_OF(indoor))
        a->trainer = true;
    if (a->manual || a->trainer)
        a->distance = round(metres * 10) / 10;
    else
        take_shape(m, a, metres, sport->on_trail && rnd_f64(&m->r) < 0.75);
    return a;
}

static void keep(struct maker *m, struct activity *a)
{
    a->id = m->id;
    m->id += 1 + rnd_below(&m->r, ID_STEP);
    a->created_us = a->changed_us = a->start_us + (a->whole_elapsed_s + 120) * S_US;
    world_add(m->w, m->who, a);
}

/* A start on the day that is so many before the anchor, by daylight. */
static int64_t start_on(struct maker *m, int64_t days_before)
{
    return m->anchor_s - days_before * DAY_S + (7 + rnd_below(&m->r, 11)) * 3600 +
           rnd_below(&m->r, 3600);
}

/* ---- many --------------------------------------------------------------------------------------
 */

static void shuffle(struct rnd *r, uint32_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (uint32_t)i;
    for (size_t i = n; i > 1; i--) {
        size_t k = (size_t)rnd_below(r, (int64_t)i);
        uint32_t other = v[k];
        v[k] = v[i - 1];
        v[i - 1] = other;
    }
}

/* A tenth indoors, a twentieth by hand; a twentieth only for oneself, a tenth for followers. */
static void fill_years(struct maker *m, size_t n, int64_t days)
{
    uint32_t *kind = mem_alloc(n * sizeof(*kind)), *seen = mem_alloc(n * sizeof(*seen));
    shuffle(&m->r, kind, n);
    shuffle(&m->r, seen, n);
    for (size_t i = 0; i < n; i++) {
        const struct sport *sport = &sports[rnd_below(&m->r, COUNT_OF(sports))];
        int64_t day = 1 + days * (int64_t)(n - 1 - i) / (int64_t)n;
        if (kind[i] < (n + 5) / 10)
            sport = &indoor[rnd_below(&m->r, COUNT_OF(indoor))];
        else if (kind[i] < (n + 5) / 10 + (n + 10) / 20)
            sport = &by_hand[rnd_below(&m->r, COUNT_OF(by_hand))];
        struct activity *a = make(m, sport, start_on(m, day));
        if (seen[i] < (n + 10) / 20)
            a->visibility = VIS_ONLY_ME;
        else if (seen[i] < (n + 10) / 20 + (n + 5) / 10)
            a->visibility = VIS_FOLLOWERS;
        a->privacy_zone = rnd_f64(&m->r) < 0.1;
        keep(m, a);
    }
    mem_free(kind);
    mem_free(seen);
}

static void fill_tiny(struct maker *m)
{
    static const struct {
        const struct sport *sport;
        enum visibility visibility;
    } five[] = {
        {&sports[0], VIS_EVERYONE}, {&sports[4], VIS_EVERYONE},  {&sports[3], VIS_FOLLOWERS},
        {&sports[1], VIS_ONLY_ME},  {&by_hand[1], VIS_EVERYONE},
    };
    for (size_t i = 0; i < COUNT_OF(five); i++) {
        struct activity *a = make(m, five[i].sport, start_on(m, (int64_t)(5 - i) * 3));
        a->visibility = five[i].visibility;
        if (a->shape == SHAPE_LOOP && i != 1)
            take_shape(m, a, a->loop_m, true);
        keep(m, a);
    }
}

static void fill_ties(struct maker *m)
{
    enum { TIES = 250 };
    int64_t start_s = m->anchor_s - 10 * DAY_S + 9 * 3600;
    for (int i = 0; i < TIES; i++)
        keep(m, make(m, &sports[0], start_s));
}

/* ---- oddities ----------------------------------------------------------------------------------
 */

#define LONG_NAME                                                                                  \
    "A name that goes on and on, as people who tell the whole story of their day in it will "      \
    "have it, with the weather, the dog, the \"quoted\" remark of a passer-by and the tea after "  \
    "it, until nobody reads it any more"

static const struct odd {
    const char *name, *sport;
    unsigned quirks;
    enum { PLACED, BY_HAND, INDOORS } kind;
    bool hidden_start, hide_map, privacy_zone;
    double metres;
    int moving_s, elapsed_s; /* 0: as usual */
    const char *description;
} odds[] = {
    {.name = "Sunrise \xf0\x9f\x8c\x84 run \xf0\x9f\x8f\x83\xe2\x80\x8d\xe2\x99\x80\xef\xb8\x8f",
     .sport = "Run"},
    {.name = "Tom & Jerry <chase>", .sport = "TrailRun"},
    {.name = "\"Quoted\" and 'single' \\ back\\slash", .sport = "Hike"},
    {.name = "", .sport = "Walk"},
    {.name = LONG_NAME, .sport = "Run", .description = "line one\nline two\ttabbed"},
    {.name = "\xd8\xac\xd8\xb1\xd9\x8a \xd7\xa8\xd7\x99\xd7\xa6\xd7\x94 \xe8\xb7\x91\xe6\xad\xa5",
     .sport = "Run"},
    {.name = "No polyline: null", .sport = "Run", .quirks = QUIRK_POLY_NULL, .kind = INDOORS},
    {.name = "No polyline: missing", .sport = "Run", .quirks = QUIRK_POLY_MISSING, .kind = INDOORS},
    {.name = "No polyline: empty", .sport = "Run", .kind = INDOORS},
    {.name = "No latlng: null", .sport = "Yoga", .quirks = QUIRK_LATLNG_NULL, .kind = BY_HAND},
    {.name = "Both null",
     .sport = "Swim",
     .quirks = QUIRK_LATLNG_NULL | QUIRK_POLY_NULL,
     .kind = BY_HAND},
    {.name = "Integers only", .sport = "Ride", .quirks = QUIRK_INT_NUMBERS},
    {.name = "No time at all", .sport = "Run", .quirks = QUIRK_ZERO_TIME},
    {.name = "Nowhere", .sport = "WeightTraining", .kind = BY_HAND, .metres = -1},
    {.name = "Below the sea", .sport = "Hike", .quirks = QUIRK_NEGATIVE_ELEVATION},
    {.name = "A long rest", .sport = "Hike", .moving_s = 5400, .elapsed_s = 2 * DAY_S},
    {.name = "Efforts beyond 2^53", .sport = "Run", .quirks = QUIRK_BIG_EFFORTS},
    {.name = "Keys of tomorrow", .sport = "Ride", .quirks = QUIRK_UNKNOWN_KEYS},
    {.name = "A sport of tomorrow",
     .sport = "UnderwaterHockey",
     .quirks = QUIRK_NEW_SPORT,
     .kind = BY_HAND},
    {.name = "An old record", .sport = "Run", .quirks = QUIRK_NO_VISIBILITY},
    {.name = "No file", .sport = "Run", .quirks = QUIRK_NO_EXTERNAL},
    {.name = "Start hidden", .sport = "Run", .hidden_start = true},
    {.name = "Start hidden too", .sport = "Run", .hidden_start = true},
    {.name = "Map hidden", .sport = "Run", .hide_map = true},
    {.name = "Ends hidden", .sport = "Run", .privacy_zone = true},
};

static void fill_edge(struct maker *m)
{
    for (size_t i = 0; i < COUNT_OF(odds); i++) {
        const struct odd *odd = &odds[i];
        /* Two on each day, so that those with a hidden start have the same one. */
        struct activity *a = make(m,
                                  odd->kind == BY_HAND   ? by_hand
                                  : odd->kind == INDOORS ? &indoor[1]
                                                         : sports,
                                  start_on(m, 1 + (int64_t)(COUNT_OF(odds) - i) / 2));
        text_set(&a->name, odd->name);
        text_set(&a->description, odd->description);
        activity_set_sport(a, odd->sport, NULL);
        a->quirks = odd->quirks;
        a->hidden_start = odd->hidden_start;
        a->hide_map = odd->hide_map;
        a->privacy_zone = odd->privacy_zone;
        if (odd->metres < 0)
            a->distance = 0;
        if (odd->moving_s) {
            a->whole_moving_s = odd->moving_s;
            a->whole_elapsed_s = odd->elapsed_s;
            a->start_us -= odd->elapsed_s * S_US;
        }
        if (odd->quirks & QUIRK_ZERO_TIME)
            a->whole_moving_s = 0;
        keep(m, a);
    }
}

/* ---- which -------------------------------------------------------------------------------------
 */

static const char *const names[] = {"none", "tiny", "demo", "big", "ties", "edge", NULL};

bool preset_exists(const char *name)
{
    return name_index(names, name) >= 0;
}

void preset_fill(struct world *w, const struct line *trail, struct athlete *who, int64_t anchor_us)
{
    struct maker m = {
        .w = w,
        .trail = trail,
        .who = who,
        .r = {sim_mix(who->gen, 3)},
        .anchor_s = anchor_us / S_US - anchor_us / S_US % DAY_S,
        .id = FIRST_ID + (int64_t)who->index * IDS_OF_ONE,
    };
    m.id += rnd_below(&m.r, ID_STEP);
    switch (name_index(names, w->preset)) {
    case 1:
        fill_tiny(&m);
        break;
    case 2:
        fill_years(&m, 150, 730);
        break;
    case 3:
        fill_years(&m, 2500, 2920);
        break;
    case 4:
        fill_ties(&m);
        break;
    case 5:
        fill_edge(&m);
        break;
    default:
        break;
    }
}
