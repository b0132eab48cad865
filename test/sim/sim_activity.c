/* An activity and what follows from it. */
#include <math.h>

#include "sim/sim.h"

const char *const quirk_names[] = {
    "poly_null",   "poly_missing", "latlng_null", "int_numbers",        "unknown_keys",
    "new_sport",   "big_efforts",  "zero_time",   "negative_elevation", "no_visibility",
    "no_external", "nul_name",     NULL,
};

/* Where they differ. Sports of later years have no type of their own. */
static const struct {
    const char *sport, *type;
} types[] = {
    {"TrailRun", "Run"},
    {"GravelRide", "Ride"},
    {"MountainBikeRide", "Ride"},
    {"EMountainBikeRide", "EBikeRide"},
    {"VirtualRow", "Rowing"},
    {"Badminton", "Workout"},
    {"HighIntensityIntervalTraining", "Workout"},
    {"Padel", "Workout"},
    {"Pickleball", "Workout"},
    {"Pilates", "Workout"},
    {"Racquetball", "Workout"},
    {"Squash", "Workout"},
    {"TableTennis", "Workout"},
    {"Tennis", "Workout"},
    {"UnderwaterHockey", "Workout"},
};

const char *sport_type_of(const char *sport)
{
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        if (strcmp(types[i].sport, sport) == 0)
            return types[i].type;
    }
    return sport;
}

const char *visibility_name(enum visibility v)
{
    static const char *const names[] = {"everyone", "followers_only", "only_me"};
    return names[v];
}

struct activity *activity_new(uint64_t gen)
{
    struct activity *a = mem_alloc(sizeof(*a));
    a->gen = gen;
    a->name = mem_strdup("");
    a->crop_to = 1;
    a->revision = 1;
    activity_set_sport(a, "Run", NULL);
    return a;
}

static char *copied(const char *text)
{
    return text ? mem_strdup(text) : NULL;
}

struct activity *activity_copy(const struct activity *a)
{
    struct activity *copy = mem_alloc(sizeof(*copy));
    *copy = *a;
    copy->name = copied(a->name);
    copy->description = copied(a->description);
    copy->summary = copied(a->summary);
    copy->prev = NULL;
    if (a->points) {
        copy->point = mem_alloc(a->points * sizeof(*a->point));
        memcpy(copy->point, a->point, a->points * sizeof(*a->point));
    }
    return copy;
}

struct activity *activity_free(struct activity *a)
{
    while (a) {
        struct activity *prev = a->prev;
        mem_free(a->name);
        mem_free(a->description);
        mem_free(a->summary);
        mem_free(a->point);
        mem_free(a);
        a = prev;
    }
    return NULL;
}

void text_set(char **field, const char *text)
{
    char *copy = copied(text);
    mem_free(*field);
    *field = copy;
}

void activity_set_sport(struct activity *a, const char *sport, const char *type)
{
    snprintf(a->sport, sizeof(a->sport), "%s", sport);
    snprintf(a->type, sizeof(a->type), "%s", type ? type : sport_type_of(sport));
}

static void measure_heights(struct activity *a, const struct track *t)
{
    double last = t->v[0].altitude;
    a->elevation_gain = 0;
    a->elevation_high = a->elevation_low = last;
    for (size_t i = 0; i < t->n; i++) {
        double h = t->v[i].altitude;
        a->elevation_gain += h > last ? h - last : 0;
        a->elevation_high = fmax(a->elevation_high, h);
        a->elevation_low = fmin(a->elevation_low, h);
        last = h;
    }
    a->elevation_gain = round(a->elevation_gain * 10) / 10;
}

void activity_remeasure(struct activity *a)
{
    mem_free(a->summary);
    a->summary = NULL;
    a->measured = false;
}

void activity_measure(const struct line *trail, struct activity *a)
{
    struct track t = {0};
    if (a->measured)
        return;
    a->measured = true;
    a->moving_s = a->whole_moving_s;
    a->elapsed_s = a->whole_elapsed_s;
    track_make(trail, a, &t);
    if (t.placed && t.n) {
        double total = a->whole_moving_s;
        a->distance = t.v[t.n - 1].distance;
        if (a->crop_from > 0 || a->crop_to < 1) {
            a->elapsed_s = t.v[t.n - 1].time;
            a->moving_s = (int)fmin(total * (a->crop_to - a->crop_from), a->elapsed_s);
        }
        measure_heights(a, &t);
    }
    vec_done(&t);
    if (a->quirks & QUIRK_INT_NUMBERS) {
        a->distance = round(a->distance);
        a->elevation_gain = round(a->elevation_gain);
        a->elevation_high = round(a->elevation_high);
        a->elevation_low = round(a->elevation_low);
    }
}

int64_t activity_shown_start_s(const struct activity *a)
{
    int64_t s = a->start_us / S_US;
    if (!a->hidden_start)
        return s;
    int64_t local = s + town_utc_offset_s(s);
    return local - local % 86400 + 1;
}

bool activity_visible(const struct activity *a, unsigned scope)
{
    if (a->deleted_us)
        return false;
    return (scope & SCOPE_ACTIVITY_READ_ALL) ||
           ((scope & SCOPE_ACTIVITY_READ) && a->visibility != VIS_ONLY_ME);
}
