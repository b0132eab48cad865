/* The state that a snapshot keeps. */
#include "sim/sim.h"

static const char *const first_names[] = {"Ada",    "Bruno", "Celia", "Davi", "Elsa",
                                          "Filipe", "Greta", "Hugo",  "Ines", "Jonas"};
static const char *const last_names[] = {"Almeida", "Brandt", "Costa", "Duarte",
                                         "Estrela", "Faria",  "Gomes", "Horta"};

enum { FIRST_ATHLETE = 9001 };
static const int64_t FIRST_NEW_ACTIVITY = INT64_C(30000000001);

static void add_athlete(struct world *w, unsigned index)
{
    struct athlete *who = mem_alloc(sizeof(*who));
    struct rnd r = {sim_mix(w->seed, 1000 + index)};
    who->id = FIRST_ATHLETE + (int64_t)index;
    who->index = index;
    who->gen = rnd_u64(&r);
    who->first = first_names[rnd_below(&r, COUNT_OF(first_names))];
    who->last = last_names[rnd_below(&r, COUNT_OF(last_names))];
    *vec_push(&w->athletes) = who;
}

struct world *world_new(const struct line *trail, const struct world_conf *conf)
{
    struct world *w = mem_alloc(sizeof(*w));
    w->seed = conf->seed;
    snprintf(w->preset, sizeof(w->preset), "%s", conf->preset);
    w->settings = conf->settings;
    memcpy(w->quota.limit, conf->limit, sizeof(conf->limit));
    w->next_activity = FIRST_NEW_ACTIVITY;
    w->next_subscription = 120000 + (int64_t)(conf->seed % 1000);
    w->faults = faults_new();
    w->outbox = outbox_new();
    for (unsigned i = 0; i < conf->athletes; i++) {
        add_athlete(w, i);
        preset_fill(w, trail, w->athletes.v[i], conf->anchor_us);
    }
    return w;
}

struct athlete *world_athlete(const struct world *w, int64_t id)
{
    int64_t i = id - FIRST_ATHLETE;
    return i >= 0 && i < (int64_t)w->athletes.n ? w->athletes.v[i] : NULL;
}

struct activity *world_activity(const struct world *w, int64_t id)
{
    size_t low = 0, high = w->activities.n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        *(w->activities.v[middle]->id < id ? &low : &high) =
            w->activities.v[middle]->id < id ? middle + 1 : middle;
    }
    bool found = low < w->activities.n && w->activities.v[low]->id == id;
    return found ? w->activities.v[low] : NULL;
}

void world_add(struct world *w, struct athlete *who, struct activity *a)
{
    CHECK(!w->activities.n || w->activities.v[w->activities.n - 1]->id < a->id);
    a->owner = who->index;
    *vec_push(&w->activities) = a;
    *vec_push(&who->list) = a;
}

double world_chance(struct world *w)
{
    struct rnd r = {sim_mix(sim_mix(w->seed, 7), ++w->draws)};
    return rnd_f64(&r);
}

/* ---- copies ------------------------------------------------------------------------------------
 */

static void copy_activities(struct world *w, const struct world *from)
{
    for (size_t i = 0; i < from->activities.n; i++) {
        const struct activity *a = from->activities.v[i];
        struct activity *copy = activity_copy(a);
        copy->prev = a->prev ? activity_copy(a->prev) : NULL;
        world_add(w, w->athletes.v[a->owner], copy);
    }
}

struct world *world_copy(const struct world *from)
{
    struct world *w = mem_alloc(sizeof(*w));
    *w = *from;
    memset(&w->athletes, 0, sizeof(w->athletes));
    memset(&w->activities, 0, sizeof(w->activities));
    memset(&w->codes, 0, sizeof(w->codes));
    for (size_t i = 0; i < from->athletes.n; i++) {
        struct athlete *who = mem_alloc(sizeof(*who));
        *who = *from->athletes.v[i];
        memset(&who->list, 0, sizeof(who->list));
        *vec_push(&w->athletes) = who;
    }
    copy_activities(w, from);
    for (size_t i = 0; i < from->codes.n; i++)
        *vec_push(&w->codes) = from->codes.v[i];
    if (from->subscription.url) {
        w->subscription.url = mem_strdup(from->subscription.url);
        w->subscription.verify_token = mem_strdup(from->subscription.verify_token);
    }
    w->faults = faults_copy(from->faults);
    w->outbox = outbox_copy(from->outbox);
    return w;
}

struct world *world_free(struct world *w)
{
    if (!w)
        return NULL;
    for (size_t i = 0; i < w->activities.n; i++)
        activity_free(w->activities.v[i]);
    for (size_t i = 0; i < w->athletes.n; i++) {
        vec_done(&w->athletes.v[i]->list);
        mem_free(w->athletes.v[i]);
    }
    vec_done(&w->activities);
    vec_done(&w->athletes);
    vec_done(&w->codes);
    mem_free(w->subscription.url);
    mem_free(w->subscription.verify_token);
    faults_free(w->faults);
    outbox_free(w->outbox);
    mem_free(w);
    return NULL;
}
