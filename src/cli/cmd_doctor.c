/* waymark doctor: gathers the facts, everything at the same time, and prints the verdicts. Changes
 * nothing. */
#include "cli/doctor.h"

#include <unistd.h>

/* LIMIT_MS: then what is not there yet is given up. GRACE_MS: the database's part lets go. */
enum { LIMIT_MS = 12000, GRACE_MS = 1500, ITEMS = 7 };

struct doctor;
struct item {
    struct work work;
    void (*look)(struct doctor *d);
    bool *done;
    struct doctor *doctor;
};
struct doctor {
    struct cli *c;
    struct arena *arena;
    struct doctor_facts f;
    struct loop *loop;
    struct item item[ITEMS];
    struct db_cluster_conf cluster;
    bool cluster_asked; /* there is a place for it */
    struct op db_op, callback_op, closing;
    bool db_running, callback_running;
    struct timer_op limit;
    bool late;
    unsigned pending; /* items and the database */
};

/* ---- in workers ------------------------------------------------------------------------------ */

static void look_at_data(struct doctor *d)
{
    doctor__look_at_disk(&d->f.data);
}

static void look_at_temp(struct doctor *d)
{
    doctor__look_at_disk(&d->f.temp);
}

static void look_at_host(struct doctor *d)
{
    doctor__look_at_limits(&d->f.limits);
}

static void look_at_file(struct doctor *d)
{
    doctor__look_at_file(&d->f.conf.file);
}

static void look_at_http(struct doctor *d)
{
    doctor__look_at_ports(&d->f.http);
}

static void look_at_admin(struct doctor *d)
{
    doctor__look_at_ports(&d->f.admin);
}

static void look_at_cluster(struct doctor *d)
{
    if (d->cluster_asked)
        db_cluster_look(&d->cluster, &d->f.cluster);
}

static int run_item(struct work *w, struct err *err)
{
    struct item *i = container_of(w, struct item, work);
    (void)err;
    i->look(i->doctor);
    return 0;
}

/* ---- on the loop ----------------------------------------------------------------------------- */

static void part_ended(struct doctor *d)
{
    CHECK(d->pending > 0);
    if (--d->pending == 0)
        op_cancel(&d->limit.op);
}

static void on_callback(struct op *op)
{
    struct doctor *d = op->waiter;
    d->callback_running = false;
    part_ended(d);
}

/* By the word that the database has, if there is one. */
static void ask_callback(struct doctor *d)
{
    struct doctor_strava *s = &d->f.strava;
    s->word = d->f.db.word;
    if (!s->on || !s->callback_url || !s->word || d->late)
        return;
    d->callback_running = true;
    d->pending++;
    flow_call(doctor__callback_flow(d->loop, s), &d->callback_op);
    op_await(&d->callback_op, on_callback, d);
}

static void on_database(struct op *op)
{
    struct doctor *d = op->waiter;
    struct doctor_db *db = &d->f.db;
    d->db_running = false;
    /* Its socket was left behind by a server that has gone. */
    if (d->f.private_db && strcmp(db->connected.err.sqlstate, "08001") == 0) {
        db->connected.err = (struct err){0};
        db->why_not = "the private PostgreSQL is not running: waymark serve starts it";
    }
    ask_callback(d);
    part_ended(d);
}

static void ask_database(struct doctor *d, const char *url, const char *direct_url)
{
    d->db_running = true;
    d->pending++;
    flow_call(doctor__db_flow(d->loop, url, direct_url, d->arena, &d->f.db), &d->db_op);
    op_await(&d->db_op, on_database, d);
}

static void on_cluster(struct doctor *d)
{
    if (!d->f.private_db || d->late)
        return;
    if (d->f.cluster.has_socket)
        ask_database(d, d->f.cluster.url, NULL);
    else
        d->f.db.why_not = "the private PostgreSQL is not running: waymark serve starts it";
}

static void on_item(struct op *op)
{
    struct item *i = op->waiter;
    struct doctor *d = i->doctor;
    *i->done = true;
    if (i->look == look_at_cluster)
        on_cluster(d);
    part_ended(d);
}

