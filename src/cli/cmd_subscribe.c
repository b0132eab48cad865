/* waymark sync subscribe and unsubscribe: the subscription to events, by hand. The challenge is
 * answered by whoever serves: usually the service, which is running meanwhile. */
#include "cli/internal.h"

struct subscribe_flow {
    struct flow f;
    struct cli *c;
    bool removes;
    struct ingest_subscribed got;
    struct op op;
};
#define SUBSCRIBE_STEPS(STEP)                                                                      \
    STEP(subscribe, ask)                                                                           \
    STEP(subscribe, print)
FLOW_STEPS(subscribe, SUBSCRIBE_STEPS);

static enum flow_next subscribe_ask(struct flow *f)
{
    struct subscribe_flow *x = container_of(f, struct subscribe_flow, f);
    struct app *app = &x->c->app;
    if (app_open_strava(app, &f->err) != 0) {
        return flow_fail(f);
    }
    if (!app->fetch) {
        err_set(&f->err, ERR_CONF, ERR_PERMANENT,
                "strava.client_id is not set: there is nothing to do with Strava");
        return flow_fail(f);
    }
    if (!x->removes && !app->subscription.callback_url) {
        err_set(&f->err, ERR_CONF, ERR_PERMANENT,
                "strava.callback_url is not set: Strava could push no events anywhere");
        return flow_fail(f);
    }
    app->subscription.keep = true; /* that is what was asked for */
    flow_call(x->removes ? ingest_unsubscribe_flow(&app->subscription, &x->got)
                         : ingest_subscribe_flow(&app->subscription, &x->got),
              &x->op);
    return flow_wait(f, &x->op, subscribe_STEP_print, 0);
}

static void print_json(const struct ingest_subscribed *got)
{
    static const char *const name[] = {
        [INGEST_SUBSCRIPTION_NONE] = "none",       [INGEST_SUBSCRIPTION_KEPT] = "kept",
        [INGEST_SUBSCRIPTION_MADE] = "made",       [INGEST_SUBSCRIPTION_MOVED] = "moved",
        [INGEST_SUBSCRIPTION_FOREIGN] = "foreign", [INGEST_SUBSCRIPTION_REMOVED] = "removed",
    };
    struct buf out = {0};
    struct json_out j = {.buf = &out};
    jo_begin_object(&j, NULL);
    jo_str(&j, "subscription", name[got->what]);
    if (got->id) {
        jo_i64(&j, "id", got->id);
    }
    if (got->what == INGEST_SUBSCRIPTION_MOVED) {
        jo_str(&j, "from", got->where);
    }
    jo_end_object(&j);
    puts(out.p);
    buf_done(&out);
}

static void print_text(const struct ingest_subscribed *got)
{
    switch (got->what) {
    case INGEST_SUBSCRIPTION_NONE:
        puts("There was no subscription.");
        break;
    case INGEST_SUBSCRIPTION_KEPT:
        printf("Subscription %lld is in order.\n", (long long)got->id);
        break;
    case INGEST_SUBSCRIPTION_MADE:
        printf("Subscription %lld was made: Strava pushes events from now on.\n",
               (long long)got->id);
        break;
    case INGEST_SUBSCRIPTION_MOVED:
        printf("Subscription %lld was made: Strava pushes events here from now on, and no more to "
               "%s.\n",
               (long long)got->id, got->where);
        break;
    case INGEST_SUBSCRIPTION_FOREIGN:
        printf("Strava pushes events to %s.\n", got->where);
        break;
    case INGEST_SUBSCRIPTION_REMOVED:
        puts("The subscription was removed: Strava pushes no more events.");
        break;
    }
}

static enum flow_next subscribe_print(struct flow *f)
{
    struct subscribe_flow *x = container_of(f, struct subscribe_flow, f);
    if (x->c->json) {
        print_json(&x->got);
    } else {
        print_text(&x->got);
    }
    if (x->removes && strcmp(config_str(x->c->config, "strava.subscription"), "keep") == 0) {
        fputs("A service with strava.subscription = \"keep\" makes it again at its next start or "
              "within a day.\n",
              stderr);
    }
    return FLOW_DONE;
}

static const struct flow_def subscribe_def = {"sync_subscribe", subscribe_steps,
                                              subscribe_STEP_COUNT, NULL};

static struct flow *new_flow(struct cli *c, bool removes)
{
    struct subscribe_flow *x = flow_new(c->app.loop, &subscribe_def, sizeof(*x), 0);
    x->c = c;
    x->removes = removes;
    return &x->f;
}

struct flow *cli_sync_subscribe(struct cli *c)
{
    return new_flow(c, false);
}

struct flow *cli_sync_unsubscribe(struct cli *c)
{
    return new_flow(c, true);
}
