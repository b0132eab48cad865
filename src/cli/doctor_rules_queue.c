/* Who works, and what in the queue needs somebody. */
#include "cli/doctor.h"

/* A beat comes every few seconds; after a minute and a half others take the work over. */
enum { BEAT_WARN_MS = 30000, BEAT_GONE_MS = 90000 };

void doctor__check_instances(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_db *d = &f->db;
    const struct doctor_instance *late = NULL, *other = NULL, *draining = NULL;
    size_t alive = 0;
    if (doctor__unknown(d, &d->instances, v))
        return;
    for (size_t i = 0; i < d->ninstances; i++) {
        const struct doctor_instance *x = &d->instance[i];
        alive += x->beat_ms < BEAT_GONE_MS;
        late = x->beat_ms > BEAT_WARN_MS ? x : late;
        draining = x->draining ? x : draining;
        other = strcmp(x->version, WAYMARK_VERSION) != 0 ? x : other;
    }
    if (late)
        doctor__say(v, DOCTOR_WARN, "look at its log: it hangs, was stopped, or lost the database",
                    "%s (pid %lld) has not given a sign for %lld s", late->host,
                    (long long)late->pid, (long long)(late->beat_ms / 1000));
    else if (other)
        doctor__say(v, DOCTOR_WARN, "restart it with this program, or use its program here",
                    "%s (pid %lld) is version %s, this program is " WAYMARK_VERSION, other->host,
                    (long long)other->pid, other->version);
    else if (draining)
        doctor__say(v, DOCTOR_WARN, "waymark jobs drain INSTANCE --undo, if that is not meant",
                    "%s (pid %lld) claims nothing more: it drains", draining->host,
                    (long long)draining->pid);
    else
        doctor__say(v, DOCTOR_OK, NULL, "%zu at work", alive);
}

void doctor__check_unserved(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_db *d = &f->db;
    if (doctor__unknown(d, &d->queue, v))
        return;
    if (d->unserved)
        doctor__say(v, DOCTOR_WARN, "start waymark serve, or run waymark process",
                    "jobs are ready in %s, but no instance takes them", d->unserved);
    else
        doctor__say(v, DOCTOR_OK, NULL, "no ready job is without an instance");
}

void doctor__check_dead_jobs(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_db *d = &f->db;
    if (doctor__unknown(d, &d->queue, v))
        return;
    if (d->dead > 0)
        doctor__say(v, DOCTOR_WARN, "waymark jobs list --state dead", "%lld failed for good",
                    (long long)d->dead);
    else
        doctor__say(v, DOCTOR_OK, NULL, "none");
}

void doctor__check_lanes(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_db *d = &f->db;
    if (doctor__unknown(d, &d->queue, v))
        return;
    if (d->halted > 0)
        doctor__say(v, DOCTOR_WARN, "waymark jobs list --state dead, then jobs retry or discard",
                    "%lld stopped by a dead job, such as %s", (long long)d->halted, d->halted_one);
    else
        doctor__say(v, DOCTOR_OK, NULL, "none is stopped");
}

void doctor__check_schedules(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_db *d = &f->db;
    if (doctor__unknown(d, &d->queue, v))
        return;
    if (d->cron_problems > 0)
        doctor__say(v, DOCTOR_WARN, "waymark jobs cron list, then remove it and add it anew",
                    "%lld cannot be followed: %s", (long long)d->cron_problems, d->cron_problem);
    else
        doctor__say(v, DOCTOR_OK, NULL, "none has a problem");
}

void doctor__check_pauses(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_db *d = &f->db;
    if (doctor__unknown(d, &d->queue, v))
        return;
    if (d->pauses > 0)
        doctor__say(v, DOCTOR_OK, NULL, "in force in %s; waymark jobs resume ends them", d->paused);
    else
        doctor__say(v, DOCTOR_OK, NULL, "none");
}
