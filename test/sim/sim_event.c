/* What the bodies of webhooks say, right and wrong. */
#include "sim/sim.h"

enum { PADDING = 1 << 20, BURST = 1000 };
static const int64_t UNKNOWN_ACTIVITY = INT64_C(29000000000), UNKNOWN_OWNER = 777000111;

static void put_updates(struct jw *w, const struct happening *h, enum event_kind kind,
                        struct arena *a)
{
    const char *updates = h->updates ? h->updates : "{}";
    const char *bool_is[2][2] = {{"\"true\"", "true"}, {"\"false\"", "false"}};
    for (int i = 0; i < 2 && kind == EVENT_PRIVATE_BOOL; i++) {
        const char *at = strstr(updates, bool_is[i][0]);
        if (at)
            updates = arena_printf(a, "%.*s%s%s", (int)(at - updates), updates, bool_is[i][1],
                                   at + strlen(bool_is[i][0]));
    }
    jw_raw(w, "updates", updates);
}

static void put_oddities(struct jw *w, enum event_kind kind)
{
    if (kind == EVENT_UNKNOWN_FIELDS) {
        jw_i64(w, "api_version", 4);
        jw_raw(w, "meta", "{\"tags\":[\"a\",null,{\"b\":1.5}],\"retry\":false}");
        jw_null(w, "signature");
    }
    if (kind == EVENT_BIG_BODY) {
        char *padding = mem_alloc(PADDING + 1);
        memset(padding, 'x', PADDING);
        jw_str(w, "padding", padding);
        mem_free(padding);
    }
}

/* The body of an event of that kind. */
static void write_body(struct sim *s, const struct happening *h, enum event_kind kind,
                       struct buf *out)
{
    struct jw w = {.b = out};
    struct arena *a = arena_new(0);
    int64_t subscription = s->world->subscription.id + (kind == EVENT_WRONG_SUBSCRIPTION ? 7 : 0);
    jw_open(&w, NULL, '{');
    jw_str(&w, "aspect_type", h->aspect);
    jw_i64(&w, "event_time", sim_now_us(s) / S_US);
    jw_i64(&w, "object_id", h->object_id);
    jw_str(&w, "object_type", h->object);
    jw_i64(&w, "owner_id", kind == EVENT_UNKNOWN_OWNER ? UNKNOWN_OWNER : h->owner_id);
    if (kind == EVENT_STRING_IDS)
        jw_str(&w, "subscription_id", arena_printf(a, "%lld", (long long)subscription));
    else
        jw_i64(&w, "subscription_id", subscription);
    put_updates(&w, h, kind, a);
    put_oddities(&w, kind);
    jw_close(&w, '}');
    if (kind == EVENT_INVALID_JSON)
        out->n -= out->n / 3;
    arena_free(a);
}

static struct event *add(struct sim *s, const struct happening *h, enum event_kind kind,
                         int64_t delay_us)
{
    struct buf body = {0};
    write_body(s, h, kind, &body);
    struct event *e = outbox_add(s, &body, delay_us);
    if (kind == EVENT_WRONG_TYPE) {
        mem_free(e->type);
        e->type = mem_strdup("text/plain");
    }
    return e;
}

void event_make(struct sim *s, const struct happening *h)
{
    struct faulty faulty;
    struct fault_asked asked = {.athlete = h->owner_id, .activity = h->activity};
    int64_t delay_us = s->world->settings.event_delay_s * S_US, copies = 1;
    if (!s->world->subscription.id)
        return;
    faults_meet(s->world, &asked, FAULT_EVENT, &faulty);
    const struct action *action = &faulty.by[FAULT_EVENT];
    enum event_kind kind = faulty.has[FAULT_EVENT] ? (enum event_kind)action->choice : EVENT_KINDS;
    if (kind == EVENT_LOSE)
        return;
    if (kind == EVENT_DELAY)
        delay_us += action->seconds * S_US;
    if (kind == EVENT_REORDER)
        delay_us += (int64_t)(world_chance(s->world) * (double)(action->seconds * S_US));
    if (kind == EVENT_DUPLICATE)
        copies = action->n > 2 ? action->n : 2;
    for (int64_t i = 0; i < copies; i++)
        (void)add(s, h, kind, delay_us);
    outbox_pump(s);
}

