#include "fake/strava_script.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { FIRST_TICKET = 101 };

struct script_call {
    struct script_call *next;
    int64_t athlete_id;
    char *target, *body;
    bool extra, live, never, fails, asked, answered;
    enum strava_outcome outcome;
    int status;
    struct err err;
};
static struct {
    struct script_call *calls;
    int64_t ticket;
} script;

void strava_script_begin(void)
{
    while (script.calls) {
        struct script_call *x = script.calls;
        script.calls = x->next;
        mem_free(x->target);
        mem_free(x->body);
        mem_free(x);
    }
    script.ticket = FIRST_TICKET;
}

bool strava_script_played(void)
{
    for (const struct script_call *x = script.calls; x; x = x->next) {
        if (!x->asked || (!x->answered && !x->never)) {
            return false;
        }
    }
    return true;
}

void strava_script_end(void)
{
    for (const struct script_call *x = script.calls; x; x = x->next) {
        if (!x->asked || !x->answered) {
            fail_msg("call %s %s", x->target, x->asked ? "was not answered" : "did not come");
        }
    }
    strava_script_begin();
}

struct script_call *strava_script_expect(int64_t athlete_id, const char *target)
{
    struct script_call *x = mem_alloc(sizeof(*x)), **end = &script.calls;
    x->athlete_id = athlete_id;
    x->target = mem_strdup(target);
    x->body = mem_strdup("");
    x->outcome = STRAVA_OK;
    x->status = 200;
    while (*end) {
        end = &(*end)->next;
    }
    *end = x;
    return x;
}

void strava_script_pays(struct script_call *x, bool extra, bool live)
{
    x->extra = extra;
    x->live = live;
}

void strava_script_reply(struct script_call *x, const char *body)
{
    mem_free(x->body);
    x->body = mem_strdup(body);
}

void strava_script_outcome(struct script_call *x, enum strava_outcome outcome, int status)
{
    x->outcome = outcome;
    x->status = status;
}

void strava_script_fails(struct script_call *x, enum err_domain domain, enum err_class class,
                         int code)
{
    x->fails = true;
    (void)err_set_code(&x->err, domain, class, code, "as the script has it (%d)", code);
}

void strava_script_never(struct script_call *x)
{
    x->never = true;
}

bool strava_script_asked(const struct script_call *x)
{
    return x->asked;
}

/* ---- a call ---------------------------------------------------------------------------------- */

struct call_flow {
    struct flow f;
    struct strava_call *c;
    struct script_call *x;
    struct op op;
};
#define CALL_STEPS(STEP)                                                                           \
    STEP(call, ask)                                                                                \
    STEP(call, answer)
FLOW_STEPS(call, CALL_STEPS);

static void check_call(const struct strava_call *c, const struct script_call *x)
{
    struct buf target = {0};
    buf_puts(&target, c->path);
    for (unsigned i = 0; i < c->nquery; i++) {
        buf_printf(&target, "%c%s=%s", i ? '&' : '?', c->query[i].name, c->query[i].value);
    }
    if (!x) {
        fail_msg("a call that nobody expects: %s", target.p);
        return;
    }
    assert_string_equal(target.p, x->target);
    assert_int_equal(c->athlete_id, x->athlete_id);
    assert_int_equal(c->extra, x->extra);
    assert_int_equal(c->live, x->live);
    assert_true(c->max_body > 0);
    buf_done(&target);
}

static void give_up(struct op *op)
{
    op_finish_cancelled(op);
}

static enum flow_next call_ask(struct flow *f)
{
    struct call_flow *m = container_of(f, struct call_flow, f);
    struct script_call *x = script.calls;
    while (x && x->asked) {
        x = x->next;
    }
    check_call(m->c, x);
    m->x = x;
    x->asked = true;
    op_init(&m->op, f->loop, give_up);
    op_begin(&m->op);
    if (!x->never) {
        op_finish(&m->op, NULL);
    }
    return flow_wait(f, &m->op, call_STEP_answer, 0);
}

static enum flow_next call_answer(struct flow *f)
{
    struct call_flow *m = container_of(f, struct call_flow, f);
    struct strava_call *c = m->c;
    c->ticket = script.ticket++;
    c->outcome = m->x->outcome;
    c->status = m->x->status;
    buf_done(&c->body);
    buf_puts(&c->body, m->x->body);
    if (m->x->fails) {
        f->err = m->x->err;
        return flow_fail(f);
    }
    return FLOW_DONE;
}

static void call_end(struct flow *f)
{
    struct call_flow *m = container_of(f, struct call_flow, f);
    if (m->x) {
        m->x->answered = true;
    }
}

static const struct flow_def call_def = {"script_call", call_steps, call_STEP_COUNT, call_end};

struct flow *strava_call_flow(struct strava *s, struct strava_call *c)
{
    /* The script has no other strava: its loop is handed over in its place. */
    struct call_flow *m = flow_new((struct loop *)(void *)s, &call_def, sizeof(*m), 0);
    m->c = c;
    return &m->f;
}
