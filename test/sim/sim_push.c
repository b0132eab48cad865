/* The subscription: one, made only when its callback answers the challenge. */
#include <strings.h>

#include "sim/sim.h"

enum { URL_MAX = 255, DEPTH = 8 };

/* ---- the challenge -----------------------------------------------------------------------------
 */

char *challenge_url(struct arena *a, const char *callback, const char *challenge,
                    const char *verify_token, const struct action *fault)
{
    bool escaped = fault && fault->choice == CHALLENGE_ESCAPED;
    if (fault && fault->choice == CHALLENGE_BAD_VERIFY)
        verify_token = arena_printf(a, "%s-not", verify_token);
    const char *value[3] = {"subscribe", challenge, verify_token};
    const char *name[3] = {"hub.mode", "hub.challenge", "hub.verify_token"};
    const char *pair[3];
    for (int i = 0; i < 3; i++) {
        pair[i] = arena_printf(a, "%s=%s", escaped ? url_encode_all(a, name[i]) : name[i],
                               escaped ? url_encode_all(a, value[i]) : url_encode(a, value[i]));
    }
    bool reversed = fault && fault->choice == CHALLENGE_REVERSED;
    return arena_printf(a, "%s%s%s&%s&%s", callback, strchr(callback, '?') ? "&" : "?",
                        pair[reversed ? 2 : 0], pair[1], pair[reversed ? 0 : 2]);
}

struct challenge {
    struct req *r;
    char *url, *verify_token;
    char value[TOKEN_SIZE];
};

static void answer_callback(struct req *r, const char *code)
{
    answer_bad(r, "PushSubscription", "callback url", code);
}

static void put_subscription(struct jw *w, const struct sim *s, bool fraction)
{
    const struct subscription *sub = &s->world->subscription;
    char text[48], whole[40];
    sim_iso(sub->created_us, whole);
    if (fraction)
        snprintf(text, sizeof(text), "%.19s.%09lldZ", whole,
                 (long long)(sub->created_us % S_US * 1000 + 16));
    else
        snprintf(text, sizeof(text), "%s", whole);
    jw_open(w, NULL, '{');
    jw_i64(w, "id", sub->id);
    jw_i64(w, "resource_state", 2);
    jw_i64(w, "application_id", s->client_id);
    jw_str(w, "callback_url", sub->url);
    jw_str(w, "created_at", text);
    jw_str(w, "updated_at", text);
    jw_close(w, '}');
}

/* NULL: it is right. */
static const char *fault_of(const struct challenge *c, const struct client_answer *a)
{
    struct err err;
    if (a->status == 0)
        return "not verifiable";
    if (a->status != 200)
        return "GET to callback URL does not return 200";
    if (strncasecmp(a->content_type, "application/json", 16) != 0)
        return "not verifiable";
    json_t *root = json_read(a->body, a->body.n, DEPTH, &err);
    const char *value = json_string_value(json_object_get(root, "hub.challenge"));
    const char *why = !root                                    ? "not verifiable"
                      : !value || strcmp(value, c->value) != 0 ? "challenge does not match"
                                                               : NULL;
    json_decref(root);
    return why;
}

static void answered(void *ctx, const struct client_answer *a)
{
    struct challenge *c = ctx;
    struct req *r = c->r;
    struct sim *s = r->sim;
    struct subscription *sub = &s->world->subscription;
    const char *why = fault_of(c, a);
    if (why || sub->id || s->closing) {
        mem_free(c->url);
        mem_free(c->verify_token);
        if (why)
            answer_callback(r, why);
        else
            answer_bad(r, "PushSubscription", "base", "already exists");
    } else {
        *sub = (struct subscription){.id = s->world->next_subscription++,
                                     .url = c->url,
                                     .verify_token = c->verify_token,
                                     .created_us = sim_now_us(s)};
        struct jw w = {.b = &r->out};
        put_subscription(&w, s, true);
        answer_json(r, 201);
    }
    mem_free(c);
}

static void ask_callback(struct req *r, const char *url, const char *verify_token)
{
    struct sim *s = r->sim;
    struct faulty faulty;
    struct fault_asked asked = {.path = "/push_subscriptions"};
    struct challenge *c = mem_alloc(sizeof(*c));
    c->r = r;
    c->url = mem_strdup(url);
    c->verify_token = mem_strdup(verify_token);
    snprintf(c->value, sizeof(c->value), "%016llx",
             (unsigned long long)sim_mix(s->world->seed, 5000 + ++s->world->draws));
    faults_meet(s->world, &asked, FAULT_CHALLENGE, &faulty);
    const char *full =
        challenge_url(r->arena, url, c->value, verify_token,
                      faulty.has[FAULT_CHALLENGE] ? &faulty.by[FAULT_CHALLENGE] : NULL);
    client_ask(s, "GET", full, s->world->settings.deliver_to, NULL, (struct span){0}, answered, c);
}

/* ---- requests ----------------------------------------------------------------------------------
 */

/* False: answered. */
static bool application_is_known(struct req *r)
{
    const struct pairs *const in[] = {&r->form, &r->query};
    const char *id = NULL, *secret = NULL;
    int64_t n;
    /* Only what is deleted or read may say it in the query. */
    for (size_t i = 0; i < (strcmp(r->method, "POST") == 0 ? 1 : COUNT_OF(in)); i++) {
        id = id ? id : pairs_get(in[i], "client_id");
        secret = secret ? secret : pairs_get(in[i], "client_secret");
    }
    if (!id || span_to_i64(span_of(id), 0, INT64_MAX, &n) < 0 || n != r->sim->client_id) {
        answer_bad(r, "Application", "client_id", "invalid");
        return false;
    }
    if (!secret || strcmp(secret, r->sim->client_secret) != 0) {
        answer_fault(r, 401, "Authorization Error", "Application", "", "invalid");
        return false;
    }
    return true;
}

static void create(struct req *r)
{
    const char *url = pairs_get(&r->form, "callback_url");
    const char *verify_token = pairs_get(&r->form, "verify_token");
    if (!url || !url[0])
        answer_callback(r, "not verifiable");
    else if (strlen(url) > URL_MAX)
        answer_callback(r, "too long (maximum is 255 characters)");
    else if (!verify_token)
        answer_bad(r, "PushSubscription", "verify_token", "required");
    else if (r->sim->world->subscription.id)
        answer_bad(r, "PushSubscription", "base", "already exists");
    else
        ask_callback(r, url, verify_token);
}

static void list(struct req *r)
{
    struct jw w = {.b = &r->out};
    jw_open(&w, NULL, '[');
    if (r->sim->world->subscription.id)
        put_subscription(&w, r->sim, false);
    jw_close(&w, ']');
    answer_json(r, 200);
}

static void remove_it(struct req *r)
{
    struct subscription *sub = &r->sim->world->subscription;
    if (!sub->id || sub->id != r->id) {
        answer_fault(r, 404, "Resource Not Found", "PushSubscription", "id", "not found");
        return;
    }
    mem_free(sub->url);
    mem_free(sub->verify_token);
    *sub = (struct subscription){0};
    answer_text(r, 204, NULL, "");
}

void serve_subscriptions(struct req *r)
{
    if (!application_is_known(r))
        return;
    if (r->sim->world->inactive)
        answer_inactive(r);
    else if (strcmp(r->method, "POST") == 0)
        create(r);
    else if (strcmp(r->method, "GET") == 0)
        list(r);
    else
        remove_it(r);
}
