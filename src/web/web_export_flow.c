/* Everything that is kept of whoever is logged in, as a file, as fast as it is taken. */
#include "web/internal.h"

enum { AT_ONCE = 4 };

struct export_flow {
    struct flow f;
    struct web *w;
    struct httpd_req *r; /* until it is answered: by the stream, if somebody is logged in */
    unsigned char hash[32];
    struct httpd_stream *stream; /* NULL: not yet open, or closed */
    struct op *wait;             /* for the stream to have sent what it holds; or NULL */
    struct people_export doc;
    struct db_unit u;
    struct op op;
};
#define EXPORT_STEPS(STEP)                                                                         \
    STEP(export, who)                                                                              \
    STEP(export, write)                                                                            \
    STEP(export, end)
FLOW_STEPS(export, EXPORT_STEPS);

static struct export_flow *export_of(struct flow *f)
{
    return container_of(f, struct export_flow, f);
}

/* ---- the sink -------------------------------------------------------------------------------- */

static int gone(struct err *err)
{
    return err_set(err, ERR_SYS, ERR_RETRY, "whoever asked for it has gone");
}

static void stream_drained(struct httpd_stream *s, void *ctx)
{
    struct export_flow *x = ctx;
    struct op *op = x->wait;
    (void)s;
    x->wait = NULL;
    if (op) {
        op_finish(op, NULL);
    }
}

static void stream_closed(struct httpd_stream *s, void *ctx)
{
    struct export_flow *x = ctx;
    struct op *op = x->wait;
    struct err err;
    (void)s;
    x->stream = NULL; /* the next piece finds it so */
    x->wait = NULL;
    if (op) {
        (void)gone(&err);
        op_finish(op, &err);
    }
}

static void cancel_wait(struct op *op)
{
    struct export_flow *x = op->provider;
    x->wait = NULL;
    op_finish_cancelled(op);
}

static int write_piece(void *ctx, struct span piece, struct op *wait, struct err *err)
{
    struct export_flow *x = ctx;
    int rc = x->stream ? httpd_stream_write(x->stream, piece) : -1;
    if (rc < 0) {
        return gone(err);
    }
    if (rc > 0) {
        op_init(wait, x->w->loop, cancel_wait);
        wait->provider = x;
        op_begin(wait);
        x->wait = wait;
    }
    return rc;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static enum flow_next export_who(struct flow *f)
{
    struct export_flow *x = export_of(f);
    db_unit_init(&x->u, x->w->pool, f->arena, DB_READONLY);
    db_add(&x->u, &SQL_web_visitor_is);
    db_p_span(&x->u, (struct span){(const char *)x->hash, sizeof(x->hash)});
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, export_STEP_write, WEB_CALL_MS);
}

static enum flow_next export_write(struct flow *f)
{
    struct export_flow *x = export_of(f);
    const struct httpd_stream_conf conf = {
        .on_drain = stream_drained, .on_close = stream_closed, .ctx = x};
    struct httpd_req *r = x->r;
    x->r = NULL;
    if (db_rows(&x->u, 0) == 0) {
        web__visitor_clear(x->w, r);
        httpd_redirect(r, "/");
        return FLOW_DONE;
    }
    httpd_set(r, "Content-Disposition", "attachment; filename=\"waymark.geojson\"");
    x->stream = httpd_stream_open(r, 200, "application/geo+json", &conf);
    if (!x->stream) {
        return FLOW_DONE;
    }
    x->doc = (struct people_export){
        .athlete_id = db_get_i64(&x->u, 0, 0, 0),
        .sink = {.write = write_piece, .ctx = x},
    };
    flow_call(people_export_flow(x->w->pool, &x->doc), &x->op);
    return flow_wait(f, &x->op, export_STEP_end, 0);
}

static enum flow_next export_end(struct flow *f)
{
    struct export_flow *x = export_of(f);
    log_info("an athlete took everything along", L_I("athlete", x->doc.athlete_id),
             L_I("activities", x->doc.activities));
    if (x->stream) {
        httpd_stream_end(x->stream);
        x->stream = NULL;
    }
    return FLOW_DONE;
}

static void export_done(struct flow *f)
{
    struct export_flow *x = export_of(f);
    db_unit_done(&x->u);
    if (f->failed && x->stream) {
        log_err(LOG_LEVEL_WARN, "an export was cut off", &f->err);
    }
    if (x->stream) {
        httpd_stream_cut(x->stream); /* what looks whole would be taken for that */
    }
    if (x->r) {
        web__public_notice(x->r, 503, "Not now", "The database does not answer in time.", "/",
                           "To your page");
    }
    x->w->exports--;
    web__flow_ended(x->w);
}

static const struct flow_def export_def = {"web_export", export_steps, export_STEP_COUNT,
                                           export_done};

void web__export_get(struct httpd_req *r, void *ctx)
{
    struct web *w = ctx;
    unsigned char hash[32];
    if (!web__visitor_hash(r, hash)) {
        httpd_redirect(r, "/");
        return;
    }
    if (w->exports >= AT_ONCE) {
        httpd_set(r, "Retry-After", "30");
        web__public_notice(r, 503, "Too many at once",
                           "Others are taking their data along. Try again in a minute.", "/",
                           "To your page");
        return;
    }
    struct export_flow *x = flow_new(w->loop, &export_def, sizeof(*x), 0);
    web__flow_began(w);
    w->exports++;
    x->w = w;
    x->r = r;
    memcpy(x->hash, hash, sizeof(hash));
    flow_start(&x->f);
}
