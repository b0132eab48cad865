/* Opening, mounting, closing. */
#include "web/internal.h"

#include "web_files.h"

enum { LAG_MS = 100 };

/* The loop turns at least this often; how much later than asked is how long something held it. */
static void on_lag(void *ctx)
{
    struct web *w = ctx;
    int64_t now = clock_mono_ns();
    if (w->lag_due_ns > 0 && now - w->lag_due_ns > w->lag_worst_ns) {
        w->lag_worst_ns = now - w->lag_due_ns;
    }
    w->lag_due_ns = now + LAG_MS * 1000000LL;
}

struct web *web_open(struct loop *l, const struct web_conf *conf)
{
    struct web *w = mem_alloc(sizeof(*w));
    struct db_conf db = *conf->db;
    db.max_conns = 2;
    db.application_name = "waymark-web";
    w->loop = l;
    w->conf = *conf;
    w->pool = db_pool_open(l, &db);
    w->started_wall_us = clock_wall_us();
    w->lag = ticker_open(l, LAG_MS, true, on_lag, w);
    web__hook_open(w);
    return w;
}

void web_watch_listener(struct web *w, const struct db_listener *x)
{
    w->listener = x;
}

void web_set_admin_secret(struct web *w, const char *secret)
{
    w->conf.admin_secret = secret && *secret ? secret : NULL;
}

void web_drain(struct web *w)
{
    w->draining = true;
}

static void pool_closed(void *ctx)
{
    struct web *w = ctx;
    op_finish(w->closed, NULL);
    mem_free(w->mount);
    mem_free(w);
}

static void close_if_idle(struct web *w)
{
    if (w->closed && w->flows == 0) {
        db_pool_close(w->pool, pool_closed, w);
    }
}

void web__flow_began(struct web *w)
{
    w->flows++;
}

void web__flow_ended(struct web *w)
{
    CHECK(w->flows > 0);
    w->flows--;
    close_if_idle(w);
}

void web_close(struct web *w, struct op *op)
{
    op_init(op, w->loop, NULL);
    op_begin(op);
    w->closed = op;
    ticker_close(w->lag);
    close_if_idle(w);
}

/* ---- mounting -------------------------------------------------------------------------------- */

const struct web_page web__pages[] = {
    {"/admin", "Queues", "", true, true, web__queues_ask, web__queues_draw},
    {"/admin/jobs", "Jobs", "queue kind state athlete error", true, false, web__jobs_ask,
     web__jobs_draw},
    {"/admin/jobs/{id:i64}", "Job", "id", false, true, web__job_ask, web__job_draw},
    {"/admin/dead", "Dead letters", "", true, true, web__dead_ask, web__dead_draw},
    {"/admin/dead/{cause:text}", "Dead letters of one cause", "cause queue kind", false, false,
     web__cause_ask, web__cause_draw},
    {"/admin/lanes", "Lanes", "", true, true, web__lanes_ask, web__lanes_draw},
    {"/admin/rates", "Rates", "", true, true, web__rates_ask, web__rates_draw},
    {"/admin/cron", "Schedules", "", true, true, web__cron_ask, web__cron_draw},
    {"/admin/instances", "Instances", "", true, true, web__instances_ask, web__instances_draw},
    {"/admin/athletes", "Athletes", "", true, false, web__athletes_ask, web__athletes_draw},
    {"/admin/athletes/{id:i64}", "Athlete", "id", false, true, web__athlete_ask, web__athlete_draw},
    {"/admin/database", "Database", "", true, true, web__database_ask, web__database_draw},
    {"/admin/audit", "Audit", "before", true, false, web__audit_ask, web__audit_draw},
};
const size_t web__page_count = COUNT_OF(web__pages);

static const struct httpd_files admin_files = {.file = FILES_web};

static void to_admin(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    httpd_redirect(r, "/admin");
}

static void add(struct httpd *h, enum httpd_method m, const char *pattern, httpd_handler_fn *fn,
                void *ctx)
{
    httpd_route(h,
                &(struct httpd_route){.method = m, .pattern = pattern, .handler = fn, .ctx = ctx});
}

void web_mount_public(struct web *w, struct httpd *h)
{
    w->server[0] = h;
    if (!w->hook.is_front) {
        add(h, HTTPD_GET, "/", web__front_get, w);
    }
    web__hook_mount(w, h);
    web__people_mount(w, h);
    httpd_serve_files(h, "/static/", &admin_files);
}

/* The stream of a page has its path below /admin/live. */
static void mount_page(struct web *w, struct httpd *h, struct web_mount *m,
                       const struct web_page *p)
{
    const char *rest = p->path + strlen("/admin");
    m->web = w;
    m->page = p;
    add(h, HTTPD_GET, p->path, web__page_get, m);
    if (p->live) {
        snprintf(m->live_pattern, sizeof(m->live_pattern), "/admin/live%s", *rest ? rest : "/");
        httpd_route(h, &(struct httpd_route){.method = HTTPD_GET,
                                             .pattern = m->live_pattern,
                                             .handler = web__live_get,
                                             .ctx = m,
                                             .timeout_ms = -1});
    }
}

void web_mount_admin(struct web *w, struct httpd *h)
{
    w->server[1] = h;
    add(h, HTTPD_GET, "/", to_admin, w);
    add(h, HTTPD_GET, "/healthz", web__healthz_get, w);
    add(h, HTTPD_GET, "/readyz", web__readyz_get, w);
    add(h, HTTPD_GET, "/metrics", web__metrics_get, w);
    add(h, HTTPD_GET, "/admin/login", web__login_get, w);
    add(h, HTTPD_POST, "/admin/login", web__login_post, w);
    add(h, HTTPD_POST, "/admin/logout", web__action_post, w);
    add(h, HTTPD_POST, "/admin/do/{action:text}", web__action_post, w);
    CHECK(!w->mount);
    w->mount = mem_alloc(web__page_count * sizeof(*w->mount));
    for (size_t i = 0; i < web__page_count; i++) {
        mount_page(w, h, &w->mount[i], &web__pages[i]);
    }
    httpd_serve_files(h, "/admin/static/", &admin_files);
}
