/* The data endpoints of the API. */
#include "sim/sim.h"

enum { PER_PAGE = 30, PER_PAGE_MAX = 200 };

/* False: answered. */
static bool may_read_activities(struct req *r)
{
    if (r->athlete->scope & SCOPE_ACTIVITIES)
        return true;
    answer_no_scope(r);
    return false;
}

void serve_athlete(struct req *r)
{
    struct jw w = {.b = &r->out};
    jw_open(&w, NULL, '{');
    render_athlete(r->sim, r->athlete, &w, r->athlete->scope & SCOPE_PROFILE_READ_ALL);
    jw_close(&w, '}');
    answer_json(r, 200);
}

struct activity *api_seen(const struct req *r, struct activity *a)
{
    if (!r->faulty.has[FAULT_STALE])
        return a;
    int64_t until_us = a->changed_us + r->faulty.by[FAULT_STALE].seconds * S_US;
    return sim_now_us(r->sim) < until_us ? a->prev : a;
}

/* ---- the list ----------------------------------------------------------------------------------
 */

struct listing {
    int64_t before, after, page, per_page;
    bool has_before, has_after;
    VEC(struct activity *);
};

/* False: answered. */
static bool number(struct req *r, const char *name, int64_t min, int64_t max, bool *has,
                   int64_t *ret)
{
    const char *text = pairs_get(&r->query, name);
    if (!text)
        return true;
    *has = true;
    if (span_to_i64(span_of(text), min, max, ret) == 0)
        return true;
    answer_bad(r, "Application", name, "invalid");
    return false;
}

static bool listing_is_right(struct req *r, struct listing *l)
{
    bool has;
    l->page = 1;
    l->per_page = PER_PAGE;
    if (!number(r, "before", INT64_MIN, INT64_MAX, &l->has_before, &l->before) ||
        !number(r, "after", INT64_MIN, INT64_MAX, &l->has_after, &l->after) ||
        !number(r, "page", 1, 1000000, &has, &l->page) ||
        !number(r, "per_page", 1, PER_PAGE_MAX, &has, &l->per_page))
        return false;
    if (l->has_after && l->after > sim_now_us(r->sim) / S_US) {
        answer_bad(r, "Application", "after", "future");
        return false;
    }
    return true;
}

