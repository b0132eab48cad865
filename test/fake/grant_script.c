#include "fake/grant_script.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct script_word {
    struct script_word *next;
    enum grant_script_what what;
    int64_t athlete_id;
    const char *code;
    bool never, asked;
    int answer;     /* of verify; 0: they stay */
    struct err err; /* class 0: it goes well */
};

static struct {
    struct loop *loop;
    struct script_word *expected, *past;
    struct strava_conf conf;
} script;

void grant_script_begin(struct loop *l)
{
    script.loop = l;
    script.conf = (struct strava_conf){.client_id = "1001",
                                       .client_secret = "app-secret",
                                       .api_url = "https://api.test/v3",
                                       .oauth_url = "https://oauth.test",
                                       .scopes = "read,activity:read"};
    CHECK(!script.expected && !script.past);
}

void grant_script_end(void)
{
    if (script.expected) {
        fail_msg("Strava was not asked %d about %lld", (int)script.expected->what,
                 (long long)script.expected->athlete_id);
    }
    while (script.past) {
        struct script_word *x = script.past;
        script.past = x->next;
        mem_free(x);
    }
}

struct strava *grant_script(void)
{
    return (struct strava *)(void *)&script;
}

struct script_word *grant_script_expect(enum grant_script_what what, int64_t athlete_id)
{
    struct script_word **list = &script.expected, *x = mem_alloc(sizeof(*x));
    x->what = what;
    x->athlete_id = athlete_id;
    while (*list) {
        list = &(*list)->next;
    }
    *list = x;
    return x;
}

void grant_script_gone(struct script_word *x)
{
    x->answer = STRAVA_LEFT;
}

void grant_script_unproven(struct script_word *x)
{
    x->answer = STRAVA_UNPROVEN;
}

void grant_script_code(struct script_word *x, const char *code)
{
    x->code = code;
}

void grant_script_fails(struct script_word *x, enum err_domain domain, enum err_class class,
                        int code)
{
    (void)err_set_code(&x->err, domain, class, code, "as the script says");
}

void grant_script_never(struct script_word *x)
{
    x->never = true;
}

bool grant_script_asked(const struct script_word *x)
{
    return x->asked;
}

/* ---- in place of strava/ ----------------------------------------------------------------------
 */

struct word_flow {
    struct flow f;
    enum grant_script_what what;
    int64_t athlete_id;
    struct strava_verify *verify;
    struct strava_grant *grant;
    struct script_word *x;
    struct timer_op pause;
};
#define WORD_STEPS(STEP)                                                                           \
    STEP(word, ask)                                                                                \
    STEP(word, tell)
FLOW_STEPS(word, WORD_STEPS);

static enum flow_next word_ask(struct flow *f)
{
    struct word_flow *w = container_of(f, struct word_flow, f);
    struct script_word *x = script.expected;
    if (!x || x->what != w->what ||
        (w->what != SCRIPT_EXCHANGE && x->athlete_id != w->athlete_id)) {
        fail_msg("Strava is asked %d about %lld, which is not next", (int)w->what,
                 (long long)w->athlete_id);
    }
    if (x->code) {
        assert_string_equal(w->grant->code, x->code);
    }
    script.expected = x->next;
    x->next = script.past;
    script.past = x;
    x->asked = true;
    w->x = x;
    timer_op_start(&w->pause, f->loop, x->never ? 3600000 : 1);
    return flow_wait(f, &w->pause.op, word_STEP_tell, 0);
}

static enum flow_next word_tell(struct flow *f)
{
    struct word_flow *w = container_of(f, struct word_flow, f);
    if (w->x->err.class != 0) {
        f->err = w->x->err;
        return flow_fail(f);
    }
    if (w->verify) {
        w->verify->answer = w->x->answer ? w->x->answer : STRAVA_STAYS;
    }
    if (w->grant) {
        w->grant->athlete_id = w->x->athlete_id;
        w->grant->name = arena_strdup(w->grant->a, "Somebody");
    }
    return FLOW_DONE;
}

static struct word_flow *word_new(enum grant_script_what what, int64_t athlete_id)
{
    static const struct flow_def def = {"word", word_steps, word_STEP_COUNT, NULL};
    struct word_flow *w = flow_new(script.loop, &def, sizeof(*w), 0);
    w->what = what;
    w->athlete_id = athlete_id;
    return w;
}

struct flow *strava_verify_flow(struct strava *s, struct strava_verify *v)
{
    CHECK(s == grant_script());
    struct word_flow *w = word_new(SCRIPT_VERIFY, v->athlete_id);
    w->verify = v;
    return &w->f;
}

struct flow *strava_revoke_flow(struct strava *s, int64_t athlete_id)
{
    CHECK(s == grant_script());
    return &word_new(SCRIPT_REVOKE, athlete_id)->f;
}

struct flow *strava_exchange_flow(struct strava *s, struct strava_grant *g)
{
    CHECK(s == grant_script());
    struct word_flow *w = word_new(SCRIPT_EXCHANGE, 0);
    w->grant = g;
    return &w->f;
}

const struct strava_conf *strava_conf_of(const struct strava *s)
{
    CHECK(s == grant_script());
    return &script.conf;
}

void strava_authorize_url(const struct strava *s, const char *redirect_uri, const char *state,
                          bool force, struct buf *out)
{
    CHECK(s == grant_script());
    buf_printf(out, "%s/oauth/authorize?redirect_uri=%s&state=%s%s", script.conf.oauth_url,
               redirect_uri, state, force ? "&approval_prompt=force" : "");
}
