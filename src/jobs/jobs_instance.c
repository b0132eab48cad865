/* This instance among the others: it registers, beats, watches the rest, and rescues what the dead
 * left.
 *
 * Whether another instance is dead is judged on our own monotonic clock and only while our own
 * beats get through, so a database outage or a clock jump kills nobody. A wrong verdict is
 * harmless: the fence drops the results of whoever was taken for dead. */
#include "jobs/internal.h"

#include <unistd.h>

struct beat_flow {
    struct flow f;
    struct jobs *q;
    int64_t sent_ms;
    struct db_unit u;
    struct db_unit rescue;
    struct jobs_peer dead;
};
#define BEAT_STEPS(STEP)                                                                           \
    STEP(beat, send) /* register, or beat and look around */                                       \
    STEP(beat, hear)                                                                               \
    STEP(beat, judge)                                                                              \
    STEP(beat, rescue)  /* one dead instance at a time */                                          \
    STEP(beat, rescued) /* -> judge */
FLOW_STEPS(beat, BEAT_STEPS);

static struct beat_flow *beat_of(struct flow *f)
{
    return container_of(f, struct beat_flow, f);
}

int64_t jobs__now(const struct jobs *q)
{
    return loop_now_ms(q->loop);
}

/* Columns and kinds of row of jobs/sql/beat.sql. */
enum { ROW_ME, ROW_PEER, ROW_CANCEL };
enum { COL_WHAT, COL_ID, COL_BEAT, COL_PLACE, COL_PID, COL_PID_STARTED, COL_FLAG };

static void add_register(const struct jobs *q, struct db_unit *u)
{
    char host[256] = "unknown";
    (void)gethostname(host, sizeof(host) - 1); /* for people only */
    struct buf place = {0};
    jobs__place(&place);
    db_add(u, &SQL_jobs_register);
    db_p_text(u, host);
    db_p_text(u, place.p);
    db_p_i64(u, getpid());
    db_p_i64(u, jobs__pid_started(getpid()));
    db_p_text(u, WAYMARK_VERSION);
    db_p_text(u, q->conf.queue);
    db_p_i64(u, q->conf.concurrency);
    buf_done(&place);
}

static enum flow_next beat_send(struct flow *f)
{
    struct beat_flow *b = beat_of(f);
    struct jobs *q = b->q;
    b->sent_ms = jobs__now(q);
    db_unit_init(&b->u, q->beat_pool, f->arena, 0);
    if (q->owner == 0) {
        add_register(q, &b->u);
    } else {
        db_add(&b->u, &SQL_jobs_beat);
        db_p_i64(&b->u, q->owner);
        db_p_i64(&b->u, q->counts.in_flight_jobs);
    }
    db_submit(&b->u);
    FAULT_POINT(q->owner ? "beat_sent" : "register_sent");
    return flow_wait(f, &b->u.op, beat_STEP_hear, JOBS_CALL_MS);
}

static struct jobs_peer *peer_find(struct jobs *q, int64_t id)
{
    for (size_t i = 0; i < q->peers.n; i++) {
        if (q->peers.v[i].id == id) {
            return &q->peers.v[i];
        }
    }
    struct jobs_peer *p = vec_push(&q->peers);
    *p = (struct jobs_peer){.id = id, .beat = INT64_MIN};
    return p;
}

/* Same machine, same pid namespace, and the process is not there, or is another one that got its
 * pid. */
static bool process_is_gone(const struct db_unit *u, int row, const char *here)
{
    if (!span_is(db_get_span(u, 0, row, COL_PLACE), here) || strcmp(here, "unknown") == 0) {
        return false;
    }
    return jobs__pid_started((int)db_get_i64(u, 0, row, COL_PID)) !=
           db_get_i64(u, 0, row, COL_PID_STARTED);
}

static bool look_at(struct jobs *q, const struct db_unit *u, int row, const char *here,
                    struct jobs_peer **ret)
{
    int64_t now = jobs__now(q);
    struct jobs_peer *p = peer_find(q, db_get_i64(u, 0, row, COL_ID));
    int64_t beat = db_get_i64(u, 0, row, COL_BEAT);
    bool session = db_get_i64(u, 0, row, COL_FLAG) != 0;
    p->present = true;
    if (beat != p->beat) {
        p->beat = beat;
        p->beat_seen_ms = now;
    }
    if (session) {
        p->session_gone_ms = 0;
    } else if (p->session_gone_ms == 0) {
        p->session_gone_ms = now;
    }
    *ret = p;
    return beat < 0 || process_is_gone(u, row, here) || now - p->beat_seen_ms >= JOBS_SILENT_MS ||
           (p->session_gone_ms && now - p->session_gone_ms >= JOBS_SESSION_GONE_MS);
}

