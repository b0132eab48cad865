/* Where Strava pushes events. It is told 200 when the event is durable, and nothing else is done
 * before: whatever is slow or down elsewhere, this is not. */
#include "web/internal.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

enum {
    HOOK_MS = 1500,       /* Strava waits 2 s; the server's deadlines may be 250 ms late */
    BODY_MAX = 64 * 1024, /* a real one has 300 bytes */
    DEPTH_MAX = 8,        /* a real one has 2 */
    CHALLENGE_MAX = 1024, /* bytes that we would repeat */
    FRESH_MS = 10000,     /* a word so new is not asked for again because of a wrong guess */
    ASKING_MAX = 4,       /* at once */
    LONG_WORD = 16,       /* of a path: too long to be guessed, and so a secret */
};

/* ---- events ---------------------------------------------------------------------------------- */

struct hook_post {
    struct ingest_keep keep;
    struct web *web;
    struct httpd_req *req;
};

static void unavailable(struct httpd_req *r)
{
    httpd_set(r, "Retry-After", "5");
    httpd_problem(r, 503, NULL, NULL, "the database does not answer");
}

static void on_kept(struct op *op)
{
    struct hook_post *x = op->waiter;
    struct web *w = x->web;
    struct httpd_req *r = x->req; /* x is in its arena */
    if (op->failed) {
        w->hook.unavailable++;
        unavailable(r);
    } else {
        httpd_empty(r, 200);
    }
    web__flow_ended(w);
}

static void on_gone(struct httpd_req *r, void *ctx)
{
    struct hook_post *x = ctx;
    (void)r;
    op_cancel(&x->keep.op);
}

static bool is_json(const char *type)
{
    static const char json[] = "application/json";
    size_t n = sizeof(json) - 1;
    return strncasecmp(type, json, n) == 0 && strchr("; \t", type[n]) != NULL;
}

/* What is no event of a kind that we know is not asked for again: it would come in vain. */
static void refuse(struct web *w, struct httpd_req *r, const struct err *why)
{
    struct err err;
    json_t *root = json_read(httpd_body(r), BODY_MAX, DEPTH_MAX, &err);
    if (!root) {
        w->hook.malformed++;
        httpd_problem(r, 400, NULL, NULL, err.msg);
        return;
    }
    json_decref(root);
    w->hook.refused++;
    log_debug("an event was not understood", L_S("why", why->msg));
    httpd_empty(r, 200);
}

static void hook_post(struct httpd_req *r, void *ctx)
{
    struct web *w = ctx;
    struct err err;
    const char *type = httpd_field(r, "Content-Type"), *coding = httpd_field(r, "Content-Encoding");
    if ((type && !is_json(type)) || (coding && strcasecmp(coding, "identity") != 0)) {
        w->hook.malformed++;
        httpd_problem(r, 415, NULL, NULL, "the body must be application/json");
        return;
    }
    struct hook_post *x = arena_alloc(httpd_arena(r), sizeof(*x));
    if (strava_parse_event(httpd_body(r), &x->keep.event, &err) != 0) {
        refuse(w, r, &err);
        return;
    }
    x->web = w;
    x->req = r;
    web__flow_began(w);
    httpd_on_gone(r, on_gone, x);
    ingest_events_keep(w->conf.events, &x->keep);
    op_await(&x->keep.op, on_kept, x);
}

/* ---- the challenge --------------------------------------------------------------------------- */

/* The word is in the database, since every instance must know it; asked once, and again when
 * somebody comes with another one. */
struct word_flow {
    struct flow f;
    struct web *w;
    struct httpd_req *r; /* NULL: nobody waits */
    const char *challenge, *given;
    struct db_unit u;
};
#define WORD_STEPS(STEP)                                                                           \
    STEP(word, ask)                                                                                \
    STEP(word, tell)
FLOW_STEPS(word, WORD_STEPS);

static struct word_flow *word_of(struct flow *f)
{
    return container_of(f, struct word_flow, f);
}

/* Hashes, so that the time it takes tells nothing of the length either. */
static bool is_ours(const struct web *w, const char *given)
{
    unsigned char want[32], got[32];
    web__sha256((const unsigned char *)w->hook.word, strlen(w->hook.word), want);
    web__sha256((const unsigned char *)given, strlen(given), got);
    return w->hook.word[0] != '\0' && CRYPTO_memcmp(want, got, sizeof(want)) == 0;
}

