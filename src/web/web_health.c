/* /healthz: this process turns. /readyz: it can do its work, or what keeps it from it. */
#include "web/internal.h"

enum { FREE_MIN = 100 << 20 }; /* bytes; PostgreSQL halts when it has none */

static int run_disk(struct work *w, struct err *err)
{
    return web__disk_free(&container_of(w, struct web_disk, work)->item, err);
}

void web__disk_start(struct web_disk *d, struct loop *l, const char *dir)
{
    d->item.dir = dir;
    work_start(&d->work, l, run_disk);
}

void web__healthz_get(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    httpd_text(r, 200, "ok\n");
}

struct ready_flow {
    struct flow f;
    struct web *w;
    struct httpd_req *r;
    struct db_unit u;
    struct web_disk disk;
};
/* Whoever asks waits a second or two: a database that does not answer by then is none. */
enum { READY_MS = 2500 };
#define READY_STEPS(STEP)                                                                          \
    STEP(ready, disk)                                                                              \
    STEP(ready, ask)                                                                               \
    STEP(ready, tell)
FLOW_STEPS(ready, READY_STEPS);

static struct ready_flow *ready_of(struct flow *f)
{
    return container_of(f, struct ready_flow, f);
}

static enum flow_next ready_disk(struct flow *f)
{
    struct ready_flow *x = ready_of(f);
    if (!x->w->conf.data_dir) {
        return flow_goto(f, ready_STEP_ask);
    }
    web__disk_start(&x->disk, f->loop, x->w->conf.data_dir);
    return flow_wait_any(f, &x->disk.work.op, ready_STEP_ask, READY_MS);
}

static enum flow_next ready_ask(struct flow *f)
{
    struct ready_flow *x = ready_of(f);
    db_unit_init(&x->u, x->w->pool, f->arena, DB_READONLY);
    db_add(&x->u, &SQL_web_ready);
    db_submit(&x->u);
    return flow_wait_any(f, &x->u.op, ready_STEP_tell, READY_MS);
}

static void check(struct buf *out, bool *all, const char *name, bool ok, const char *why)
{
    buf_printf(out, "%s %s%s%s\n", ok ? "ok  " : "FAIL", name, ok ? "" : ": ", ok ? "" : why);
    *all = *all && ok;
}

static enum flow_next ready_tell(struct flow *f)
{
    struct ready_flow *x = ready_of(f);
    struct web *w = x->w;
    struct buf out = {0};
    bool all = true, up = !x->u.op.failed;
    int newest = 0;
    for (const struct db_migration *m = db_migrations; m->version; m++) {
        newest = m->version > newest ? m->version : newest;
    }
    check(&out, &all, "database", up, up ? "" : "it does not answer");
    if (up) {
        check(&out, &all, "migrations", db_get_i64(&x->u, 0, 0, 0) >= newest,
              "the schema is older than this program: waymark migrate");
        check(&out, &all, "writable", db_get_i64(&x->u, 0, 0, 1) == 0,
              "the database is a read-only standby");
    }
    int64_t beat_ms = jobs_beat_age_ms(w->conf.jobs);
    check(&out, &all, "heartbeat", beat_ms >= 0 && beat_ms < WEB_BEAT_OLD_MS,
          "no heartbeat has reached the database lately");
    if (!w->draining) { /* who stops needs to hear nothing more */
        check(&out, &all, "listen", w->listener && db_listener_healthy(w->listener),
              "notifications do not arrive: work is found by polling");
    }
    if (w->conf.data_dir && !x->disk.work.op.failed) {
        check(&out, &all, "disk", x->disk.item.free_bytes >= FREE_MIN,
              "the disk of data.dir is almost full");
    }
    check(&out, &all, "serving", !w->draining, "it is being stopped");
    httpd_send(x->r, all ? 200 : 503, "text/plain; charset=utf-8", &out);
    x->r = NULL;
    return FLOW_DONE;
}

static void ready_end(struct flow *f)
{
    struct ready_flow *x = ready_of(f);
    db_unit_done(&x->u);
    if (x->r) {
        httpd_text(x->r, 503, "FAIL: the check was cut off\n");
    }
    web__flow_ended(x->w);
}

static const struct flow_def ready_def = {"web_ready", ready_steps, ready_STEP_COUNT, ready_end};

void web__readyz_get(struct httpd_req *r, void *ctx)
{
    struct web *w = ctx;
    struct ready_flow *x = flow_new(w->loop, &ready_def, sizeof(*x), 0);
    web__flow_began(w);
    x->w = w;
    x->r = r;
    flow_start(&x->f);
}