static void forget_absent(struct jobs *q)
{
    size_t kept = 0;
    for (size_t i = 0; i < q->peers.n; i++) {
        if (q->peers.v[i].present) {
            q->peers.v[kept] = q->peers.v[i];
            q->peers.v[kept++].present = false;
        }
    }
    q->peers.n = kept;
}

static bool is_row(const struct db_unit *u, int row, int64_t what)
{
    return db_get_i64(u, 0, row, COL_WHAT) == what;
}

static void settle_owner(struct jobs *q, const struct db_unit *u)
{
    if (db_rows(u, 0) == 0 || !is_row(u, 0, ROW_ME)) {
        log_warn("another instance took this one for dead and took over its jobs; registering anew",
                 L_I("instance", q->owner));
        q->owner = 0; /* what is in flight will be refused by the fence */
        q->looked = false;
        return;
    }
    bool stopped = db_get_i64(u, 0, 0, COL_FLAG) != 0;
    if (stopped != q->stopped) {
        q->stopped = stopped;
        q->look = q->due = true; /* what came meanwhile, perhaps without a word */
        jobs__rewind(q);
        log_info(stopped ? "drained by an operator: nothing more is claimed"
                         : "no longer drained: claiming again",
                 L_I("instance", q->owner));
    }
}

static void hear_cancels(struct jobs *q, const struct db_unit *u)
{
    for (int row = 0; row < db_rows(u, 0); row++) {
        if (is_row(u, row, ROW_CANCEL)) {
            jobs__run_cancel(q, db_get_i64(u, 0, row, COL_ID));
        }
    }
}

static void signed_on(struct jobs *q, const struct db_unit *u)
{
    q->owner = db_get_i64(u, 0, 0, 0);
    q->look = true;
    log_debug("instance registered", L_I("instance", q->owner));
}

/* As long as our own beats did not get through, or did not happen, we could not hear anybody: that
 * time is nobody's silence. Of two that come back from the same outage, or wake up on the same
 * machine, the first would take the other for dead otherwise. */
static void forgive_silence(struct jobs *q, int64_t since_beat_ms)
{
    if (q->beat_ms == 0 || since_beat_ms <= 2 * JOBS_BEAT_MS) {
        return;
    }
    for (size_t i = 0; i < q->peers.n; i++) {
        struct jobs_peer *p = &q->peers.v[i];
        p->beat_seen_ms += since_beat_ms - JOBS_BEAT_MS;
        p->session_gone_ms += p->session_gone_ms ? since_beat_ms - JOBS_BEAT_MS : 0;
    }
}

static enum flow_next beat_hear(struct flow *f)
{
    struct beat_flow *b = beat_of(f);
    struct jobs *q = b->q;
    jobs__db_worked(q, JOBS_BEAT);
    forgive_silence(q, b->sent_ms - q->beat_ms);
    q->beat_ms = b->sent_ms;
    if (q->owner == 0) {
        signed_on(q, &b->u);
        db_unit_done(&b->u);
        return flow_goto(f, beat_STEP_send); /* to see the others */
    }
    settle_owner(q, &b->u);
    hear_cancels(q, &b->u);
    return FLOW_NEXT;
}

static enum flow_next beat_judge(struct flow *f)
{
    struct beat_flow *b = beat_of(f);
    struct jobs *q = b->q;
    struct buf here = {0};
    jobs__place(&here);
    bool found = false;
    for (int row = 0; row < db_rows(&b->u, 0) && !found; row++) {
        struct jobs_peer *p;
        /* Rows are ordered by id and b->dead is the last one tried: each is tried once a beat. */
        if (is_row(&b->u, row, ROW_PEER) && look_at(q, &b->u, row, here.p, &p) &&
            p->id != q->owner && p->id > b->dead.id) {
            b->dead = *p;
            found = true;
        }
    }
    buf_done(&here);
    if (found) {
        return flow_goto(f, beat_STEP_rescue);
    }
    forget_absent(q);
    return FLOW_DONE;
}

