/* Control of activities: made, changed, taken away. */
#include <math.h>

#include "sim/sim.h"

enum { POINTS_MAX = 100000, COUNT_MAX = 10000, POINT_S = 5, YEAR_S = 366 * 86400 };
static const double METRES_MAX = 5e6;

/* ---- what may be given -------------------------------------------------------------------------
 */

static void read_texts(struct ctl *c, struct activity *a)
{
    const char *text, *sport = NULL, *type = NULL;
    int visibility;
    static const char *const visibilities[] = {"everyone", "followers_only", "only_me", NULL};
    if (ctl_str(c, "name", &text))
        text_set(&a->name, text);
    if (ctl_str(c, "description", &text))
        text_set(&a->description, text);
    (void)ctl_str(c, "sport_type", &sport);
    (void)ctl_str(c, "type", &type);
    if ((sport && (!sport[0] || strlen(sport) >= sizeof(a->sport))) ||
        (type && (!type[0] || strlen(type) >= sizeof(a->type))))
        ctl_refuse(c, 400, "sport_type or type: empty or too long");
    else if (sport)
        activity_set_sport(a, sport, type);
    else if (type)
        snprintf(a->type, sizeof(a->type), "%s", type);
    if (ctl_choice(c, "visibility", visibilities, &visibility) && visibility >= 0)
        a->visibility = (enum visibility)visibility;
}

static void read_quirks(struct ctl *c, struct activity *a)
{
    json_t *list = ctl_take(c, "quirks", JSON_ARRAY);
    if (list)
        a->quirks = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        int bit = name ? name_index(quirk_names, name) : -1;
        if (bit < 0)
            ctl_refuse(c, 400, "quirks: no such one");
        else
            a->quirks |= 1u << bit;
    }
    if (a->quirks & QUIRK_NEW_SPORT)
        activity_set_sport(a, "UnderwaterHockey", NULL);
    if (a->quirks & QUIRK_ZERO_TIME)
        a->whole_moving_s = 0;
}

static void read_flags(struct ctl *c, struct activity *a)
{
    int64_t s;
    (void)ctl_bool(c, "hide_map", &a->hide_map);
    (void)ctl_bool(c, "privacy_zone", &a->privacy_zone);
    (void)ctl_bool(c, "hidden_start", &a->hidden_start);
    (void)ctl_bool(c, "never", &a->never);
    (void)ctl_bool(c, "poison", &a->poison);
    (void)ctl_i64(c, "not_yet_calls", 0, 1000000, &a->not_yet_calls);
    if (ctl_i64(c, "not_yet_s", 0, YEAR_S, &s))
        a->not_yet_us = sim_now_us(c->s) + s * S_US;
}

static void read_times(struct ctl *c, struct activity *a)
{
    int64_t s;
    if (ctl_i64(c, "moving_time", 0, YEAR_S, &s)) {
        a->whole_moving_s = (int)s;
        if (a->whole_elapsed_s < a->whole_moving_s)
            a->whole_elapsed_s = a->whole_moving_s;
    }
    if (ctl_i64(c, "elapsed_time", 0, YEAR_S, &s))
        a->whole_elapsed_s = (int)s;
    if (a->whole_elapsed_s < a->whole_moving_s)
        ctl_refuse(c, 400, "elapsed_time: less than moving_time");
    if (ctl_time(c, "start", &a->start_us))
        a->start_us -= a->start_us % S_US;
}

static void read_fields(struct ctl *c, struct activity *a)
{
    read_texts(c, a);
    read_times(c, a);
    read_quirks(c, a);
    read_flags(c, a);
}

/* ---- a new one ---------------------------------------------------------------------------------
 */

static void read_points(struct ctl *c, struct activity *a)
{
    json_t *list = ctl_take(c, "latlng", JSON_ARRAY);
    size_t n = json_array_size(list);
    if (!list)
        return;
    if (n < 2 || n > POINTS_MAX) {
        ctl_refuse(c, 400, "latlng: not from 2 to %d points", POINTS_MAX);
        return;
    }
    a->point = mem_alloc(n * sizeof(*a->point));
    a->points = n;
    a->shape = SHAPE_POINTS;
    a->whole_moving_s = a->whole_elapsed_s = (int)(n - 1) * POINT_S;
    for (size_t i = 0; i < n; i++) {
        const json_t *p = json_array_get(list, i);
        struct place *at = &a->point[i];
        at->lat = json_number_value(json_array_get(p, 0));
        at->lon = json_number_value(json_array_get(p, 1));
        if (json_array_size(p) != 2 || fabs(at->lat) > 90 || fabs(at->lon) > 180)
            ctl_refuse(c, 400, "latlng: point %zu is none", i);
    }
}

static void read_trail(struct ctl *c, struct activity *a)
{
    json_t *list = ctl_take(c, "trail", JSON_ARRAY);
    if (!list)
        return;
    double whole = line_length_m(&c->s->trail);
    a->shape = SHAPE_TRAIL;
    a->trail_from = json_number_value(json_array_get(list, 0));
    a->trail_to = json_number_value(json_array_get(list, 1));
    if (json_array_size(list) != 2 || fmin(a->trail_from, a->trail_to) < 0 ||
        fmax(a->trail_from, a->trail_to) > whole || a->trail_from == a->trail_to)
        ctl_refuse(c, 400, "trail: not two measures from 0 to %.0f m", whole);
}

