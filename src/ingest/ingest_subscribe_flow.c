/* The subscription to events: looked at, made, mended, removed. There is one for an application or
 * none, no way to change its address, and Strava makes one only while our listener answers its
 * challenge (https://developers.strava.com/docs/webhooks). So the one thing that must not happen is
 * to remove one and be unable to make the next. */
#include "fetch/fetch.h"
#include "ingest/internal.h"

#include <jansson.h>

enum {
    ASK_MS = 30000,
    OWN_MS = 10000, /* for our own answer; Strava waits 2 s, but its way may be better */
    BODY_MAX = 64 * 1024,
    ALERT_AFTER = 5,  /* attempts, half a minute: a proxy that starts after us is no news */
    WORD_BYTES = 128, /* of what Strava says is wrong */
};

enum { DO_KEEP, DO_REMOVE };

struct subscribe_flow {
    struct flow f;
    const struct ingest_subscription *conf;
    struct ingest_subscribed *ret;
    struct ingest_subscribed own; /* where nobody asks what came of it */
    struct jobs_batch *b;         /* NULL: no job */
    int todo;
    char *word;
    char challenge[INGEST_WORD_MAX];
    struct fetch_req req;
    struct db_unit u;
    int64_t found;      /* at Strava; 0: none */
    bool found_is_ours; /* it pushes to our address */
    bool none_left;     /* what the database knows of one is over */
    bool asked_again;
    struct err why;
    const char *state; /* of the alert, in a word */
};
#define SUBSCRIBE_STEPS(STEP)                                                                      \
    STEP(subscribe, word) /* -> leave, if there is nothing to do with Strava */                    \
    STEP(subscribe, look)                                                                          \
    STEP(subscribe, judge) /* -> save, challenge, remove or create */                              \
    STEP(subscribe, challenge)                                                                     \
    STEP(subscribe, answered) /* before we remove another one */                                   \
    STEP(subscribe, remove)                                                                        \
    STEP(subscribe, removed) /* -> save, if none is wanted */                                      \
    STEP(subscribe, forget)  /* the number of the one before: the new one pushes at once */        \
    STEP(subscribe, create)                                                                        \
    STEP(subscribe, created) /* -> look, if another instance was first */                          \
    STEP(subscribe, save)                                                                          \
    STEP(subscribe, saved)                                                                         \
    STEP(subscribe, leave)   /* -> saved */                                                        \
    STEP(subscribe, problem) /* from anywhere */                                                   \
    STEP(subscribe, told)
FLOW_STEPS(subscribe, SUBSCRIBE_STEPS);

static struct subscribe_flow *subscribe_of(struct flow *f)
{
    return container_of(f, struct subscribe_flow, f);
}

static bool is_wanted(const struct subscribe_flow *x)
{
    return x->conf->callback_url && *x->conf->callback_url;
}

/* ---- what Strava says ------------------------------------------------------------------------ */

static json_t *read_answer(const struct subscribe_flow *x)
{
    struct err unread;
    return json_read(buf_span(&x->req.body), BODY_MAX, 16, &unread);
}

/* "PushSubscription, callback url: not verifiable", of the first of the errors in it. */
static char *said(struct subscribe_flow *x)
{
    json_t *root = read_answer(x);
    const json_t *first = json_array_get(json_object_get(root, "errors"), 0);
    const char *part[3];
    static const char *const key[3] = {"resource", "field", "code"};
    for (int i = 0; i < 3; i++) {
        const char *text = json_string_value(json_object_get(first, key[i]));
        part[i] = text ? text : "";
    }
    char *out = first ? arena_printf(x->f.arena, "%.*s, %.*s: %.*s", WORD_BYTES, part[0],
                                     WORD_BYTES, part[1], WORD_BYTES, part[2])
                      : arena_strdup(x->f.arena, "it gives no reason");
    text_tame(out);
    json_decref(root);
    return out;
}

