/* Fault rules: which requests and events they meet, and what they ask for. */
#include "sim/sim.h"

enum { GLOB_MAX = 128, SEEN_MAX = 1024 };

const char *const event_kind_names[] = {
    "duplicate",
    "delay",
    "lose",
    "reorder",
    "unknown_fields",
    "private_bool",
    "wrong_subscription",
    "unknown_owner",
    "string_ids",
    "big_body",
    "invalid_json",
    "wrong_type",
    NULL,
};

static const char *const type_names[] = {
    "status", "rate_limit", "delay", "drop",     "corrupt", "not_yet",   "poison", "token",
    "paging", "stale",      "scope", "inactive", "event",   "challenge", NULL,
};

/* The word that says which, by type: its key and what it may be. */
static const struct {
    const char *key;
    const char *const names[10];
} choices[FAULT_TYPES] = {
    [FAULT_STATUS] = {"body", {"fault", "error", "html", "empty", "text"}},
    [FAULT_RATE_LIMIT] = {"variant",
                          {"15min", "daily", "read", "no_headers", "stale", "string_errors"}},
    [FAULT_DROP] = {"at", {"before", "headers", "body", "rst", "never", "refuse"}},
    [FAULT_CORRUPT] = {"how",
                       {"truncated", "utf8", "content_type", "duplicate_keys", "huge", "deep",
                        "bom", "trailing"}},
    [FAULT_TOKEN] = {"do", {"expire", "revoke", "once", "lose"}},
    [FAULT_PAGING] = {"do", {"insert", "delete", "short", "duplicate", "unstable_ties"}},
    [FAULT_CHALLENGE] = {"do", {"reversed", "escaped", "bad_verify"}},
};

enum when { ALWAYS, NTH, EVERY, FIRST_N, PROB };

struct fault {
    int64_t id, matched, fired;
    char method[12], path[GLOB_MAX]; /* "": any */
    int64_t athlete, activity;       /* 0: any */
    enum when when;
    int64_t n;
    double prob;
    struct action action;
    char *rule; /* as it was given */
    struct {
        VEC(struct seen {
            int64_t activity;
            int64_t calls;
        });
    } seen; /* by a not_yet */
};

struct faults {
    int64_t next;
    VEC(struct fault *);
};

struct faults *faults_new(void)
{
    struct faults *f = mem_alloc(sizeof(*f));
    f->next = 1;
    return f;
}

static void fault_free(struct fault *f)
{
    vec_done(&f->seen);
    free(f->rule); /* jansson's */
    mem_free(f);
}

struct faults *faults_copy(const struct faults *from)
{
    struct faults *f = faults_new();
    f->next = from->next;
    for (size_t i = 0; i < from->n; i++) {
        struct fault *copy = mem_alloc(sizeof(*copy));
        *copy = *from->v[i];
        copy->rule = strdup(from->v[i]->rule);
        memset(&copy->seen, 0, sizeof(copy->seen));
        for (size_t k = 0; k < from->v[i]->seen.n; k++)
            *vec_push(&copy->seen) = from->v[i]->seen.v[k];
        *vec_push(f) = copy;
    }
    return f;
}

struct faults *faults_free(struct faults *f)
{
    if (f) {
        (void)faults_clear(f, 0);
        vec_done(f);
        mem_free(f);
    }
    return NULL;
}

bool faults_clear(struct faults *f, int64_t id)
{
    size_t kept = 0, had = f->n;
    for (size_t i = 0; i < had; i++) {
        if (id == 0 || f->v[i]->id == id)
            fault_free(f->v[i]);
        else
            f->v[kept++] = f->v[i];
    }
    f->n = kept;
    return id == 0 || kept < had;
}

/* ---- reading a rule ----------------------------------------------------------------------------
 */

struct reader {
    json_t *o;
    const char *in; /* "match", "when", "action" */
    struct err *err;
    bool wrong;
};

static void wrong(struct reader *r, const char *key, const char *why)
{
    if (!r->wrong)
        (void)err_set(r->err, ERR_DATA, ERR_PERMANENT, "%s.%s: %s", r->in, key, why);
    r->wrong = true;
}

