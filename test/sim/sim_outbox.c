/* Events on their way: held, waiting for their time, sent, sent again. */
#include "sim/sim.h"

enum {
    KEPT_MAX = 65536,
    TRIM = 4096,
    BYTES_MAX = 256 << 20,
    SHOWN_MAX = 8192,
    RETRY_S = 60,
    MS_MAX = 2049
};

struct list {
    VEC(struct event *);
};
struct outbox {
    struct list all;     /* by n */
    struct list waiting; /* by when it is due */
    struct list held;
    int64_t next;
    int64_t in_flight;
    size_t bytes; /* of all bodies */
    bool holding;
};

static const char *const state_names[] = {"held", "waiting", "in_flight",
                                          "done", "lost",    "dropped"};

/* ---- lists -------------------------------------------------------------------------------------
 */

struct outbox *outbox_new(void)
{
    struct outbox *o = mem_alloc(sizeof(*o));
    o->next = 1;
    return o;
}

static void event_free(struct event *e)
{
    mem_free(e->method);
    mem_free(e->url);
    mem_free(e->type);
    buf_done(&e->body);
    mem_free(e);
}

struct outbox *outbox_free(struct outbox *o)
{
    for (size_t i = 0; o && i < o->all.n; i++)
        event_free(o->all.v[i]);
    if (o) {
        vec_done(&o->all);
        vec_done(&o->waiting);
        vec_done(&o->held);
        mem_free(o);
    }
    return NULL;
}

static void insert_at(struct list *l, size_t at, struct event *e)
{
    (void)vec_push(l);
    memmove(l->v + at + 1, l->v + at, (l->n - 1 - at) * sizeof(*l->v));
    l->v[at] = e;
}

static void remove_first(struct list *l, size_t n)
{
    if (n == 0)
        return;
    memmove(l->v, l->v + n, (l->n - n) * sizeof(*l->v));
    l->n -= n;
}

static void wait_for_its_time(struct outbox *o, struct event *e)
{
    size_t at = o->waiting.n;
    while (at > 0 && o->waiting.v[at - 1]->due_us > e->due_us)
        at--;
    e->state = EV_WAITING;
    insert_at(&o->waiting, at, e);
}

static struct event *copied(const struct event *e)
{
    struct event *copy = mem_alloc(sizeof(*copy));
    *copy = *e;
    copy->method = mem_strdup(e->method);
    copy->url = e->url ? mem_strdup(e->url) : NULL;
    copy->type = mem_strdup(e->type);
    copy->body = (struct buf){0};
    buf_put(&copy->body, e->body.n ? e->body.p : "", e->body.n);
    return copy;
}

struct outbox *outbox_copy(const struct outbox *from)
{
    struct outbox *o = outbox_new();
    o->next = from->next;
    o->holding = from->holding;
    for (size_t i = 0; i < from->all.n; i++) {
        struct event *e = copied(from->all.v[i]);
        *vec_push(&o->all) = e;
        o->bytes += e->body.n;
        if (e->state == EV_HELD)
            *vec_push(&o->held) = e;
        else if (e->state == EV_WAITING || e->state == EV_IN_FLIGHT)
            wait_for_its_time(o, e);
    }
    return o;
}

static struct event *find(const struct outbox *o, int64_t n)
{
    size_t low = 0, high = o->all.n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        bool less = o->all.v[middle]->n < n;
        low = less ? middle + 1 : low;
        high = less ? high : middle;
    }
    return low < o->all.n && o->all.v[low]->n == n ? o->all.v[low] : NULL;
}

/* The oldest that are over. */
static void trim(struct outbox *o)
{
    size_t n = 0;
    if (o->all.n < KEPT_MAX + TRIM && o->bytes < BYTES_MAX)
        return;
    while (n < TRIM && n < o->all.n && o->all.v[n]->state >= EV_DONE) {
        o->bytes -= o->all.v[n]->body.n;
        event_free(o->all.v[n++]);
    }
    remove_first(&o->all, n);
}

static void put(struct sim *s, struct event *e)
{
    struct outbox *o = s->world->outbox;
    e->n = o->next++;
    trim(o);
    *vec_push(&o->all) = e;
    o->bytes += e->body.n;
    s->hooks.made++;
    if (o->holding) {
        e->state = EV_HELD;
        *vec_push(&o->held) = e;
    } else {
        wait_for_its_time(o, e);
    }
}

