/* Kind alert.send: one message, one destination. It is delivered, then its job ends: should we die
 * in between it comes a second time, which is better than not at all. */
#include "alert/internal.h"

#include <jansson.h>

/* ---- delivery -------------------------------------------------------------------------------- */

struct deliver_flow {
    struct flow f;
    struct alert *a;
    enum alert_to to;
    struct alert_message m;
    struct fetch_req req;
};
#define DELIVER_STEPS(STEP)                                                                        \
    STEP(deliver, post)                                                                            \
    STEP(deliver, judge)
FLOW_STEPS(deliver, DELIVER_STEPS);

static struct deliver_flow *deliver_of(struct flow *f)
{
    return container_of(f, struct deliver_flow, f);
}

static enum flow_next deliver_post(struct flow *f)
{
    struct deliver_flow *d = deliver_of(f);
    struct buf body = {0};
    const char *type = alert__body(d->to, &d->m, d->a->conf.instance, f->arena, &body);
    fetch_init(&d->req, d->a->fetch, f->arena, FETCH_POST, d->a->conf.url[d->to]);
    fetch_secret_path(&d->req);
    fetch_over_http(&d->req);
    fetch_limits(&d->req, ALERT_SEND_MS, ALERT_ANSWER_MAX);
    if (d->to == ALERT_NTFY) {
        fetch_header(&d->req, "Title", alert__header(f->arena, d->m.title));
        fetch_header(&d->req, "Priority", d->m.bad ? "high" : "default");
        fetch_header(&d->req, "Tags", d->m.bad ? "warning" : "white_check_mark");
    }
    fetch_body(&d->req, type, buf_span(&body));
    buf_done(&body);
    fetch_send(&d->req);
    return flow_wait_any(f, &d->req.op, deliver_STEP_judge, ALERT_SEND_MS + 2000);
}

static enum flow_next deliver_judge(struct flow *f)
{
    struct deliver_flow *d = deliver_of(f);
    char what[320];
    snprintf(what, sizeof(what), "alert.%s_url (%.256s)", alert_name(d->to),
             alert_origin(d->a->conf.url[d->to], f->arena));
    if (fetch_class(&d->req, what, &f->err) == 0) {
        d->a->count[d->to][ALERT_SENT]++;
        return FLOW_DONE;
    }
    d->a->count[d->to][f->err.class == ERR_RETRY ? ALERT_FAILED : ALERT_REFUSED]++;
    return flow_fail(f);
}

static void deliver_end(struct flow *f)
{
    fetch_done(&deliver_of(f)->req);
}

static const struct flow_def deliver_def = {"alert_deliver", deliver_steps, deliver_STEP_COUNT,
                                            deliver_end};

/* One line, and nothing in it that a terminal would obey; of a body, each line by itself. */
static const char *tame(struct arena *a, const char *text, bool lines)
{
    char *copy = arena_strdup(a, text);
    for (char *p = copy; *p;) {
        char *end = p + (lines ? strcspn(p, "\n") : strlen(p));
        char was = *end;
        *end = '\0';
        text_tame(p);
        *end = was;
        p = end + (was != '\0');
    }
    return copy;
}

struct flow *alert_deliver_flow(struct alert *a, enum alert_to to, const struct alert_message *m)
{
    CHECK(alert_has(a, to));
    struct deliver_flow *d = flow_new(a->loop, &deliver_def, sizeof(*d), 0);
    d->a = a;
    d->to = to;
    d->m = *m;
    d->m.key = tame(d->f.arena, m->key, false);
    d->m.title = tame(d->f.arena, m->title, false);
    d->m.body = tame(d->f.arena, m->body, true);
    return &d->f;
}

/* ---- the payload ----------------------------------------------------------------------------- */