static enum flow_next trouble(struct subscribe_flow *x, const char *state)
{
    x->state = state;
    return flow_goto(&x->f, subscribe_STEP_problem);
}

/* An answer that is none of those we can go on with. */
static enum flow_next refused(struct subscribe_flow *x, const char *what)
{
    const char *text = said(x);
    if (fetch_class(&x->req, what, &x->why) == 0) {
        err_set(&x->why, ERR_HTTP, ERR_RETRY, "%s: the answer makes no sense", what);
        return trouble(x, "unreadable");
    }
    if (x->req.status == 403 && strstr(text, "nactive")) {
        err_set_code(&x->why, ERR_HTTP, ERR_PERMANENT, 403,
                     "Strava has switched the API application off: its owner needs a subscription "
                     "there; see strava.com/settings/api");
        return trouble(x, "inactive");
    }
    if (x->req.status == 401 || (x->req.status == 400 && strstr(text, "Application"))) {
        err_set_code(&x->why, ERR_HTTP, ERR_PERMANENT, x->req.status,
                     "Strava does not accept strava.client_id with strava.client_secret (%s)",
                     text);
        return trouble(x, "credentials");
    }
    return trouble(x, x->req.status == 0 || x->req.status >= 500 ? "unreachable" : "refused");
}

static void with_credentials(struct subscribe_flow *x)
{
    fetch_query(&x->req, "client_id", x->conf->client_id);
    fetch_query(&x->req, "client_secret", x->conf->client_secret);
    fetch_secret(&x->req);
}

static void begin(struct subscribe_flow *x, enum fetch_method method, const char *path)
{
    fetch_done(&x->req);
    fetch_init(&x->req, x->conf->fetch, x->f.arena, method,
               arena_printf(x->f.arena, "%s/push_subscriptions%s", x->conf->api_url, path));
    fetch_limits(&x->req, ASK_MS, BODY_MAX);
}

/* ---- looking --------------------------------------------------------------------------------- */

static enum flow_next subscribe_word(struct flow *f)
{
    struct subscribe_flow *x = subscribe_of(f);
    char made[INGEST_WORD_MAX];
    if (!x->conf->fetch) {
        return flow_goto(f, subscribe_STEP_leave);
    }
    ingest_make_word(made);
    db_unit_init(&x->u, x->conf->pool, f->arena, DB_TX);
    db_add(&x->u, &SQL_ingest_verify_token);
    db_p_text(&x->u, made);
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, subscribe_STEP_look, INGEST_LIVE_CALL_MS);
}

static enum flow_next subscribe_look(struct flow *f)
{
    struct subscribe_flow *x = subscribe_of(f);
    if (!x->word) {
        x->word = db_get_text(&x->u, 0, 0, 0, f->arena);
        log_add_secret(x->word);
    }
    begin(x, FETCH_GET, "");
    with_credentials(x);
    fetch_send(&x->req);
    return flow_wait_any(f, &x->req.op, subscribe_STEP_judge, 0);
}

/* Of a URL: enough for people to know it by, and not where to send events. */
static void name_host(const char *url, char out[128])
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    snprintf(out, 128, "%.*s", (int)strcspn(host, "/?#"), host);
    text_tame(out);
}

/* Ours, wherever in the list it is; else the first. */
static bool read_list(struct subscribe_flow *x)
{
    json_t *root = read_answer(x);
    bool fine = x->req.status == 200 && json_is_array(root);
    x->found = 0;
    x->found_is_ours = false;
    for (size_t i = 0; fine && i < json_array_size(root) && !x->found_is_ours; i++) {
        const json_t *one = json_array_get(root, i), *id = json_object_get(one, "id");
        const char *url = json_string_value(json_object_get(one, "callback_url"));
        fine = json_is_integer(id) && json_integer_value(id) > 0 && url;
        bool ours = fine && is_wanted(x) && strcmp(url, x->conf->callback_url) == 0;
        if (fine && (ours || !x->found)) {
            x->found = json_integer_value(id);
            x->found_is_ours = ours;
            name_host(url, x->ret->where);
        }
    }
    json_decref(root);
    return fine;
}

