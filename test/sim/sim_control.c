/* The control interface: arguments, answers, and which verb is whose. */
#include "sim/sim.h"

enum { DEPTH = 16, BODY_MAX = 16 << 20 };

/* ---- arguments ---------------------------------------------------------------------------------
 */

void ctl_refuse(struct ctl *c, int status, const char *fmt, ...)
{
    va_list args;
    if (c->status)
        return; /* the first is the reason */
    c->status = status;
    va_start(args, fmt);
    vsnprintf(c->error, sizeof(c->error), fmt, args);
    va_end(args);
}

json_t *ctl_take(struct ctl *c, const char *key, int type)
{
    json_t *v = json_object_get(c->in, key);
    if (!v)
        return NULL;
    json_incref(v);
    json_object_del(c->in, key);
    *vec_push(c) = v;
    bool same = (int)json_typeof(v) == type || (type == JSON_REAL && json_is_number(v)) ||
                (type == JSON_TRUE && json_is_boolean(v));
    if (!same) {
        ctl_refuse(c, 400, "%s: not of the right type", key);
        return NULL;
    }
    return v;
}

bool ctl_str(struct ctl *c, const char *key, const char **ret)
{
    json_t *v = ctl_take(c, key, JSON_STRING);
    if (v)
        *ret = json_string_value(v);
    return v != NULL;
}

bool ctl_i64(struct ctl *c, const char *key, int64_t min, int64_t max, int64_t *ret)
{
    json_t *v = ctl_take(c, key, JSON_INTEGER);
    if (!v)
        return false;
    *ret = json_integer_value(v);
    if (*ret < min || *ret > max)
        ctl_refuse(c, 400, "%s: not from %lld to %lld", key, (long long)min, (long long)max);
    return true;
}

bool ctl_f64(struct ctl *c, const char *key, double min, double max, double *ret)
{
    json_t *v = ctl_take(c, key, JSON_REAL);
    if (!v)
        return false;
    *ret = json_number_value(v);
    if (!(*ret >= min && *ret <= max))
        ctl_refuse(c, 400, "%s: not from %g to %g", key, min, max);
    return true;
}

bool ctl_bool(struct ctl *c, const char *key, bool *ret)
{
    json_t *v = ctl_take(c, key, JSON_TRUE);
    if (v)
        *ret = json_is_true(v);
    return v != NULL;
}

bool ctl_time(struct ctl *c, const char *key, int64_t *ret_us)
{
    const char *text;
    struct err err;
    if (!ctl_str(c, key, &text))
        return false;
    if (time_parse_iso(span_of(text), ret_us, &err) < 0)
        ctl_refuse(c, 400, "%s: %s", key, err.msg);
    return true;
}

bool ctl_scope(struct ctl *c, const char *key, unsigned *ret)
{
    const char *text;
    if (!ctl_str(c, key, &text))
        return false;
    if (scope_parse(text, ret) < 0)
        ctl_refuse(c, 400, "%s: no such scope", key);
    return true;
}

bool ctl_choice(struct ctl *c, const char *key, const char *const *names, int *ret)
{
    const char *text;
    if (!ctl_str(c, key, &text))
        return false;
    *ret = name_index(names, text);
    if (*ret < 0)
        ctl_refuse(c, 400, "%s: no such thing as %s", key, text);
    return true;
}

struct athlete *ctl_athlete(struct ctl *c, bool required)
{
    int64_t id;
    if (!ctl_i64(c, "athlete", 1, INT64_MAX, &id)) {
        if (required)
            ctl_refuse(c, 400, "athlete is missing");
        return NULL;
    }
    struct athlete *who = world_athlete(c->s->world, id);
    if (!who)
        ctl_refuse(c, 404, "no athlete %lld", (long long)id);
    return who;
}

bool ctl_ready(struct ctl *c)
{
    const char *key;
    json_t *v;
    json_object_foreach(c->in, key, v) ctl_refuse(c, 400, "no such key: %s", key);
    return c->status == 0;
}

/* ---- verbs -------------------------------------------------------------------------------------
 */

static int64_t query_i64(struct req *r, const char *name)
{
    const char *text = pairs_get(&r->query, name);
    int64_t n = 0;
    return text && span_to_i64(span_of(text), 0, INT64_MAX, &n) == 0 ? n : 0;
}

static void add_fault(struct ctl *c)
{
    struct err err;
    static const char *const parts[] = {"match", "when", "action", NULL};
    json_t *rule = json_object();
    for (int i = 0; parts[i]; i++) {
        json_t *part = ctl_take(c, parts[i], JSON_OBJECT);
        if (part)
            json_object_set(rule, parts[i], part);
    }
    if (ctl_ready(c)) {
        int64_t id = faults_add(c->s->world->faults, rule, &err);
        if (id < 0)
            ctl_refuse(c, 400, "%s", err.msg);
        else
            jw_i64(&c->w, "id", id);
    }
    json_decref(rule);
}

static void ctl_fault(struct ctl *c)
{
    if (strcmp(c->r->method, "POST") == 0)
        add_fault(c);
    else
        faults_list(c->s->world->faults, &c->w);
}

static void ctl_fault_clear(struct ctl *c)
{
    int64_t id = 0;
    (void)ctl_i64(c, "id", 1, INT64_MAX, &id);
    if (ctl_ready(c) && !faults_clear(c->s->world->faults, id))
        ctl_refuse(c, 404, "no fault %lld", (long long)id);
}

static void ctl_stats(struct ctl *c)
{
    logbook_stats(c->s, &c->w);
}