static enum flow_next beat_rescue(struct flow *f)
{
    struct beat_flow *b = beat_of(f);
    db_unit_init(&b->rescue, b->q->beat_pool, f->arena, DB_TX);
    db_add(&b->rescue, &SQL_jobs_rescue);
    db_p_i64(&b->rescue, b->dead.id);
    db_p_i64(&b->rescue, b->dead.beat);
    db_submit(&b->rescue);
    FAULT_POINT("rescue_sent");
    return flow_wait(f, &b->rescue.op, beat_STEP_rescued, 3 * JOBS_CALL_MS);
}

static enum flow_next beat_rescued(struct flow *f)
{
    struct beat_flow *b = beat_of(f);
    int64_t n = db_get_i64(&b->rescue, 0, 0, 0);
    db_unit_done(&b->rescue);
    if (n > 0) {
        b->q->counts.rescued += (uint64_t)n;
        b->q->look = true;
        log_info("took over the jobs of an instance that is gone", L_I("instance", b->dead.id),
                 L_I("jobs", n));
    }
    return flow_goto(f, beat_STEP_judge);
}

static void beat_end(struct flow *f)
{
    struct beat_flow *b = beat_of(f);
    struct jobs *q = b->q;
    db_unit_done(&b->u);
    db_unit_done(&b->rescue);
    q->beating = false;
    if (f->failed) {
        jobs__db_failed(q, JOBS_BEAT, &f->err);
    } else if (q->owner != 0 && !q->looked) {
        q->looked = true;
        q->look = q->due = true; /* a claim that found nothing may have been too early */
    } else if (q->owner == 0 && q->state == JOBS_RUNNING) {
        jobs__beat(q);
    }
    jobs__upkeep(q);
    jobs__pump(q);
}

static const struct flow_def beat_def = {"jobs_beat", beat_steps, beat_STEP_COUNT, beat_end};

void jobs__beat(struct jobs *q)
{
    if (q->beating || q->state != JOBS_RUNNING) {
        return;
    }
    struct beat_flow *b = flow_new(q->loop, &beat_def, sizeof(*b), 0);
    b->q = q;
    q->beating = true;
    flow_start(&b->f);
}

/* ---- goodbye -----------------------------------------------------------------------------------
 */

struct leave_flow {
    struct flow f;
    struct jobs *q;
    struct db_unit u;
};
#define LEAVE_STEPS(STEP)                                                                          \
    STEP(leave, send)                                                                              \
    STEP(leave, sent)
FLOW_STEPS(leave, LEAVE_STEPS);

static enum flow_next leave_send(struct flow *f)
{
    struct leave_flow *l = container_of(f, struct leave_flow, f);
    if (l->q->owner == 0) {
        return FLOW_DONE;
    }
    db_unit_init(&l->u, l->q->pool, f->arena, DB_TX);
    db_add(&l->u, &SQL_jobs_unregister);
    db_p_i64(&l->u, l->q->owner);
    db_submit(&l->u);
    FAULT_POINT("goodbye_sent");
    return flow_wait(f, &l->u.op, leave_STEP_sent, JOBS_CALL_MS);
}

static enum flow_next leave_sent(struct flow *f)
{
    (void)f;
    return FLOW_DONE;
}

static void leave_end(struct flow *f)
{
    struct leave_flow *l = container_of(f, struct leave_flow, f);
    struct jobs *q = l->q;
    db_unit_done(&l->u);
    if (f->failed) {
        log_err(LOG_LEVEL_WARN,
                "could not sign off from the queue; others will take over what is left", &f->err);
    }
    q->state = JOBS_DRAINED;
    uv_timer_stop(&q->drain_timer);
    op_finish(q->drain, NULL);
}

static const struct flow_def leave_def = {"jobs_leave", leave_steps, leave_STEP_COUNT, leave_end};

void jobs__leave(struct jobs *q)
{
    struct leave_flow *l = flow_new(q->loop, &leave_def, sizeof(*l), 0);
    l->q = q;
    flow_start(&l->f);
}

int64_t jobs_beat_age_ms(const struct jobs *q)
{
    return q->beat_ms == 0 ? -1 : jobs__now(q) - q->beat_ms;
}