struct event *outbox_add(struct sim *s, struct buf *body, int64_t delay_us)
{
    struct event *e = mem_alloc(sizeof(*e));
    e->method = mem_strdup("POST");
    e->type = mem_strdup("application/json");
    e->body = *body;
    *body = (struct buf){0};
    e->retry = true;
    e->due_us = sim_now_us(s) + delay_us;
    put(s, e);
    return e;
}

/* ---- waiting until it is empty -----------------------------------------------------------------
 */

struct idler {
    struct idler *prev, *next;
    struct req *r;
    struct sim *sim;
    uv_timer_t timer;
    bool due_only;
};

static int64_t left(const struct sim *s, bool due_only)
{
    const struct outbox *o = s->world->outbox;
    int64_t n = o->in_flight, now = sim_now_us(s);
    if (!due_only)
        return n + (int64_t)o->held.n + (int64_t)o->waiting.n;
    for (size_t i = 0; i < o->waiting.n && o->waiting.v[i]->due_us <= now; i++)
        n++;
    return n;
}

static void idler_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void idler_end(struct idler *i)
{
    *(i->prev ? &i->prev->next : &i->sim->idlers) = i->next;
    if (i->next)
        i->next->prev = i->prev;
    uv_close((uv_handle_t *)&i->timer, idler_closed);
}

static void answer_idle(struct req *r, int64_t n)
{
    const struct outbox *o = r->sim->world->outbox;
    struct jw w = {.b = &r->out};
    jw_open(&w, NULL, '{');
    if (n)
        jw_str(&w, "error", "the outbox is not empty");
    else
        jw_bool(&w, "ok", true);
    jw_i64(&w, "left", n);
    jw_i64(&w, "held", (int64_t)o->held.n);
    jw_i64(&w, "waiting", (int64_t)o->waiting.n);
    jw_i64(&w, "in_flight", o->in_flight);
    jw_close(&w, '}');
    answer_json(r, n ? 409 : 200);
}

static void idler_timeout(uv_timer_t *timer)
{
    struct idler *i = timer->data;
    struct req *r = i->r;
    int64_t n = left(i->sim, i->due_only);
    idler_end(i);
    r->on_gone = NULL;
    answer_idle(r, n);
}

static void idler_gone(struct req *r)
{
    idler_end(r->ctx);
    answer_idle(r, 0);
}

void outbox_wait_idle(struct req *r, double timeout_s, bool due_only)
{
    struct sim *s = r->sim;
    int64_t n = left(s, due_only);
    if (n == 0 || timeout_s <= 0) {
        answer_idle(r, n);
        return;
    }
    struct idler *i = mem_alloc(sizeof(*i));
    i->r = r;
    i->sim = s;
    i->due_only = due_only;
    i->next = s->idlers;
    if (s->idlers)
        s->idlers->prev = i;
    s->idlers = i;
    r->ctx = i;
    r->on_gone = idler_gone;
    CHECK(uv_timer_init(loop_uv(s->loop), &i->timer) == 0);
    i->timer.data = i;
    CHECK(uv_timer_start(&i->timer, idler_timeout, (uint64_t)(timeout_s * 1000), 0) == 0);
}

static void look_whether_idle(struct sim *s)
{
    for (struct idler *i = s->idlers, *next; i; i = next) {
        next = i->next;
        if (left(s, i->due_only) == 0) {
            struct req *r = i->r;
            idler_end(i);
            r->on_gone = NULL;
            answer_idle(r, 0);
        }
    }
}

/* ---- sending -----------------------------------------------------------------------------------
 */

struct flight {
    struct sim *sim;
    int64_t n, number;
};

static void count_delivery(struct sim *s, int64_t ms)
{
    s->hooks.delivered++;
    s->hooks.count++;
    s->hooks.ms[ms < MS_MAX ? ms : MS_MAX]++;
    if (ms > s->hooks.max_ms)
        s->hooks.max_ms = ms;
}

static void note_attempt(struct event *e, const struct client_answer *a)
{
    struct attempt *at = &e->attempt[e->tries++];
    at->status = a->status;
    at->ms = a->ms;
    snprintf(at->error, sizeof(at->error), "%s", a->error ? a->error : "");
}

