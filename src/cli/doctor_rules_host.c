/* What the limits of this machine mean. */
#include "cli/doctor.h"

#define MB (INT64_C(1) << 20)
#define GB (INT64_C(1) << 30)

enum {
    LITTLE_FILES = 10000, /* inodes */
    OWN_FILES = 64,       /* besides the connections: database, files, timers, logs */
    OWN_MB = 60,          /* program, libraries, threads' stacks */
    SERVER_MB = 200,      /* the private PostgreSQL */
    SERVER_TASKS = 20,
};

/* ---- disk ------------------------------------------------------------------------------------ */

static void check_disk(const struct doctor_disk *d, bool done, const char *move,
                       struct doctor_verdict *v)
{
    if (!d->dir) {
        doctor__say(v, DOCTOR_SKIPPED, NULL, "the database keeps everything");
        return;
    }
    if (!done || d->errnum != 0) {
        doctor__say(v, DOCTOR_FAIL, "look whether it is mounted, and its server well", "%s: %s",
                    d->dir, done ? strerror(d->errnum) : "the disk does not answer in time");
        return;
    }
    bool full = d->free_bytes < 200 * MB, few = d->free_files >= 0 && d->free_files < LITTLE_FILES;
    if (!d->writable) {
        doctor__say(v, DOCTOR_FAIL, move, "we may not write in %s", d->place);
    } else if (full || d->free_bytes < GB) {
        doctor__say(v, full ? DOCTOR_FAIL : DOCTOR_WARN, "free some space, or use a larger disk",
                    "%s: only %lld MB are free", d->place, (long long)(d->free_bytes / MB));
    } else if (few) {
        doctor__say(v, d->free_files < 100 ? DOCTOR_FAIL : DOCTOR_WARN,
                    "remove files that nobody needs: no more than so many can be made",
                    "%s: only %lld inodes are free", d->place, (long long)d->free_files);
    } else {
        doctor__say(v, DOCTOR_OK, NULL, "%s, %.1f GB free%s%s", d->place,
                    (double)d->free_bytes / (double)GB, d->fs_name[0] ? ", " : "", d->fs_name);
    }
}

void doctor__check_data_disk(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_disk *d = &f->data;
    check_disk(d, f->data_done, "choose another with --data-dir, or change its owner", v);
    if (v->status != DOCTOR_OK)
        return;
    if (d->fs == DOCTOR_FS_NETWORK)
        doctor__say(v, DOCTOR_WARN, "set [data] dir to a disk of this machine",
                    "%s is on a network file system (%s): PostgreSQL may lose data there", d->place,
                    d->fs_name);
    else if (d->fs == DOCTOR_FS_MEMORY)
        doctor__say(v, DOCTOR_WARN, "set [data] dir to a disk",
                    "%s is in memory (%s): all of it goes with the next restart", d->place,
                    d->fs_name);
    else if (d->fs == DOCTOR_FS_LAYER && f->limits_done && f->limits.container)
        doctor__say(v, DOCTOR_WARN, "mount a volume there",
                    "%s is in the container itself: it goes when the container is replaced",
                    d->place);
}