static bool take_i64(struct reader *r, const char *key, int64_t min, int64_t *ret)
{
    json_t *v = json_object_get(r->o, key);
    if (!v)
        return false;
    if (!json_is_integer(v) || json_integer_value(v) < min)
        wrong(r, key, "not a number that is allowed");
    else
        *ret = json_integer_value(v);
    json_object_del(r->o, key);
    return true;
}

static void take_bool(struct reader *r, const char *key, bool *ret)
{
    json_t *v = json_object_get(r->o, key);
    if (v && !json_is_boolean(v))
        wrong(r, key, "not true or false");
    *ret = json_is_true(v);
    json_object_del(r->o, key);
}

static void take_text(struct reader *r, const char *key, char *out, size_t room)
{
    json_t *v = json_object_get(r->o, key);
    if (!v)
        return;
    if (!json_is_string(v) || json_string_length(v) >= room)
        wrong(r, key, "not a text, or too long");
    else
        snprintf(out, room, "%s", json_string_value(v));
    json_object_del(r->o, key);
}

static void take_choice(struct reader *r, const char *key, const char *const *names, int *ret)
{
    char text[32] = "";
    take_text(r, key, text, sizeof(text));
    if (!text[0])
        return;
    *ret = name_index(names, text);
    if (*ret < 0)
        wrong(r, key, "none of those that there are");
}

static void nothing_left(struct reader *r)
{
    const char *key;
    json_t *v;
    json_object_foreach(r->o, key, v) wrong(r, key, "no such key");
}

static void read_match(struct reader *r, struct fault *f)
{
    take_text(r, "method", f->method, sizeof(f->method));
    take_text(r, "path", f->path, sizeof(f->path));
    (void)take_i64(r, "athlete", 1, &f->athlete);
    (void)take_i64(r, "activity", 1, &f->activity);
    nothing_left(r);
}

static void read_when(struct reader *r, struct fault *f)
{
    json_t *prob = json_object_get(r->o, "prob");
    if (take_i64(r, "nth", 1, &f->n))
        f->when = NTH;
    if (take_i64(r, "every", 1, &f->n))
        f->when = EVERY;
    if (take_i64(r, "first_n", 1, &f->n))
        f->when = FIRST_N;
    if (prob) {
        f->when = PROB;
        f->prob = json_number_value(prob);
        json_object_del(r->o, "prob");
    }
    nothing_left(r);
}

static void read_action(struct reader *r, struct fault *f)
{
    struct action *a = &f->action;
    int type = -1;
    take_choice(r, "type", type_names, &type);
    if (type < 0) {
        wrong(r, "type", "none of those that there are");
        return;
    }
    a->type = (enum fault_type)type;
    int64_t status = 500;
    (void)take_i64(r, "status", 400, &status);
    a->status = (int)status;
    if (a->status > 599)
        wrong(r, "status", "not from 400 to 599");
    if (a->type == FAULT_EVENT)
        take_choice(r, "do", event_kind_names, &a->choice);
    else if (choices[type].key)
        take_choice(r, choices[type].key, choices[type].names, &a->choice);
    a->n = a->type == FAULT_NOT_YET ? 0 : 1;
    (void)take_i64(r, a->type == FAULT_NOT_YET ? "calls" : "n", 0, &a->n);
    (void)take_i64(r, "ms", 0, &a->ms);
    if (take_i64(r, "min_ms", 0, &a->ms))
        a->max_ms = a->ms;
    (void)take_i64(r, "max_ms", 0, &a->max_ms);
    (void)take_i64(r, "seconds", 0, &a->seconds);
    (void)take_i64(r, a->type == FAULT_DELAY ? "bytes_per_s" : "bytes", 1, &a->bytes);
    take_bool(r, "silent", &a->silent);
    take_bool(r, "forever", &a->forever);
    nothing_left(r);
}