static void landed(void *ctx, const struct client_answer *a)
{
    struct flight *f = ctx;
    struct sim *s = f->sim;
    struct outbox *o = s->world->outbox;
    struct event *e = find(o, f->n);
    /* A reset or a restore may have put another one in its place. */
    bool known = e && e->state == EV_IN_FLIGHT && e->flight == f->number;
    mem_free(f);
    if (!known || s->closing)
        return;
    o->in_flight--;
    note_attempt(e, a);
    if (a->status == 200) {
        e->state = EV_DONE;
        count_delivery(s, a->ms);
    } else if (e->retry && e->tries < ATTEMPTS) {
        e->due_us = e->first_us + (int64_t)e->tries * RETRY_S * S_US;
        wait_for_its_time(o, e);
    } else {
        e->state = EV_LOST;
        s->hooks.lost++;
    }
    outbox_pump(s);
}

static void launch(struct sim *s, struct event *e)
{
    struct outbox *o = s->world->outbox;
    struct flight *f = mem_alloc(sizeof(*f));
    const char *url = e->url ? e->url : s->world->subscription.url;
    *f = (struct flight){.sim = s, .n = e->n, .number = ++s->flights};
    e->flight = f->number;
    e->state = EV_IN_FLIGHT;
    e->attempt[e->tries].at_us = sim_now_us(s);
    if (e->tries == 0)
        e->first_us = sim_now_us(s);
    o->in_flight++;
    s->hooks.attempts++;
    client_ask(s, e->method, url ? url : "none", s->world->settings.deliver_to,
               strcmp(e->method, "GET") == 0 ? NULL : e->type, buf_span(&e->body), landed, f);
}

static void on_due(uv_timer_t *timer)
{
    outbox_pump(timer->data);
}

void outbox_pump(struct sim *s)
{
    struct outbox *o = s->world->outbox;
    int64_t now = sim_now_us(s);
    size_t n = 0;
    while (n < o->waiting.n && o->waiting.v[n]->due_us <= now &&
           o->in_flight < s->world->settings.delivery_parallel)
        launch(s, o->waiting.v[n++]);
    remove_first(&o->waiting, n);
    uv_timer_stop(&s->due);
    if (o->waiting.n && o->in_flight < s->world->settings.delivery_parallel) {
        int64_t ms = sim_real_ms_until(s, o->waiting.v[0]->due_us);
        if (ms >= 0)
            CHECK(uv_timer_start(&s->due, on_due, (uint64_t)ms, 0) == 0);
    }
    look_whether_idle(s);
}

/* ---- control -----------------------------------------------------------------------------------
 */

void outbox_hold(struct sim *s)
{
    struct outbox *o = s->world->outbox;
    size_t kept = 0;
    o->holding = true;
    for (size_t i = 0; i < o->waiting.n; i++) {
        struct event *e = o->waiting.v[i];
        if (e->tries) {
            o->waiting.v[kept++] = e;
        } else {
            e->state = EV_HELD;
            *vec_push(&o->held) = e;
        }
    }
    o->waiting.n = kept;
}

int64_t outbox_release(struct sim *s, int64_t n)
{
    struct outbox *o = s->world->outbox;
    if (n < 0)
        o->holding = false;
    size_t count = n < 0 || n > (int64_t)o->held.n ? o->held.n : (size_t)n;
    for (size_t i = 0; i < count; i++)
        wait_for_its_time(o, o->held.v[i]);
    remove_first(&o->held, count);
    outbox_pump(s);
    return (int64_t)count;
}

/* Times stay where they are, events change places. */
static void shuffle(struct sim *s, struct list *l)
{
    for (size_t i = l->n; i > 1; i--) {
        size_t k = (size_t)(world_chance(s->world) * (double)i);
        struct event *a = l->v[i - 1], *b = l->v[k];
        int64_t due_us = a->due_us;
        a->due_us = b->due_us;
        b->due_us = due_us;
        l->v[i - 1] = b;
        l->v[k] = a;
    }
}

void outbox_shuffle(struct sim *s)
{
    shuffle(s, &s->world->outbox->held);
    shuffle(s, &s->world->outbox->waiting);
    outbox_pump(s);
}

static void put_again(struct sim *s, const struct event *e, int64_t due_us)
{
    struct event *again = copied(e);
    memset(again->attempt, 0, sizeof(again->attempt));
    again->tries = 0;
    again->due_us = due_us;
    put(s, again);
}

int64_t outbox_duplicate(struct sim *s, int64_t n)
{
    struct outbox *o = s->world->outbox;
    struct list was = {0};
    for (size_t i = 0; i < o->held.n; i++)
        *vec_push(&was) = o->held.v[i];
    for (size_t i = 0; i < o->waiting.n; i++)
        *vec_push(&was) = o->waiting.v[i];
    for (size_t i = 0; i < was.n; i++) {
        for (int64_t k = 1; k < n; k++)
            put_again(s, was.v[i], was.v[i]->due_us);
    }
    int64_t made = (int64_t)was.n * (n - 1);
    vec_done(&was);
    outbox_pump(s);
    return made;
}