/* Temporary files may well lie in memory. */
void doctor__check_temp_disk(const struct doctor_facts *f, struct doctor_verdict *v)
{
    check_disk(&f->temp, f->temp_done, "set TMPDIR to a folder that we may write in", v);
    if (v->status == DOCTOR_OK && f->temp.fs == DOCTOR_FS_NETWORK)
        doctor__say(v, DOCTOR_WARN, "set TMPDIR to a folder of this machine",
                    "%s is on a network file system (%s)", f->temp.place, f->temp.fs_name);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static bool no_limits(const struct doctor_facts *f, struct doctor_verdict *v)
{
    if (!f->limits_done)
        doctor__say(v, DOCTOR_FAIL, NULL, "no answer in time");
    return !f->limits_done;
}

void doctor__check_files(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_limits *l = &f->limits;
    if (no_limits(f, v))
        return;
    int64_t own = OWN_FILES + f->conf.connections;
    int64_t need = own + (f->conf.http_on ? f->conf.http_connections : 0);
    if (l->files >= need) {
        if (l->files == INT64_MAX)
            doctor__say(v, DOCTOR_OK, NULL, "no limit");
        else
            doctor__say(v, DOCTOR_OK, NULL, "%lld allowed, %lld needed at most",
                        (long long)l->files, (long long)need);
        return;
    }
    if (l->files >= own && l->files_most >= need) {
        doctor__say(v, DOCTOR_OK, NULL, "%lld allowed, raised to the %lld needed at the start",
                    (long long)l->files, (long long)need);
        return;
    }
    doctor__say(v, l->files < own ? DOCTOR_FAIL : DOCTOR_WARN, "",
                "%lld allowed, but %lld public connections and what else is open make %lld",
                (long long)l->files, (long long)f->conf.http_connections, (long long)need);
    snprintf(v->remedy, sizeof(v->remedy),
             "ulimit -n %lld before the start (systemd: LimitNOFILE=%lld)%s", (long long)need,
             (long long)need,
             l->files_most < need ? ", by root" : ", or lower [http] max_connections");
}

void doctor__check_memory(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_limits *l = &f->limits;
    const struct doctor_conf *c = &f->conf;
    if (no_limits(f, v))
        return;
    int64_t need =
        OWN_MB + c->route_cache_mb + c->batch_mb * c->concurrency + (f->private_db ? SERVER_MB : 0);
    int64_t limit = l->memory_limit / MB, left = l->memory_available / MB;
    static const char remedy[] =
        "lower [processor] route_cache_mb, batch_mb or concurrency, or give it more memory";
    if (l->memory_limit == 0)
        doctor__say(v, DOCTOR_SKIPPED, NULL, "the system does not tell how much there is");
    else if (need > limit)
        doctor__say(v, DOCTOR_FAIL, remedy, "needs up to %lld MB, allowed are %lld MB",
                    (long long)need, (long long)limit);
    else if (need > left && l->memory_available > 0)
        doctor__say(v, DOCTOR_WARN, remedy, "needs up to %lld MB, of which %lld MB are free now",
                    (long long)need, (long long)left);
    else
        doctor__say(v, DOCTOR_OK, NULL, "needs up to %lld MB; %lld MB are free, %lld MB allowed",
                    (long long)need, (long long)left, (long long)limit);
}

void doctor__check_cores(const struct doctor_facts *f, struct doctor_verdict *v)
{
    if (no_limits(f, v))
        return;
    double cores = f->limits.cores;
    long long batches = (long long)f->conf.concurrency;
    if ((double)batches > cores * 2)
        doctor__say(v, DOCTOR_WARN, "lower [processor] concurrency: more than that gains nothing",
                    "%lld batches at once, but only %.3g cores", batches, cores);
    else
        doctor__say(v, DOCTOR_OK, NULL, "%.3g cores for %lld batch%s at once", cores, batches,
                    batches == 1 ? "" : "es");
}

void doctor__check_tasks(const struct doctor_facts *f, struct doctor_verdict *v)
{
    if (no_limits(f, v))
        return;
    int64_t need = f->conf.concurrency + 4 + (f->private_db ? SERVER_TASKS : 0);
    if (f->limits.tasks_left == INT64_MAX)
        doctor__say(v, DOCTOR_OK, NULL, "no limit");
    else if (f->limits.tasks_left < need)
        doctor__say(v, DOCTOR_FAIL, "raise pids.max (systemd: TasksMax=, docker: --pids-limit)",
                    "%lld more may be started, %lld are needed", (long long)f->limits.tasks_left,
                    (long long)need);
    else
        doctor__say(v, DOCTOR_OK, NULL, "%lld more may be started, %lld are needed",
                    (long long)f->limits.tasks_left, (long long)need);
}
