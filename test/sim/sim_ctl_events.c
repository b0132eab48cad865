/* Control of webhooks. */
#include "sim/sim.h"

enum { COUNT_MAX = 60000 };

static bool count(struct ctl *c, const char *key, int64_t min, int64_t *ret)
{
    return ctl_i64(c, key, min, COUNT_MAX, ret);
}

static void hold(struct ctl *c)
{
    if (ctl_ready(c))
        outbox_hold(c->s);
}

static void release(struct ctl *c)
{
    int64_t n = -1;
    (void)count(c, "n", 0, &n);
    if (ctl_ready(c))
        jw_i64(&c->w, "released", outbox_release(c->s, n));
}

static void shuffle(struct ctl *c)
{
    if (ctl_ready(c))
        outbox_shuffle(c->s);
}

static void duplicate(struct ctl *c)
{
    int64_t n = 2;
    (void)count(c, "n", 2, &n);
    if (ctl_ready(c))
        jw_i64(&c->w, "added", outbox_duplicate(c->s, n));
}

static void drop(struct ctl *c)
{
    int64_t n = -1;
    (void)count(c, "n", 0, &n);
    if (ctl_ready(c))
        jw_i64(&c->w, "dropped", outbox_drop(c->s, n));
}

static void replay(struct ctl *c)
{
    int64_t n = 0, last = 0;
    bool all = false;
    bool one = ctl_i64(c, "n", 1, INT64_MAX, &n);
    (void)count(c, "last", 1, &last);
    (void)ctl_bool(c, "all", &all);
    if (!one && !last && !all)
        ctl_refuse(c, 400, "n, last or all is missing");
    if (!ctl_ready(c))
        return;
    if (one && !outbox_replay(c->s, n))
        ctl_refuse(c, 404, "no event %lld", (long long)n);
    else if (!one)
        jw_i64(&c->w, "added", outbox_replay_last(c->s, all ? -1 : last));
}

/* The body: text as it is, or an object or array. */
static bool read_body(struct ctl *c, struct buf *ret)
{
    const char *raw;
    json_t *body = json_object_get(c->in, "body");
    if (ctl_str(c, "raw", &raw)) {
        buf_puts(ret, raw);
    } else if (body) {
        body = ctl_take(c, "body", (int)json_typeof(body));
        char *text = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);
        buf_puts(ret, text ? text : "");
        free(text); /* jansson's */
    } else {
        ctl_refuse(c, 400, "body or raw is missing");
    }
    return c->status == 0;
}

static void send_raw(struct ctl *c)
{
    const char *type = "application/json", *url = NULL;
    int64_t repeat = 1;
    bool retry = true;
    struct buf text = {0};
    (void)ctl_str(c, "content_type", &type);
    (void)ctl_str(c, "url", &url);
    (void)count(c, "repeat", 1, &repeat);
    (void)ctl_bool(c, "retry", &retry);
    (void)read_body(c, &text);
    if (type[strcspn(type, "\r\n")] != '\0')
        ctl_refuse(c, 400, "content_type: no line breaks");
    if (!url && !c->s->world->subscription.id)
        ctl_refuse(c, 409, "there is no subscription");
    for (int64_t i = 0; ctl_ready(c) && i < repeat; i++) {
        struct buf body = {0};
        buf_put(&body, text.n ? text.p : "", text.n);
        struct event *e = outbox_add(c->s, &body, 0);
        text_set(&e->type, type);
        e->retry = retry;
        if (url)
            text_set(&e->url, url);
    }
    buf_done(&text);
    outbox_pump(c->s);
}

static void send_kind(struct ctl *c)
{
    const char *kind = "", *url = NULL;
    int64_t activity = 0, n = 0;
    struct athlete *who = ctl_athlete(c, false);
    (void)ctl_str(c, "kind", &kind);
    (void)ctl_str(c, "url", &url);
    (void)ctl_i64(c, "activity", 1, INT64_MAX, &activity);
    (void)count(c, "count", 1, &n);
    if (!url && !c->s->world->subscription.id)
        ctl_refuse(c, 409, "there is no subscription");
    if (ctl_ready(c) && !event_send(c->s, kind, who, activity, url, n))
        ctl_refuse(c, 400, "kind: no such thing as %.40s", kind);
}

static const struct {
    const char *name;
    void (*verb)(struct ctl *c);
} verbs[] = {
    {"hold", hold}, {"release", release}, {"shuffle", shuffle},   {"duplicate", duplicate},
    {"drop", drop}, {"replay", replay},   {"send_raw", send_raw}, {"send", send_kind},
};

void ctl_events(struct ctl *c, const char *verb)
{
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        if (strcmp(verbs[i].name, verb) == 0) {
            verbs[i].verb(c);
            return;
        }
    }
    ctl_refuse(c, 404, "no such verb: %.40s", verb);
}