static int64_t drop_from(struct sim *s, struct list *l, int64_t n)
{
    size_t count = n < 0 || n > (int64_t)l->n ? l->n : (size_t)n;
    for (size_t i = 0; i < count; i++)
        l->v[i]->state = EV_DROPPED;
    remove_first(l, count);
    s->hooks.dropped += (int64_t)count;
    return (int64_t)count;
}

int64_t outbox_drop(struct sim *s, int64_t n)
{
    int64_t first = drop_from(s, &s->world->outbox->held, n);
    int64_t second = drop_from(s, &s->world->outbox->waiting, n < 0 ? n : n - first);
    outbox_pump(s);
    return first + second;
}

bool outbox_replay(struct sim *s, int64_t n)
{
    const struct event *e = find(s->world->outbox, n);
    if (e)
        put_again(s, e, sim_now_us(s));
    outbox_pump(s);
    return e != NULL;
}

int64_t outbox_replay_last(struct sim *s, int64_t last)
{
    const struct outbox *o = s->world->outbox;
    int64_t to = o->next, from = last < 0 || last >= to ? 0 : to - last, made = 0;
    for (int64_t n = from; n < to; n++) {
        const struct event *e = find(o, n);
        if (e) {
            put_again(s, e, sim_now_us(s));
            made++;
        }
    }
    outbox_pump(s);
    return made;
}

/* ---- what there is -----------------------------------------------------------------------------
 */

static void put_attempts(struct jw *w, const struct event *e)
{
    jw_open(w, "attempts", '[');
    for (unsigned i = 0; i < e->tries; i++) {
        jw_open(w, NULL, '{');
        jw_time(w, "at", e->attempt[i].at_us);
        jw_i64(w, "status", e->attempt[i].status);
        jw_i64(w, "ms", e->attempt[i].ms);
        if (e->attempt[i].error[0])
            jw_str(w, "error", e->attempt[i].error);
        jw_close(w, '}');
    }
    jw_close(w, ']');
}

void outbox_list(const struct sim *s, int64_t since, struct buf *out)
{
    const struct outbox *o = s->world->outbox;
    for (size_t i = 0; i < o->all.n; i++) {
        const struct event *e = o->all.v[i];
        if (e->n <= since)
            continue;
        struct jw w = {.b = out};
        struct buf shown = {0};
        buf_put(&shown, e->body.n ? e->body.p : "", e->body.n < SHOWN_MAX ? e->body.n : SHOWN_MAX);
        jw_open(&w, NULL, '{');
        jw_i64(&w, "n", e->n);
        jw_str(&w, "body", shown.p);
        jw_i64(&w, "bytes", (int64_t)e->body.n);
        if (e->url)
            jw_str(&w, "url", e->url);
        jw_str(&w, "state", state_names[e->state]);
        jw_time(&w, "due", e->due_us);
        put_attempts(&w, e);
        jw_close(&w, '}');
        buf_putc(out, '\n');
        buf_done(&shown);
    }
}

static int64_t percentile(const struct sim *s, double share)
{
    int64_t want = (int64_t)((double)s->hooks.count * share), seen = 0;
    for (int64_t ms = 0; ms <= MS_MAX; ms++) {
        seen += s->hooks.ms[ms];
        if (seen > want)
            return ms;
    }
    return s->hooks.max_ms;
}

void outbox_stats(const struct sim *s, struct jw *w)
{
    jw_open(w, "events", '{');
    jw_i64(w, "made", s->hooks.made);
    jw_i64(w, "delivered", s->hooks.delivered);
    jw_i64(w, "attempts", s->hooks.attempts);
    jw_i64(w, "lost", s->hooks.lost);
    jw_i64(w, "dropped", s->hooks.dropped);
    jw_open(w, "ack_ms", '{');
    jw_i64(w, "count", s->hooks.count);
    jw_i64(w, "p50", percentile(s, 0.5));
    jw_i64(w, "p99", percentile(s, 0.99));
    jw_i64(w, "max", s->hooks.max_ms);
    jw_close(w, '}');
    jw_close(w, '}');
}

void outbox_stats_clear(struct sim *s)
{
    memset(&s->hooks, 0, sizeof(s->hooks));
}