/* ---- ordered ones ------------------------------------------------------------------------------
 */

struct sending {
    const char *kind;
    const char *object, *aspect, *updates;
    enum event_kind oddity;
    bool unknown_activity;
};

static const struct sending sendings[] = {
    {"forged_delete", "activity", "delete", NULL, EVENT_KINDS, false},
    {"forged_deauth", "athlete", "update", "{\"authorized\":\"false\"}", EVENT_KINDS, false},
    {"create", "activity", "create", NULL, EVENT_KINDS, false},
    {"update", "activity", "update", "{\"title\":\"As it was\"}", EVENT_KINDS, false},
    {"unknown_owner", "activity", "create", NULL, EVENT_UNKNOWN_OWNER, false},
    {"unknown_activity", "activity", "create", NULL, EVENT_KINDS, true},
    {"wrong_subscription", "activity", "create", NULL, EVENT_WRONG_SUBSCRIPTION, false},
    {"unknown_fields", "activity", "create", NULL, EVENT_UNKNOWN_FIELDS, false},
    {"private_bool", "activity", "update", "{\"private\":\"true\"}", EVENT_PRIVATE_BOOL, false},
    {"string_ids", "activity", "create", NULL, EVENT_STRING_IDS, false},
    {"big_body", "activity", "create", NULL, EVENT_BIG_BODY, false},
    {"invalid_json", "activity", "create", NULL, EVENT_INVALID_JSON, false},
    {"wrong_type", "activity", "create", NULL, EVENT_WRONG_TYPE, false},
    {"burst", "activity", "create", NULL, EVENT_KINDS, true},
};

static struct event *send_odd(struct sim *s, const struct sending *k, const struct athlete *who,
                              int64_t activity, int64_t i)
{
    struct happening h = {.object = k->object, .aspect = k->aspect, .updates = k->updates};
    h.owner_id = who ? who->id : UNKNOWN_OWNER;
    h.object_id = strcmp(k->object, "athlete") == 0  ? h.owner_id
                  : k->unknown_activity || !activity ? UNKNOWN_ACTIVITY + i
                                                     : activity;
    return add(s, &h, k->oddity, 0);
}

static struct event *send_text(struct sim *s, const char *text)
{
    struct buf body = {0};
    buf_puts(&body, text);
    return outbox_add(s, &body, 0);
}

/* A GET as for a subscription, from somebody who does not know the token. */
static struct event *send_bad_verify(struct sim *s, const char *url)
{
    struct arena *a = arena_new(0);
    const char *callback = url ? url : s->world->subscription.url;
    struct event *e = send_text(s, "");
    mem_free(e->method);
    e->method = mem_strdup("GET");
    e->retry = false;
    e->url = mem_strdup(
        challenge_url(a, callback ? callback : "none", "15f7d1a91c1f40f8", "not-the-token", NULL));
    arena_free(a);
    return e;
}

static struct event *send_one(struct sim *s, const char *kind, const struct athlete *who,
                              int64_t activity, const char *url, int64_t i)
{
    if (strcmp(kind, "bad_verify") == 0)
        return send_bad_verify(s, url);
    if (strcmp(kind, "empty") == 0)
        return send_text(s, "");
    if (strcmp(kind, "array") == 0)
        return send_text(s, "[{\"object_type\":\"activity\"}]");
    for (size_t k = 0; k < COUNT_OF(sendings); k++) {
        if (strcmp(sendings[k].kind, kind) == 0)
            return send_odd(s, &sendings[k], who, activity, i);
    }
    return NULL;
}

bool event_send(struct sim *s, const char *kind, struct athlete *who, int64_t activity,
                const char *url, int64_t count)
{
    if (count == 0)
        count = strcmp(kind, "burst") == 0 ? BURST : 1;
    for (int64_t i = 0; i < count; i++) {
        struct event *e = send_one(s, kind, who, activity, url, i);
        if (!e)
            return false;
        if (url && !e->url)
            e->url = mem_strdup(url);
    }
    outbox_pump(s);
    return true;
}