static enum flow_next save(struct subscribe_flow *x, int what, int64_t id)
{
    x->ret->what = what;
    x->ret->id = id;
    return flow_goto(&x->f, subscribe_STEP_save);
}

static enum flow_next subscribe_judge(struct flow *f)
{
    struct subscribe_flow *x = subscribe_of(f);
    if (x->req.op.failed || !read_list(x)) {
        return refused(x, "looking for the subscription to events");
    }
    x->none_left = !x->found_is_ours;
    if (x->todo == DO_REMOVE) {
        return x->found ? flow_goto(f, subscribe_STEP_remove)
                        : save(x, INGEST_SUBSCRIPTION_NONE, 0);
    }
    if (x->found_is_ours) {
        return save(x, INGEST_SUBSCRIPTION_KEPT, x->found);
    }
    if (!x->conf->keep || !is_wanted(x)) {
        return save(x, x->found ? INGEST_SUBSCRIPTION_FOREIGN : INGEST_SUBSCRIPTION_NONE, 0);
    }
    return x->found ? FLOW_NEXT : flow_goto(f, subscribe_STEP_forget);
}

/* ---- another one in our place ---------------------------------------------------------------- */

/* What Strava will ask, asked by us on the same way. */
static enum flow_next subscribe_challenge(struct flow *f)
{
    struct subscribe_flow *x = subscribe_of(f);
    log_warn("the subscription to events is one that pushes elsewhere: it is to be replaced",
             L_S("host", x->ret->where));
    ingest_make_word(x->challenge);
    fetch_done(&x->req);
    fetch_init(&x->req, x->conf->fetch, f->arena, FETCH_GET, x->conf->callback_url);
    fetch_query(&x->req, "hub.mode", "subscribe");
    fetch_query(&x->req, "hub.challenge", x->challenge);
    fetch_query(&x->req, "hub.verify_token", x->word);
    if (strncmp(x->conf->callback_url, "https:", 6) == 0) {
        fetch_secret_path(&x->req);
    }
    fetch_limits(&x->req, OWN_MS, BODY_MAX);
    fetch_send(&x->req);
    return flow_wait_any(f, &x->req.op, subscribe_STEP_answered, 0);
}

static bool is_our_answer(const struct subscribe_flow *x)
{
    json_t *root = read_answer(x);
    const char *got = json_string_value(json_object_get(root, "hub.challenge"));
    bool same = x->req.status == 200 && got && strcmp(got, x->challenge) == 0;
    json_decref(root);
    return same;
}

static enum flow_next subscribe_answered(struct flow *f)
{
    struct subscribe_flow *x = subscribe_of(f);
    if (!x->req.op.failed && is_our_answer(x)) {
        return FLOW_NEXT;
    }
    struct err err;
    const char *why = "something else answers there";
    if (x->req.op.failed) {
        why = x->req.op.err.msg;
    } else if (fetch_class(&x->req, "asking it", &err) != 0) {
        why = err.msg;
    }
    err_set(&x->why, ERR_HTTP, ERR_RETRY,
            "the subscription to events pushes to %s, and cannot be moved here before "
            "strava.callback_url answers: %s",
            x->ret->where, why);
    return trouble(x, "elsewhere");
}

static enum flow_next subscribe_remove(struct flow *f)
{
    struct subscribe_flow *x = subscribe_of(f);
    begin(x, FETCH_DELETE, arena_printf(f->arena, "/%lld", (long long)x->found));
    with_credentials(x);
    fetch_send(&x->req);
    return flow_wait_any(f, &x->req.op, subscribe_STEP_removed, 0);
}