/* First the database is told to come to an end; what a worker hangs in cannot be told. */
static void on_limit(struct op *op)
{
    struct doctor *d = op->waiter;
    if (d->pending == 0)
        return;
    if (d->late) {
        loop_stop(d->loop);
        return;
    }
    d->late = true;
    if (d->db_running)
        op_cancel(&d->db_op);
    if (d->callback_running)
        op_cancel(&d->callback_op);
    timer_op_start(&d->limit, d->loop, GRACE_MS);
    op_await(&d->limit.op, on_limit, d);
}

static void start_item(struct doctor *d, struct item *i, void (*look)(struct doctor *d), bool *done)
{
    i->look = look;
    i->done = done;
    i->doctor = d;
    d->pending++;
    work_start(&i->work, d->loop, run_item);
    op_await(&i->work.op, on_item, i);
}

static void start(struct doctor *d)
{
    struct doctor_facts *f = &d->f;
    start_item(d, &d->item[0], look_at_data, &f->data_done);
    start_item(d, &d->item[1], look_at_temp, &f->temp_done);
    start_item(d, &d->item[2], look_at_host, &f->limits_done);
    start_item(d, &d->item[3], look_at_http, &f->http_done);
    start_item(d, &d->item[4], look_at_admin, &f->admin_done);
    start_item(d, &d->item[5], look_at_cluster, &f->cluster_done);
    start_item(d, &d->item[6], look_at_file, &f->conf.looked);
    if (f->conf.has_url)
        ask_database(d, config_str(d->c->config, "database.url"),
                     f->conf.has_direct ? config_str(d->c->config, "database.direct_url") : NULL);
    else if (f->conf.err.class != 0)
        f->db.why_not = "where it is stands in a configuration that cannot be read";
    timer_op_start(&d->limit, d->loop, LIMIT_MS);
    op_await(&d->limit.op, on_limit, d);
}

/* ---- before and after ------------------------------------------------------------------------ */

static void prepare(struct doctor *d)
{
    struct doctor_facts *f = &d->f;
    const char *temp = getenv("TMPDIR"), *dir = NULL;
    doctor__read_conf(d->c, f);
    f->db.wants_strava = f->strava.on;
    f->strava.closing = &d->closing;
    f->temp.dir = temp && *temp ? temp : "/tmp";
    bool set = config_str(d->c->config, "data.dir") != NULL;
    if (!f->private_db && !set)
        return;
    if (app_data_dir(d->c->config, d->arena, &dir, &f->cluster.no_name) == 0)
        f->data.dir = dir;
    if (!f->private_db)
        return;
    app_forget_pg_environment();
    d->cluster.dir = dir;
    d->cluster_asked = dir != NULL;
}

static void judge(const struct doctor *d, struct doctor_verdict *v)
{
    for (size_t i = 0; i < doctor_check_count; i++)
        doctor_checks[i].run(&d->f, &v[i]);
}

/* 78: the configuration is what has to be mended first. */
static int exit_status(const struct doctor *d, const struct doctor_verdict *v)
{
    int status = 0;
    for (size_t i = 0; i < doctor_check_count; i++)
        status |= v[i].status == DOCTOR_FAIL;
    return d->f.conf.err.class != 0 ? 78 : status;
}

/* Whatever hangs in a worker cannot be waited for, not even by exit(). */
static void leave(const struct doctor *d, struct doctor_verdict *v)
{
    doctor__print(d->c, v);
    fflush(NULL);
    _exit(exit_status(d, v));
}

int cli_doctor(struct cli *c)
{
    struct doctor *d = mem_alloc(sizeof(*d));
    struct doctor_verdict *v = arena_new_array(c->arena, struct doctor_verdict, doctor_check_count);
    d->c = c;
    d->arena = c->arena;
    prepare(d);
    app_log_init(c->config);
    d->loop = loop_new(ITEMS, &c->err);
    if (!d->loop) {
        mem_free(d);
        return -1;
    }
    start(d);
    loop_run(d->loop);
    judge(d, v);
    if (d->pending > 0)
        leave(d, v);
    loop_free(d->loop);
    doctor__print(c, v);
    c->status = exit_status(d, v);
    db_cluster_facts_done(&d->f.cluster);
    mem_free(d);
    return 0;
}