static void read_shape(struct ctl *c, struct activity *a)
{
    static const double pace = 2.8; /* metres a second */
    double metres = 0;
    (void)ctl_bool(c, "manual", &a->manual);
    (void)ctl_bool(c, "trainer", &a->trainer);
    read_points(c, a);
    read_trail(c, a);
    bool given = ctl_f64(c, "distance", 0, METRES_MAX, &metres);
    if (a->manual || a->trainer) {
        a->shape = SHAPE_NONE;
        a->distance = round(metres * 10) / 10;
    } else if (given && a->shape != SHAPE_POINTS && metres > 0) {
        a->shape = SHAPE_LOOP;
        a->loop_m = metres;
    }
    if (a->shape == SHAPE_TRAIL || a->shape == SHAPE_LOOP) {
        double length = a->shape == SHAPE_LOOP ? a->loop_m : fabs(a->trail_to - a->trail_from);
        a->whole_moving_s = a->whole_elapsed_s = (int)(length / pace);
    }
}

static void put_ids(struct ctl *c, int64_t first, int64_t count)
{
    jw_i64(&c->w, "id", first);
    jw_open(&c->w, "ids", '[');
    for (int64_t i = 0; i < count; i++)
        jw_i64(&c->w, NULL, first + i);
    jw_close(&c->w, ']');
}

static void create(struct ctl *c, struct change_opts o)
{
    struct sim *s = c->s;
    struct athlete *who = ctl_athlete(c, true);
    struct activity *model = change_blank_run(s);
    int64_t count = 1;
    (void)ctl_i64(c, "count", 1, COUNT_MAX, &count);
    model->start_us = 0;
    read_shape(c, model);
    read_fields(c, model);
    if (!model->start_us)
        model->start_us = (sim_now_us(s) / S_US - model->whole_elapsed_s - (count - 1)) * S_US;
    if (ctl_ready(c))
        put_ids(c, s->world->next_activity, count);
    for (int64_t i = 0; i < count && c->status == 0; i++) {
        struct activity *a = activity_copy(model);
        a->id = s->world->next_activity++;
        a->gen = sim_mix(s->world->seed, (uint64_t)a->id);
        a->start_us += i * S_US;
        world_add(s->world, who, a);
        change_created(s, a, o);
    }
    activity_free(model);
}

/* ---- changes -----------------------------------------------------------------------------------
 */

static void crop(struct ctl *c, struct activity *a)
{
    double from = 0, to = 1, width = a->crop_to - a->crop_from;
    (void)ctl_f64(c, "from", 0, 1, &from);
    (void)ctl_f64(c, "to", 0, 1, &to);
    if (from >= to)
        ctl_refuse(c, 400, "from: not less than to");
    a->crop_to = a->crop_from + to * width;
    a->crop_from += from * width;
}

enum verb { CREATE, EDIT, DELETE, HIDE, UNHIDE, CROP, RETITLE, RETYPE };
static const char *const verb_names[] = {"create", "edit",    "delete", "hide", "unhide",
                                         "crop",   "retitle", "retype", NULL};

static void read_change(struct ctl *c, enum verb verb, struct activity *a)
{
    if (verb == RETITLE && !json_object_get(c->in, "name"))
        ctl_refuse(c, 400, "name is missing");
    if (verb == RETYPE && !json_object_get(c->in, "sport_type"))
        ctl_refuse(c, 400, "sport_type is missing");
    if (verb == HIDE)
        a->visibility = VIS_ONLY_ME;
    if (verb == UNHIDE)
        a->visibility = VIS_EVERYONE;
    if (verb == CROP)
        crop(c, a);
    else
        read_fields(c, a);
}

static void change(struct ctl *c, enum verb verb, struct activity *a, struct change_opts o)
{
    struct activity *next = activity_copy(a);
    read_change(c, verb, next);
    if (ctl_ready(c)) {
        change_begin(c->s, a);
        struct activity was = *a;
        *a = *next;
        *next = was;
        a->prev = was.prev;
        next->prev = NULL;
        change_end(c->s, a, o);
        jw_i64(&c->w, "id", a->id);
    }
    activity_free(next);
}

void ctl_activity(struct ctl *c)
{
    struct change_opts o = {0};
    int verb = -1;
    int64_t id = 0;
    (void)ctl_choice(c, "do", verb_names, &verb);
    (void)ctl_bool(c, "silent", &o.silent);
    (void)ctl_bool(c, "split", &o.split);
    if (verb < 0)
        ctl_refuse(c, 400, "do is missing");
    if (c->status)
        return;
    if (verb == CREATE) {
        create(c, o);
        return;
    }
    (void)ctl_i64(c, "id", 1, INT64_MAX, &id);
    struct activity *a = world_activity(c->s->world, id);
    if (!a || a->deleted_us)
        ctl_refuse(c, 404, "no activity %lld", (long long)id);
    else if (verb != DELETE)
        change(c, (enum verb)verb, a, o);
    else if (ctl_ready(c))
        change_delete(c->s, a, o);
}