static enum flow_next subscribe_removed(struct flow *f)
{
    struct subscribe_flow *x = subscribe_of(f);
    bool gone =
        !x->req.op.failed && (x->req.status == 204 || x->req.status == 200 || x->req.status == 404);
    if (!gone) {
        return refused(x, "removing the subscription to events");
    }
    x->none_left = true;
    if (x->todo == DO_REMOVE) {
        log_info("the subscription to events was removed", L_I("id", x->found));
        return save(x, INGEST_SUBSCRIPTION_REMOVED, 0);
    }
    log_warn("a subscription to events that pushed elsewhere was removed", L_I("id", x->found),
             L_S("host", x->ret->where));
    return FLOW_NEXT;
}

/* ---- making one ------------------------------------------------------------------------------ */

/* An event of a number that is not ours is foreign for ever; while none is known all are taken. */
static enum flow_next subscribe_forget(struct flow *f)
{
    struct subscribe_flow *x = subscribe_of(f);
    db_unit_done(&x->u);
    db_unit_init(&x->u, x->conf->pool, f->arena, 0);
    db_add(&x->u, &SQL_ingest_subscription_forget);
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, subscribe_STEP_create, INGEST_LIVE_CALL_MS);
}

/* Before it answers Strava asks our listener, which answers meanwhile: nobody waits here. */
static enum flow_next subscribe_create(struct flow *f)
{
    struct subscribe_flow *x = subscribe_of(f);
    begin(x, FETCH_POST, "");
    fetch_form(&x->req, "client_id", x->conf->client_id);
    fetch_form(&x->req, "client_secret", x->conf->client_secret);
    fetch_form(&x->req, "callback_url", x->conf->callback_url);
    fetch_form(&x->req, "verify_token", x->word);
    fetch_send(&x->req);
    return flow_wait_any(f, &x->req.op, subscribe_STEP_created, 0);
}

static int64_t made_id(const struct subscribe_flow *x)
{
    json_t *root = read_answer(x);
    const json_t *id = json_object_get(root, "id");
    int64_t made = x->req.status == 201 && json_is_integer(id) ? json_integer_value(id) : 0;
    json_decref(root);
    return made;
}

static enum flow_next subscribe_created(struct flow *f)
{
    struct subscribe_flow *x = subscribe_of(f);
    int64_t id = x->req.op.failed ? 0 : made_id(x);
    if (id > 0) {
        log_info("Strava pushes events from now on", L_I("subscription", id));
        return save(x, x->found ? INGEST_SUBSCRIPTION_MOVED : INGEST_SUBSCRIPTION_MADE, id);
    }
    if (!x->req.op.failed && x->req.status == 400) {
        const char *text = said(x);
        if (strstr(text, "exist") && !x->asked_again) {
            x->asked_again = true;
            return flow_goto(f, subscribe_STEP_look);
        }
        if (strncmp(text, "PushSubscription", 16) == 0) {
            err_set_code(&x->why, ERR_HTTP, ERR_RETRY, 400,
                         "Strava makes no subscription to events, as it cannot reach "
                         "strava.callback_url or what answers there is not this service (%s)",
                         text);
            return trouble(x, "callback");
        }
    }
    return refused(x, "making the subscription to events");
}

/* ---- what came of it ------------------------------------------------------------------------- */

static struct db_unit *last_unit(struct subscribe_flow *x, bool finishes)
{
    db_unit_done(&x->u);
    db_unit_init(&x->u, x->conf->pool, x->f.arena, DB_TX);
    if (x->b && finishes) {
        jobs_add_finish(&x->u, x->b, x->b->n);
    }
    return &x->u;
}

static enum flow_next subscribe_save(struct flow *f)
{
    struct subscribe_flow *x = subscribe_of(f);
    db_add(last_unit(x, true), &SQL_ingest_subscription_save);
    if (x->ret->id) {
        db_p_i64(&x->u, x->ret->id);
    } else {
        db_p_null(&x->u);
    }
    db_p_text(&x->u, x->ret->id ? x->conf->callback_url : NULL);
    db_p_bool(&x->u, x->ret->id != 0);
    db_p_text(&x->u, x->ret->what == INGEST_SUBSCRIPTION_MOVED ? x->ret->where : NULL);
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, subscribe_STEP_saved, INGEST_LIVE_CALL_MS);
}