static void ctl_one(struct ctl *c, const char *rest)
{
    int64_t id = 0;
    const char *slash = strchr(rest, '/');
    struct span number = {rest, slash ? (size_t)(slash - rest) : strlen(rest)};
    if (span_to_i64(number, 1, INT64_MAX, &id) < 0)
        ctl_refuse(c, 404, "no such thing");
    else if (strncmp(c->r->path, "/_sim/activity/", 15) == 0 && !slash)
        ctl_one_activity(c, id);
    else if (slash)
        ctl_athlete_verb(c, id, slash + 1);
    else
        ctl_refuse(c, 404, "no such thing");
}

static void ctl_app_status_(struct ctl *c, const char *rest)
{
    (void)rest;
    ctl_app_status(c);
}

static const struct {
    const char *path;
    void (*verb)(struct ctl *c);
} verbs[] = {
    {"/_sim/activity", ctl_activity},
    {"/_sim/grant", ctl_grant},
    {"/_sim/consent", ctl_consent},
    {"/_sim/athletes", ctl_athletes},
    {"/_sim/settings", ctl_settings},
    {"/_sim/limits", ctl_limits},
    {"/_sim/clock", ctl_clock},
    {"/_sim/fault", ctl_fault},
    {"/_sim/fault/clear", ctl_fault_clear},
    {"/_sim/stats", ctl_stats},
    {"/_sim/truth", ctl_truth},
    {"/_sim/snapshot", ctl_snapshot},
    {"/_sim/restore", ctl_restore},
    {"/_sim/reset", ctl_reset},
};
static const struct {
    const char *prefix;
    void (*verb)(struct ctl *c, const char *rest);
} families[] = {
    {"/_sim/token/", ctl_token},           {"/_sim/events/", ctl_events},
    {"/_sim/athlete/", ctl_one},           {"/_sim/activity/", ctl_one},
    {"/_sim/app/status", ctl_app_status_},
};

static void dispatch(struct ctl *c)
{
    const char *path = c->r->path;
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        if (strcmp(verbs[i].path, path) == 0) {
            verbs[i].verb(c);
            return;
        }
    }
    for (size_t i = 0; i < COUNT_OF(families); i++) {
        size_t n = strlen(families[i].prefix);
        if (strncmp(families[i].prefix, path, n) == 0) {
            families[i].verb(c, path + n);
            return;
        }
    }
    ctl_refuse(c, 404, "no such path: %.100s", path);
}

/* ---- answers that are no object, or come later -------------------------------------------------
 */

static void answer_lines(struct req *r)
{
    answer_text(r, 200, "application/x-ndjson", NULL);
}

static void wait_idle(struct ctl *c)
{
    double timeout_s = 10;
    bool due_only = false;
    (void)ctl_f64(c, "timeout_s", 0, 600, &timeout_s);
    (void)ctl_bool(c, "due_only", &due_only);
    if (ctl_ready(c))
        outbox_wait_idle(c->r, timeout_s, due_only);
}

/* True: it is answered, or will be. */
static bool served_otherwise(struct ctl *c)
{
    struct req *r = c->r;
    bool get = strcmp(r->method, "GET") == 0;
    if (strcmp(r->path, "/_sim/idle") == 0) {
        wait_idle(c);
        return c->status == 0;
    }
    if (get && strcmp(r->path, "/_sim/log") == 0) {
        logbook_lines(r->sim, query_i64(r, "since"), query_i64(r, "athlete"),
                      pairs_get(&r->query, "path"), &r->out);
        answer_lines(r);
    } else if (get && strcmp(r->path, "/_sim/events") == 0) {
        outbox_list(r->sim, query_i64(r, "since"), &r->out);
        answer_lines(r);
    } else if (get && strcmp(r->path, "/_sim/route") == 0) {
        town_geojson(&r->sim->trail, &r->out);
        answer_text(r, 200, "application/geo+json", NULL);
    } else {
        return false;
    }
    return true;
}

/* The query of a GET is its arguments. */
static void take_query(struct ctl *c)
{
    const struct pairs *query = &c->r->query;
    int64_t n;
    for (size_t i = 0; i < query->n; i++) {
        const char *text = query->v[i].value;
        bool number = span_to_i64(span_of(text), INT64_MIN, INT64_MAX, &n) == 0;
        json_object_set_new(c->in, query->v[i].name, number ? json_integer(n) : json_string(text));
    }
}

static void answer(struct ctl *c)
{
    struct req *r = c->r;
    if (c->status) {
        buf_clear(&r->out);
        c->w = (struct jw){.b = &r->out};
        jw_open(&c->w, NULL, '{');
        jw_str(&c->w, "error", c->error);
    }
    jw_close(&c->w, '}');
    answer_json(r, c->status ? c->status : 200);
}

void serve_control(struct req *r)
{
    struct err err;
    struct ctl c = {.r = r, .s = r->sim, .w = {.b = &r->out}};
    struct span body = buf_span(&r->body);
    if (strcmp(r->method, "GET") != 0 && strcmp(r->method, "POST") != 0)
        ctl_refuse(&c, 404, "only GET and POST");
    c.in = body.n ? json_read(body, BODY_MAX, DEPTH, &err) : json_object();
    if (!json_is_object(c.in))
        ctl_refuse(&c, 400, "not an object: %s", c.in ? "something else" : err.msg);
    else
        take_query(&c);
    bool done = c.status == 0 && served_otherwise(&c);
    if (!done && c.status == 0) {
        jw_open(&c.w, NULL, '{');
        jw_bool(&c.w, "ok", true);
        dispatch(&c);
    }
    if (!done)
        answer(&c);
    for (size_t i = 0; i < c.n; i++)
        json_decref(c.v[i]);
    vec_done(&c);
    json_decref(c.in);
}
