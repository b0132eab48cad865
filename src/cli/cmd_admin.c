/* waymark admin secret: a new secret for the admin pages. */
#include "cli/internal.h"

struct secret_flow {
    struct flow f;
    struct cli *c;
    char *made;
    struct op op;
};
#define SECRET_STEPS(STEP)                                                                         \
    STEP(secret, make)                                                                             \
    STEP(secret, print)
FLOW_STEPS(secret, SECRET_STEPS);

static enum flow_next secret_make(struct flow *f)
{
    struct secret_flow *s = container_of(f, struct secret_flow, f);
    const char *given = config_str(s->c->config, "admin.secret");
    if (given && *given) {
        return err_set(&f->err, ERR_CONF, ERR_PERMANENT,
                       "the admin secret is given by the configuration (%s): change it there, or "
                       "take it out",
                       config_source(s->c->config, "admin.secret")),
               flow_fail(f);
    }
    flow_call(web_secret_flow(f->loop, s->c->app.pool, true, f->arena, &s->made), &s->op);
    return flow_wait(f, &s->op, secret_STEP_print, 0);
}

static enum flow_next secret_print(struct flow *f)
{
    struct secret_flow *s = container_of(f, struct secret_flow, f);
    CHECK(s->made);
    if (s->c->json) {
        printf("{\"secret\":\"%s\"}\n", s->made);
    } else {
        printf("%s\n", s->made);
        fputs("Everybody who was logged in to the admin pages is logged out.\n", stderr);
    }
    return FLOW_DONE;
}

static const struct flow_def secret_def = {"admin_secret", secret_steps, secret_STEP_COUNT, NULL};

struct flow *cli_admin_secret(struct cli *c)
{
    struct secret_flow *s = flow_new(c->app.loop, &secret_def, sizeof(*s), 0);
    s->c = c;
    return &s->f;
}