static enum flow_next subscribe_saved(struct flow *f)
{
    struct subscribe_flow *x = subscribe_of(f);
    if (x->b) {
        jobs_finished(x->b, x->b->n);
        jobs_hint(x->b->jobs); /* perhaps an alert */
    }
    return FLOW_DONE;
}

/* Left behind by a service that had to do with it. */
static enum flow_next subscribe_leave(struct flow *f)
{
    struct subscribe_flow *x = subscribe_of(f);
    CHECK(x->b);
    (void)last_unit(x, true);
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, subscribe_STEP_saved, INGEST_LIVE_CALL_MS);
}

/* What is worth another try is one, as long as the job has some left. */
static bool gives_up(const struct subscribe_flow *x)
{
    return x->b && (x->why.class != ERR_RETRY || x->b->job[0].attempt >= x->b->job[0].max_attempts);
}

static enum flow_next subscribe_problem(struct flow *f)
{
    struct subscribe_flow *x = subscribe_of(f);
    bool alert = x->b && (gives_up(x) || x->b->job[0].attempt >= ALERT_AFTER);
    db_add(last_unit(x, gives_up(x)), &SQL_ingest_subscription_problem);
    db_p_text(&x->u, x->why.msg);
    db_p_bool(&x->u, x->none_left);
    db_p_text(&x->u, alert ? x->state : NULL);
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, subscribe_STEP_told, INGEST_LIVE_CALL_MS);
}

static enum flow_next subscribe_told(struct flow *f)
{
    struct subscribe_flow *x = subscribe_of(f);
    if (gives_up(x)) {
        log_err(LOG_LEVEL_ERROR, "there is no subscription to events; tomorrow again", &x->why);
        jobs_finished(x->b, x->b->n);
        jobs_hint(x->b->jobs);
        return FLOW_DONE;
    }
    f->err = x->why;
    return flow_fail(f);
}

static void subscribe_end(struct flow *f)
{
    struct subscribe_flow *x = subscribe_of(f);
    fetch_done(&x->req);
    db_unit_done(&x->u);
}

static const struct flow_def subscribe_def = {"ingest_subscribe", subscribe_steps,
                                              subscribe_STEP_COUNT, subscribe_end};

static struct flow *new_flow(const struct ingest_subscription *s, int todo,
                             struct ingest_subscribed *ret)
{
    struct subscribe_flow *x = flow_new(db_pool_loop(s->pool), &subscribe_def, sizeof(*x), 0);
    x->conf = s;
    x->todo = todo;
    x->ret = ret ? ret : &x->own;
    *x->ret = (struct ingest_subscribed){.id = 0};
    return &x->f;
}

struct flow *ingest_subscribe_flow(const struct ingest_subscription *s,
                                   struct ingest_subscribed *ret)
{
    return new_flow(s, DO_KEEP, ret);
}

struct flow *ingest_unsubscribe_flow(const struct ingest_subscription *s,
                                     struct ingest_subscribed *ret)
{
    return new_flow(s, DO_REMOVE, ret);
}

static struct flow *subscribe_start(struct jobs_batch *b, void *ctx)
{
    struct flow *f = new_flow(ctx, DO_KEEP, NULL);
    subscribe_of(f)->b = b;
    return f;
}

void ingest_subscribe_kind(const struct ingest_subscription *s, struct jobs_kind *out)
{
    *out = (struct jobs_kind){
        .name = "strava.subscribe",
        .batch_max = 1,
        .start = subscribe_start,
        .ctx = (void *)(uintptr_t)s,
        .timeout_ms = 180000,
    };
}
