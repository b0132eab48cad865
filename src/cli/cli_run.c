/* One command on a loop: the app comes up, the command's flow runs, the app goes down whatever
 * happened. */
#include "cli/internal.h"

struct command_flow {
    struct flow f;
    struct cli *c;
    struct loop_signals *signals;
    struct op op;
};
#define COMMAND_STEPS(STEP)                                                                        \
    STEP(command, up)   /* -> down, if a signal came first */                                      \
    STEP(command, body) /* -> down, if it did not come up */                                       \
    STEP(command, down)                                                                            \
    STEP(command, done)
FLOW_STEPS(command, COMMAND_STEPS);

static struct command_flow *command_of(struct flow *f)
{
    return container_of(f, struct command_flow, f);
}

/* A service that is told to stop has done what it should, however far it had come. */
static void note_stop(struct cli *c)
{
    if (!c->command->service) {
        (void)err_set(&c->err, ERR_DATA, ERR_RETRY,
                      "stopped by a signal: what was done is kept, run it again for the rest");
    }
}

static void keep_first(struct cli *c, const struct op *op)
{
    if (!op->failed || c->err.class != 0) {
        return;
    }
    if (c->stopping && op->err.domain == ERR_UV && op->err.code == UV_ECANCELED) {
        note_stop(c);
    } else {
        c->err = op->err;
    }
}

static enum flow_next command_up(struct flow *f)
{
    struct command_flow *m = command_of(f);
    const struct cli_command *cmd = m->c->command;
    if (m->c->stopping) {
        note_stop(m->c);
        return flow_goto(f, command_STEP_down);
    }
    flow_call(app_up_flow(&m->c->app, cmd->schema, cmd->service ? INT64_MAX : CLI_DB_WAIT_MS),
              &m->op);
    m->c->running = &m->op;
    return flow_wait_any(f, &m->op, command_STEP_body, 0);
}

static enum flow_next command_body(struct flow *f)
{
    struct command_flow *m = command_of(f);
    struct cli *c = m->c;
    c->running = NULL;
    keep_first(c, &m->op);
    if (c->stopping && c->err.class == 0) {
        note_stop(c); /* it came when nothing was there to cancel */
        return flow_goto(f, command_STEP_down);
    }
    struct flow *body = c->err.class == 0 ? c->command->body(c) : NULL;
    if (!body) {
        return flow_goto(f, command_STEP_down);
    }
    flow_call(body, &m->op);
    c->running = &m->op;
    return flow_wait_any(f, &m->op, command_STEP_down, 0);
}

static enum flow_next command_down(struct flow *f)
{
    struct command_flow *m = command_of(f);
    if (m->c->running) {
        m->c->running = NULL;
        keep_first(m->c, &m->op);
    }
    flow_call(app_down_flow(&m->c->app), &m->op);
    return flow_wait_any(f, &m->op, command_STEP_done, 0);
}

static enum flow_next command_done(struct flow *f)
{
    struct command_flow *m = command_of(f);
    keep_first(m->c, &m->op);
    loop_signals_close(m->signals);
    return FLOW_DONE;
}

static const struct flow_def command_def = {"command", command_steps, command_STEP_COUNT, NULL};

/* By the op, not by the flow: that is freed a turn before its waiter hears of it. */
static void on_stop(void *ctx, int signum)
{
    struct cli *c = ctx;
    c->stopping = true;
    log_info("stopping", L_I("signal", signum));
    if (c->stop) {
        struct op *op = c->stop;
        c->stop = NULL;
        op_finish(op, NULL);
    } else if (c->running) {
        op_cancel(c->running);
    }
}

static void on_hup(void *ctx)
{
    const struct cli *c = ctx;
    if (c->hup) {
        c->hup(c->hup_ctx);
    }
}

int cli__run(struct cli *c)
{
    c->app.config = c->config;
    c->app.loop = app_loop_new(c->config, &c->err);
    if (!c->app.loop) {
        return -1;
    }
    struct command_flow *m = flow_new(c->app.loop, &command_def, sizeof(*m), 0);
    m->c = c;
    m->signals = loop_signals_open(c->app.loop, on_stop, c->command->service ? on_hup : NULL, c);
    flow_start(&m->f);
    loop_run(c->app.loop);
    loop_free(c->app.loop);
    return c->err.class == 0 ? 0 : -1;
}