static int by_start(const void *a, const void *b)
{
    const struct activity *x = *(struct activity *const *)a, *y = *(struct activity *const *)b;
    int64_t sx = activity_shown_start_s(x), sy = activity_shown_start_s(y);
    if (sx != sy)
        return sx < sy ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static bool in_bounds(const struct req *r, const struct listing *l, int64_t start_s)
{
    int64_t wide = r->sim->world->settings.inclusive;
    if (l->has_after && start_s <= l->after - wide)
        return false;
    return !l->has_before || start_s < l->before + wide;
}

static void gather(struct req *r, struct listing *l)
{
    for (size_t i = 0; i < r->athlete->list.n; i++) {
        struct activity *a = api_seen(r, r->athlete->list.v[i]);
        if (a && activity_visible(a, r->athlete->scope) &&
            in_bounds(r, l, activity_shown_start_s(a)))
            *vec_push(l) = a;
    }
    if (l->n)
        qsort(l->v, l->n, sizeof(*l->v), by_start);
    if (l->has_after && !l->has_before)
        return; /* the only case in which the oldest come first */
    for (size_t i = 0; i < l->n / 2; i++) {
        struct activity *other = l->v[i];
        l->v[i] = l->v[l->n - 1 - i];
        l->v[l->n - 1 - i] = other;
    }
}

static void mix_ties(struct req *r, struct listing *l)
{
    for (size_t i = 0; i < l->n; i++) {
        size_t end = i + 1;
        int64_t start_s = activity_shown_start_s(l->v[i]);
        while (end < l->n && activity_shown_start_s(l->v[end]) == start_s)
            end++;
        size_t other = i + (size_t)(world_chance(r->sim->world) * (double)(end - i));
        struct activity *a = l->v[i];
        l->v[i] = l->v[other];
        l->v[other] = a;
    }
}

/* What happens between this page and the next. */
static void disturb(struct req *r, const struct listing *l, const struct action *action)
{
    struct change_opts o = {.silent = action->silent};
    if (action->choice == PAGING_INSERT) {
        struct activity *a = change_new_run(r->sim, r->athlete);
        change_created(r->sim, a, o);
    } else if (action->choice == PAGING_DELETE && l->n) {
        struct activity *newest = l->v[l->has_after && !l->has_before ? l->n - 1 : 0];
        struct activity *a = world_activity(r->sim->world, newest->id);
        if (!a->deleted_us)
            change_delete(r->sim, a, o);
    }
}

static void render_page(struct req *r, struct listing *l)
{
    const struct action *paging = r->faulty.has[FAULT_PAGING] ? &r->faulty.by[FAULT_PAGING] : NULL;
    int64_t stride = l->per_page, count = l->per_page;
    if (paging && paging->choice == PAGING_UNSTABLE_TIES)
        mix_ties(r, l);
    if (paging && paging->choice == PAGING_SHORT)
        stride = count = paging->n < count ? count - paging->n : 1;
    if (paging && paging->choice == PAGING_DUPLICATE && stride > 1)
        stride--;
    struct jw w = {.b = &r->out};
    jw_open(&w, NULL, '[');
    for (int64_t i = (l->page - 1) * stride;
         i < (l->page - 1) * stride + count && i < (int64_t)l->n; i++) {
        jw_open(&w, NULL, '{');
        render_summary(r->sim, l->v[i], r->athlete->scope, &w, false);
        jw_close(&w, '}');
    }
    jw_close(&w, ']');
    if (paging)
        disturb(r, l, paging);
}

void serve_activities(struct req *r)
{
    struct listing l = {0};
    if (!may_read_activities(r) || !listing_is_right(r, &l))
        return;
    gather(r, &l);
    render_page(r, &l);
    vec_done(&l);
    answer_json(r, 200);
}

/* ---- one ---------------------------------------------------------------------------------------
 */

static void answer_not_found(struct req *r)
{
    answer_fault(r, 404, "Record Not Found", "Activity", "id", "invalid");
}

static void answer_not_visible(struct req *r)
{
    answer_fault(r, 404, "Resource Not Found", "Activity", "", "not found");
}

/* Readable only some time after it was made. */
static bool is_not_yet(struct req *r, struct activity *a)
{
    const struct action *action = &r->faulty.by[FAULT_NOT_YET];
    int64_t now = sim_now_us(r->sim);
    if (r->faulty.has[FAULT_NOT_YET] && (action->forever || r->faulty.not_yet_seen < action->n ||
                                         now < a->created_us + action->seconds * S_US))
        return true;
    if (a->never || now < a->not_yet_us)
        return true;
    return a->not_yet_calls > 0 && a->not_yet_calls-- > 0;
}

/* NULL: answered. */
static struct activity *wanted(struct req *r)
{
    if (!may_read_activities(r))
        return NULL;
    struct activity *now = world_activity(r->sim->world, r->id), *a = now ? api_seen(r, now) : NULL;
    if (!a || a->deleted_us) {
        answer_not_found(r);
    } else if (a->owner != r->athlete->index || !activity_visible(a, r->athlete->scope) ||
               is_not_yet(r, now)) {
        answer_not_visible(r);
    } else if (a->poison || r->faulty.has[FAULT_POISON]) {
        answer_text(r, 500, "application/json; charset=utf-8", "{\"message\":\"error\"}");
    } else {
        return a;
    }
    return NULL;
}

void serve_activity(struct req *r)
{
    struct activity *a = wanted(r);
    if (!a)
        return;
    render_detail(r->sim, a, r->athlete->scope, &r->out);
    answer_json(r, 200);
}

/* ---- streams -----------------------------------------------------------------------------------
 */

enum kind { TIME, DISTANCE, LATLNG, ALTITUDE, VELOCITY, HEARTRATE, MOVING, GRADE, KINDS };
static const char *const kind_names[] = {"time",     "distance",        "latlng",
                                         "altitude", "velocity_smooth", "heartrate",
                                         "moving",   "grade_smooth",    NULL};

struct streaming {
    struct track t;
    const struct activity *a;
    size_t shown; /* points, after resolution */
    const char *resolution, *series;
    bool wanted[KINDS];
};

static double slope(const struct fix *f, const struct fix *g, bool grade)
{
    double metres = g->distance - f->distance;
    if (grade)
        return metres > 0 ? (g->altitude - f->altitude) / metres * 100 : 0;
    return g->time > f->time ? metres / (g->time - f->time) : 0;
}

static void put_point(struct jw *w, const struct streaming *st, enum kind kind, size_t i)
{
    const struct fix *f = &st->t.v[i], *g = i + 1 < st->t.n ? f + 1 : f;
    switch (kind) {
    case TIME:
        jw_i64(w, NULL, f->time);
        break;
    case DISTANCE:
        jw_f64(w, NULL, f->distance, 1);
        break;
    case LATLNG:
        jw_open(w, NULL, '[');
        jw_f64(w, NULL, f->at.lat, 6);
        jw_f64(w, NULL, f->at.lon, 6);
        jw_close(w, ']');
        break;
    case ALTITUDE:
        jw_f64(w, NULL, f->altitude, 1);
        break;
    case HEARTRATE:
        jw_i64(w, NULL, 110 + (int64_t)(sim_mix(st->a->gen, 3000 + i / 20) % 60));
        break;
    case MOVING:
        jw_bool(w, NULL, i > 0);
        break;
    default:
        jw_f64(w, NULL, slope(f, g, kind == GRADE), 1);
        break;
    }
}

static bool has_kind(const struct streaming *st, enum kind kind)
{
    if (kind == LATLNG)
        return st->t.placed;
    if (kind == ALTITUDE || kind == GRADE)
        return st->a->shape != SHAPE_NONE;
    return kind != HEARTRATE || render_has_heartrate(st->a);
}

static void put_stream(struct jw *w, const struct streaming *st, enum kind kind, bool by_type)
{
    jw_open(w, by_type ? kind_names[kind] : NULL, '{');
    if (!by_type)
        jw_str(w, "type", kind_names[kind]);
    jw_open(w, "data", '[');
    for (size_t i = 0; i < st->shown; i++) {
        size_t at = st->shown == st->t.n ? i : i * (st->t.n - 1) / (st->shown - 1);
        put_point(w, st, kind, at);
    }
    jw_close(w, ']');
    jw_str(w, "series_type", st->series);
    jw_i64(w, "original_size", (int64_t)st->t.n);
    jw_str(w, "resolution", st->resolution);
    jw_close(w, '}');
}

/* The distance comes unasked. */
static void read_keys(struct req *r, struct streaming *st)
{
    const char *keys = pairs_get(&r->query, "keys");
    st->wanted[DISTANCE] = true;
    while (keys && *keys) {
        size_t n = strcspn(keys, ",");
        int kind = name_index(kind_names, arena_printf(r->arena, "%.*s", (int)n, keys));
        if (kind >= 0)
            st->wanted[kind] = true;
        keys += n + (keys[n] == ',');
    }
}

static void read_resolution(struct req *r, struct streaming *st)
{
    static const struct {
        const char *name;
        size_t points;
    } levels[] = {{"low", 100}, {"medium", 1000}, {"high", 10000}};
    const char *want = pairs_get(&r->query, "resolution");
    const char *series = pairs_get(&r->query, "series_type");
    st->resolution = "high";
    st->series = series && strcmp(series, "time") == 0 ? "time" : "distance";
    st->shown = st->t.n;
    for (size_t i = 0; want && i < COUNT_OF(levels); i++) {
        if (strcmp(levels[i].name, want) == 0) {
            st->resolution = levels[i].name;
            if (st->shown > levels[i].points)
                st->shown = levels[i].points;
        }
    }
}

static void put_streams(struct req *r, const struct streaming *st)
{
    const char *by_type = pairs_get(&r->query, "key_by_type");
    bool keyed = by_type && (strcmp(by_type, "true") == 0 || strcmp(by_type, "1") == 0);
    struct jw w = {.b = &r->out};
    jw_open(&w, NULL, keyed ? '{' : '[');
    for (int kind = 0; kind < KINDS; kind++) {
        if (st->wanted[kind] && has_kind(st, (enum kind)kind))
            put_stream(&w, st, (enum kind)kind, keyed);
    }
    jw_close(&w, keyed ? '}' : ']');
}

void serve_streams(struct req *r)
{
    struct streaming st = {.a = wanted(r)};
    if (!st.a)
        return;
    render_track(r->sim, st.a, r->athlete->scope, &st.t);
    if (st.t.n == 0) {
        vec_done(&st.t);
        answer_fault(r, 404, "Resource Not Found", NULL, NULL, NULL);
        return;
    }
    read_keys(r, &st);
    read_resolution(r, &st);
    put_streams(r, &st);
    vec_done(&st.t);
    answer_json(r, 200);
}