static void read_part(json_t *rule, const char *key, struct err *err, struct fault *f,
                      void (*read)(struct reader *r, struct fault *f), bool *is_wrong)
{
    json_t *given = json_object_get(rule, key);
    struct reader r = {.in = key, .err = err, .o = given ? json_deep_copy(given) : json_object()};
    if (given && !json_is_object(given))
        wrong(&r, key, "not an object");
    if (!*is_wrong && !r.wrong)
        read(&r, f);
    *is_wrong = *is_wrong || r.wrong;
    json_decref(r.o);
}

int64_t faults_add(struct faults *f, json_t *rule, struct err *err)
{
    struct fault *made = mem_alloc(sizeof(*made));
    bool is_wrong = false;
    read_part(rule, "match", err, made, read_match, &is_wrong);
    read_part(rule, "when", err, made, read_when, &is_wrong);
    read_part(rule, "action", err, made, read_action, &is_wrong);
    made->rule = json_dumps(rule, JSON_COMPACT);
    if (is_wrong) {
        fault_free(made);
        return -1;
    }
    made->id = f->next++;
    *vec_push(f) = made;
    return made->id;
}

void faults_list(const struct faults *f, struct jw *w)
{
    jw_open(w, "faults", '[');
    for (size_t i = 0; i < f->n; i++) {
        jw_open(w, NULL, '{');
        jw_i64(w, "id", f->v[i]->id);
        jw_i64(w, "matched", f->v[i]->matched);
        jw_i64(w, "fired", f->v[i]->fired);
        jw_raw(w, "rule", f->v[i]->rule);
        jw_close(w, '}');
    }
    jw_close(w, ']');
}

/* ---- meeting one -------------------------------------------------------------------------------
 */

/* Where it makes sense, whatever the rule's path says. */
static bool concerns(const struct fault *f, const struct fault_asked *asked, int only)
{
    enum fault_type type = f->action.type;
    if (only >= 0)
        return (int)type == only;
    if (type == FAULT_EVENT || type == FAULT_CHALLENGE)
        return false;
    if (type == FAULT_NOT_YET || type == FAULT_POISON)
        return asked->activity != 0 && strncmp(asked->path, "/activities/", 12) == 0;
    if (type == FAULT_PAGING)
        return strcmp(asked->path, "/athlete/activities") == 0;
    if (type == FAULT_INACTIVE)
        return strncmp(asked->path, "/oauth/", 7) != 0;
    return true;
}

static bool matches(const struct fault *f, const struct fault_asked *asked)
{
    return (!f->method[0] || (asked->method && strcmp(f->method, asked->method) == 0)) &&
           (!f->path[0] || (asked->path && glob_is(f->path, asked->path))) &&
           (!f->athlete || f->athlete == asked->athlete) &&
           (!f->activity || f->activity == asked->activity);
}

static bool fires(struct world *w, struct fault *f)
{
    f->matched++;
    switch (f->when) {
    case NTH:
        return f->matched == f->n;
    case EVERY:
        return f->matched % f->n == 0;
    case FIRST_N:
        return f->matched <= f->n;
    case PROB:
        return world_chance(w) < f->prob;
    case ALWAYS:
        break;
    }
    return true;
}

/* Calls of this activity before this one. */
static int64_t count_seen(struct fault *f, int64_t activity)
{
    for (size_t i = 0; i < f->seen.n; i++) {
        if (f->seen.v[i].activity == activity)
            return f->seen.v[i].calls++;
    }
    if (f->seen.n < SEEN_MAX)
        *vec_push(&f->seen) = (struct seen){.activity = activity, .calls = 1};
    return 0;
}

void faults_meet(struct world *w, const struct fault_asked *asked, int only, struct faulty *ret)
{
    struct faults *f = w->faults;
    unsigned ids = 0;
    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < f->n; i++) {
        struct fault *one = f->v[i];
        enum fault_type type = one->action.type;
        if (!concerns(one, asked, only) || !matches(one, asked) || !fires(w, one))
            continue;
        one->fired++;
        if (ret->has[type])
            continue;
        ret->has[type] = true;
        ret->by[type] = one->action;
        if (ids < FAULTS_AT_ONCE)
            ret->id[ids++] = one->id;
        if (type == FAULT_NOT_YET)
            ret->not_yet_seen = count_seen(one, asked->activity);
    }
}