static void answer_challenge(struct web *w, struct httpd_req *r, const char *challenge,
                             const char *given)
{
    if (!is_ours(w, given)) {
        log_warn("somebody asked with a wrong word whether events are taken here",
                 L_S("address", httpd_client_address(r)));
        httpd_problem(r, 403, NULL, NULL, "that is not our verify_token");
        return;
    }
    struct buf body = {0};
    struct json_out j = {.buf = &body};
    jo_begin_object(&j, NULL);
    jo_str(&j, "hub.challenge", challenge);
    jo_end_object(&j);
    log_info("Strava asked whether events are taken here", L_S("address", httpd_client_address(r)));
    httpd_json(r, 200, &body);
}

static enum flow_next word_ask(struct flow *f)
{
    struct word_flow *x = word_of(f);
    char made[INGEST_WORD_MAX];
    ingest_make_word(made);
    db_unit_init(&x->u, x->w->pool, f->arena, DB_TX);
    db_add(&x->u, &SQL_ingest_verify_token);
    db_p_text(&x->u, made);
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, word_STEP_tell, HOOK_MS);
}

static enum flow_next word_tell(struct flow *f)
{
    struct word_flow *x = word_of(f);
    const char *word = db_get_text(&x->u, 0, 0, 0, f->arena);
    snprintf(x->w->hook.word, sizeof(x->w->hook.word), "%s", word);
    x->w->hook.word_ms = loop_now_ms(f->loop);
    log_add_secret(word);
    struct httpd_req *r = x->r;
    x->r = NULL;
    if (r) {
        answer_challenge(x->w, r, x->challenge, x->given);
    }
    return FLOW_DONE;
}

static void word_end(struct flow *f)
{
    struct word_flow *x = word_of(f);
    db_unit_done(&x->u);
    x->w->hook.asking--;
    if (x->r) {
        unavailable(x->r);
    }
    web__flow_ended(x->w);
}

static const struct flow_def word_def = {"web_hook_word", word_steps, word_STEP_COUNT, word_end};

static void ask_word(struct web *w, struct httpd_req *r, const char *challenge, const char *given)
{
    struct word_flow *x = flow_new(w->loop, &word_def, sizeof(*x), 0);
    web__flow_began(w);
    w->hook.asking++;
    x->w = w;
    x->r = r;
    x->challenge = challenge;
    x->given = given;
    flow_start(&x->f);
}

static bool one_value(struct httpd_req *r, const char *name, const char **ret)
{
    return httpd_query_only(r, name, ret) == 0 && *ret != NULL;
}

static void hook_get(struct httpd_req *r, void *ctx)
{
    struct web *w = ctx;
    const char *mode, *challenge, *given;
    if (!one_value(r, "hub.mode", &mode) && w->hook.is_front) {
        web__front_get(r, w);
        return;
    }
    if (!one_value(r, "hub.mode", &mode) || strcmp(mode, "subscribe") != 0 ||
        !one_value(r, "hub.challenge", &challenge) || strlen(challenge) > CHALLENGE_MAX ||
        !one_value(r, "hub.verify_token", &given)) {
        httpd_problem(r, 400, NULL, NULL,
                      "Strava asks with hub.mode, hub.challenge and "
                      "hub.verify_token");
        return;
    }
    bool fresh = w->hook.word[0] != '\0' && loop_now_ms(w->loop) - w->hook.word_ms < FRESH_MS;
    if (is_ours(w, given) || fresh) {
        answer_challenge(w, r, challenge, given);
    } else if (w->hook.asking < ASKING_MAX) {
        ask_word(w, r, challenge, given);
    } else {
        unavailable(r);
    }
}

/* ---- opening --------------------------------------------------------------------------------- */

void web__hook_open(struct web *w)
{
    if (!w->conf.hook_path) {
        return;
    }
    CHECK(w->conf.events);
    w->hook.is_front = strcmp(w->conf.hook_path, "/") == 0;
    const char *word = strrchr(w->conf.hook_path, '/') + 1;
    if (strlen(word) >= LONG_WORD) {
        log_add_secret(word); /* nobody else is to know where to send events */
    }
    ask_word(w, NULL, NULL, NULL);
}

void web__hook_mount(struct web *w, struct httpd *h)
{
    if (!w->conf.hook_path) {
        return;
    }
    httpd_route(h, &(struct httpd_route){.method = HTTPD_GET,
                                         .pattern = w->conf.hook_path,
                                         .handler = hook_get,
                                         .ctx = w,
                                         .timeout_ms = HOOK_MS});
    httpd_route(h, &(struct httpd_route){.method = HTTPD_POST,
                                         .pattern = w->conf.hook_path,
                                         .handler = hook_post,
                                         .ctx = w,
                                         .max_body = BODY_MAX,
                                         .timeout_ms = HOOK_MS});
}