int alert__payload_read(const char *payload, struct arena *a, enum alert_to *to,
                        struct alert_message *m, struct err *err)
{
    json_t *root = json_read(span_of(payload), 64 * 1024, 4, err);
    if (!root) {
        return err_wrap(err, "payload of an alert: ");
    }
    static const char *const keys[] = {"to", "key", "title", "body", "at"};
    const char *v[COUNT_OF(keys)];
    int rc = 0;
    for (size_t i = 0; i < COUNT_OF(keys) && rc == 0; i++) {
        v[i] = json_string_value(json_object_get(root, keys[i]));
        rc = v[i] ? 0
                  : err_set(err, ERR_DATA, ERR_BUG, "payload of an alert: there is no text \"%s\"",
                            keys[i]);
    }
    if (rc == 0 && alert_by_name(span_of(v[0]), to) != 0) {
        rc = err_set(err, ERR_DATA, ERR_BUG, "payload of an alert: no destination is called %.40s",
                     v[0]);
    }
    if (rc == 0 && time_parse_iso(span_of(v[4]), &m->at_us, err) != 0) {
        rc = err_wrap(err, "payload of an alert: ");
        err->class = ERR_BUG;
    }
    if (rc == 0) {
        m->key = arena_strdup(a, v[1]);
        m->title = arena_strdup(a, v[2]);
        m->body = arena_strdup(a, v[3]);
        m->bad = json_is_true(json_object_get(root, "bad"));
    }
    json_decref(root);
    return rc;
}

/* ---- the job --------------------------------------------------------------------------------- */

struct send_flow {
    struct flow f;
    struct alert *a;
    struct jobs_batch *b;
    enum alert_to to;
    struct alert_message m;
    struct op op;
    struct db_unit u;
};
#define SEND_STEPS(STEP)                                                                           \
    STEP(send, deliver) /* -> finish, when that is pointless */                                    \
    STEP(send, judge)                                                                              \
    STEP(send, finish)                                                                             \
    STEP(send, done)
FLOW_STEPS(send, SEND_STEPS);

static struct send_flow *send_of(struct flow *f)
{
    return container_of(f, struct send_flow, f);
}

/* Why it is not sent at all; NULL: it is. */
static const char *pointless(const struct send_flow *s, int64_t age_s)
{
    return age_s > ALERT_TOO_OLD_S   ? "an alert was too old to be sent"
           : !alert_has(s->a, s->to) ? "an alert has no address any more"
                                     : NULL;
}

static enum flow_next send_deliver(struct flow *f)
{
    struct send_flow *s = send_of(f);
    const struct jobs_job *job = &s->b->job[0];
    if (alert__payload_read(job->payload, f->arena, &s->to, &s->m, &f->err) != 0) {
        return flow_fail(f);
    }
    s->m.id = job->id;
    int64_t age_s = (clock_wall_us() - s->m.at_us) / 1000000;
    const char *why = pointless(s, age_s);
    if (why) {
        s->a->count[s->to][ALERT_DROPPED]++;
        log_warn(why, L_S("to", alert_name(s->to)), L_S("about", s->m.key),
                 L_S("title", s->m.title), L_I("age_s", age_s));
        return flow_goto(f, send_STEP_finish);
    }
    flow_call(alert_deliver_flow(s->a, s->to, &s->m), &s->op);
    return flow_wait_any(f, &s->op, send_STEP_judge, 0);
}

static enum flow_next send_judge(struct flow *f)
{
    struct send_flow *s = send_of(f);
    if (!s->op.failed) {
        return FLOW_NEXT;
    }
    /* The queue's own backoff is over in minutes; and a refusal for being too many, which spends no
     * attempt, would be tried again every few seconds. */
    const int64_t most_ms = 3600 * 1000;
    f->err = s->op.err;
    if (f->err.retry_after_ms <= 0) {
        f->err.retry_after_ms = alert__pause_ms(s->b->job[0].attempt);
    } else if (f->err.retry_after_ms > most_ms) {
        f->err.retry_after_ms = most_ms;
    }
    return flow_fail(f);
}

static enum flow_next send_finish(struct flow *f)
{
    struct send_flow *s = send_of(f);
    db_unit_init(&s->u, s->a->pool, f->arena, DB_TX);
    jobs_add_finish(&s->u, s->b, 1);
    FAULT_POINT("alert_sent");
    db_submit(&s->u);
    return flow_wait(f, &s->u.op, send_STEP_done, ALERT_CALL_MS);
}

static enum flow_next send_done(struct flow *f)
{
    jobs_finished(send_of(f)->b, 1);
    return FLOW_DONE;
}

static void send_end(struct flow *f)
{
    db_unit_done(&send_of(f)->u);
}

static const struct flow_def send_def = {"alert_send", send_steps, send_STEP_COUNT, send_end};

struct flow *alert__send_start(struct jobs_batch *b, void *ctx)
{
    struct alert *a = ctx;
    struct send_flow *s = flow_new(a->loop, &send_def, sizeof(*s), 0);
    s->a = a;
    s->b = b;
    return &s->f;
}
