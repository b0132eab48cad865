/* Asks strava.callback_url what Strava asks it, on the way that Strava takes as far as we can: from
 * this machine. */
#include "cli/doctor.h"

#include <jansson.h>

enum { CALLBACK_MS = 5000, BODY_MAX = 16 * 1024 };

struct callback_flow {
    struct flow f;
    struct doctor_strava *s;
    struct fetch *fetch;
    struct fetch_req req;
    struct op op;
    char challenge[INGEST_WORD_MAX];
};
#define CALLBACK_STEPS(STEP)                                                                       \
    STEP(callback, ask)                                                                            \
    STEP(callback, judge)                                                                          \
    STEP(callback, closed)
FLOW_STEPS(callback, CALLBACK_STEPS);

static struct callback_flow *callback_of(struct flow *f)
{
    return container_of(f, struct callback_flow, f);
}

static enum flow_next callback_ask(struct flow *f)
{
    struct callback_flow *x = callback_of(f);
    const struct fetch_conf conf = {.user_agent = "Waymark/" WAYMARK_VERSION " doctor"};
    x->fetch = fetch_open(f->loop, &conf, &x->s->asked.err);
    if (!x->fetch) {
        return FLOW_DONE;
    }
    ingest_make_word(x->challenge);
    fetch_init(&x->req, x->fetch, f->arena, FETCH_GET, x->s->callback_url);
    fetch_query(&x->req, "hub.mode", "subscribe");
    fetch_query(&x->req, "hub.challenge", x->challenge);
    fetch_query(&x->req, "hub.verify_token", x->s->word);
    fetch_limits(&x->req, CALLBACK_MS, BODY_MAX);
    fetch_send(&x->req);
    return flow_wait_any(f, &x->req.op, callback_STEP_judge, 0);
}

static bool is_right(const struct callback_flow *x)
{
    struct err err;
    json_t *root = json_read(buf_span(&x->req.body), BODY_MAX, 4, &err);
    const char *got = json_string_value(json_object_get(root, "hub.challenge"));
    bool right = x->req.status == 200 && got && strcmp(got, x->challenge) == 0;
    json_decref(root);
    return right;
}

static enum flow_next callback_judge(struct flow *f)
{
    struct callback_flow *x = callback_of(f);
    struct doctor_part *asked = &x->s->asked;
    x->s->callback_ms = x->req.elapsed_ms;
    if (x->req.op.failed) {
        asked->err = x->req.op.err;
    } else if (is_right(x)) {
        asked->answered = true;
    } else if (fetch_class(&x->req, "asking strava.callback_url", &asked->err) == 0) {
        err_set(&asked->err, ERR_HTTP, ERR_PERMANENT,
                "something else than this service answers at strava.callback_url");
    }
    fetch_close(x->fetch, &x->op);
    x->fetch = NULL;
    return flow_wait_any(f, &x->op, callback_STEP_closed, 0);
}

static enum flow_next callback_closed(struct flow *f)
{
    (void)f;
    return FLOW_DONE;
}

static void callback_end(struct flow *f)
{
    struct callback_flow *x = callback_of(f);
    fetch_done(&x->req);
    if (x->fetch) { /* the time was up; its handles are closed as the loop goes on */
        fetch_close(x->fetch, x->s->closing);
    }
}

static const struct flow_def callback_def = {"doctor_callback", callback_steps, callback_STEP_COUNT,
                                             callback_end};

struct flow *doctor__callback_flow(struct loop *l, struct doctor_strava *s)
{
    struct callback_flow *x = flow_new(l, &callback_def, sizeof(*x), 0);
    x->s = s;
    return &x->f;
}
