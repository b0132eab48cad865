/* Control of the world as a whole, and what is true in it. */
#include "sim/sim.h"

/* ---- snapshots ---------------------------------------------------------------------------------
 */

static const char *name_of(struct ctl *c)
{
    const char *name = "";
    (void)ctl_str(c, "name", &name);
    if (!name[0] || strlen(name) >= sizeof(c->s->snapshot[0].name))
        ctl_refuse(c, 400, "name: missing or too long");
    return name;
}

static struct snapshot *find(struct sim *s, const char *name)
{
    for (int i = 0; i < SNAPSHOTS; i++) {
        if (strcmp(s->snapshot[i].name, name) == 0)
            return &s->snapshot[i];
    }
    return NULL;
}

void ctl_snapshot(struct ctl *c)
{
    const char *name = name_of(c);
    if (!ctl_ready(c))
        return;
    struct snapshot *at = find(c->s, name);
    at = at ? at : find(c->s, "");
    if (!at) {
        ctl_refuse(c, 409, "there are %d snapshots already", SNAPSHOTS);
        return;
    }
    snprintf(at->name, sizeof(at->name), "%s", name);
    world_free(at->world);
    at->world = world_copy(c->s->world);
    at->world->now_us = sim_now_us(c->s);
    at->world->frozen = c->s->clock.frozen;
}

void ctl_restore(struct ctl *c)
{
    const char *name = name_of(c);
    if (!ctl_ready(c))
        return;
    const struct snapshot *at = find(c->s, name);
    if (!at) {
        ctl_refuse(c, 404, "no snapshot %s", name);
        return;
    }
    sim_clock_freeze(c->s, at->world->frozen);
    sim_clock_set(c->s, at->world->now_us);
    sim_use_world(c->s, world_copy(at->world));
}

void ctl_reset(struct ctl *c)
{
    struct world_conf conf = c->s->conf;
    int64_t seed = (int64_t)conf.seed, clock_us = c->s->start_us;
    (void)ctl_i64(c, "seed", 0, INT64_MAX, &seed);
    (void)ctl_i64(c, "athletes", 0, ATHLETES_MAX, &conf.athletes);
    (void)ctl_time(c, "clock", &clock_us);
    if (ctl_str(c, "preset", &conf.preset) && !preset_exists(conf.preset))
        ctl_refuse(c, 400, "preset: no such one");
    if (!ctl_ready(c))
        return;
    conf.seed = (uint64_t)seed;
    conf.anchor_us = clock_us;
    sim_clock_freeze(c->s, false);
    sim_clock_set(c->s, clock_us);
    logbook_clear(c->s);
    outbox_stats_clear(c->s);
    sim_use_world(c->s, world_new(&c->s->trail, &conf));
}

/* ---- truth -------------------------------------------------------------------------------------
 */

void ctl_truth(struct ctl *c)
{
    struct athlete *who = ctl_athlete(c, true);
    unsigned scope = who ? who->scope : 0;
    char names[128];
    int64_t n = 0;
    (void)ctl_scope(c, "scope", &scope);
    if (!ctl_ready(c))
        return;
    jw_i64(&c->w, "athlete", who->id);
    jw_str(&c->w, "scope", scope_format(scope, names));
    jw_open(&c->w, "activities", '[');
    for (size_t i = 0; i < who->list.n; i++) {
        if (!activity_visible(who->list.v[i], scope))
            continue;
        jw_open(&c->w, NULL, '{');
        render_truth(c->s, who->list.v[i], scope, &c->w);
        jw_close(&c->w, '}');
        n++;
    }
    jw_close(&c->w, ']');
    jw_i64(&c->w, "count", n);
}

void ctl_one_activity(struct ctl *c, int64_t id)
{
    struct activity *a = world_activity(c->s->world, id);
    if (!a)
        ctl_refuse(c, 404, "no activity %lld", (long long)id);
    else
        render_truth(c->s, a, SCOPE_ACTIVITY_READ_ALL, &c->w);
}
