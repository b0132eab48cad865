/* What happens in the world, and which events come of it. Who granted read_all sees everything as
 * it is; who granted only read sees things appear and go. */
#include "sim/sim.h"

void change_begin(struct sim *s, struct activity *a)
{
    struct activity *was = activity_copy(a);
    (void)s;
    activity_free(a->prev);
    a->prev = was;
}

static const struct athlete *owner_of(const struct sim *s, const struct activity *a)
{
    return s->world->athletes.v[a->owner];
}

static void tell(struct sim *s, const struct activity *a, const char *aspect, const char *updates)
{
    struct happening h = {.object = "activity",
                          .aspect = aspect,
                          .object_id = a->id,
                          .owner_id = owner_of(s, a)->id,
                          .activity = a->id,
                          .updates = updates};
    event_make(s, &h);
}

/* Attribute by attribute if they are told apart, else all in one. */
struct updates {
    struct sim *s;
    const struct activity *a;
    bool split;
    struct buf text;
    struct jw w;
    bool any;
};

static void flush(struct updates *u)
{
    if (u->any) {
        jw_close(&u->w, '}');
        tell(u->s, u->a, "update", u->text.p);
    }
    buf_clear(&u->text);
    u->any = false;
}

static void update(struct updates *u, const char *key, const char *value)
{
    if (!u->any) {
        u->w = (struct jw){.b = &u->text};
        jw_open(&u->w, NULL, '{');
    }
    u->any = true;
    jw_str(&u->w, key, value);
    if (u->split)
        flush(u);
}

static void tell_updates(struct sim *s, const struct activity *a, bool split)
{
    const struct activity *was = a->prev;
    struct updates u = {.s = s, .a = a, .split = split};
    bool was_private = was->visibility == VIS_ONLY_ME, private = a->visibility == VIS_ONLY_ME;
    bool changed = was->visibility != a->visibility && s->world->settings.followers_event;
    if (strcmp(was->name, a->name) != 0)
        update(&u, "title", a->name);
    if (strcmp(was->type, a->type) != 0)
        update(&u, "type", a->type);
    if (was_private != private || changed)
        update(&u, "private", private ? "true" : "false");
    flush(&u);
    buf_done(&u.text);
}

static void tell_change(struct sim *s, const struct activity *a, struct change_opts o)
{
    unsigned scope = owner_of(s, a)->granted ? owner_of(s, a)->scope : 0;
    bool was = a->prev && activity_visible(a->prev, scope), is = activity_visible(a, scope);
    if (o.silent)
        return;
    if (!was && is)
        tell(s, a, "create", NULL);
    else if (was && !is)
        tell(s, a, "delete", NULL);
    else if (was && is)
        tell_updates(s, a, o.split);
}

void change_end(struct sim *s, struct activity *a, struct change_opts o)
{
    a->revision++;
    a->changed_us = sim_now_us(s);
    activity_remeasure(a);
    tell_change(s, a, o);
}

void change_created(struct sim *s, struct activity *a, struct change_opts o)
{
    a->created_us = a->changed_us = sim_now_us(s);
    tell_change(s, a, o);
}

void change_delete(struct sim *s, struct activity *a, struct change_opts o)
{
    change_begin(s, a);
    a->deleted_us = sim_now_us(s);
    a->revision++;
    a->changed_us = a->deleted_us;
    tell_change(s, a, o);
}

void change_revoke(struct sim *s, struct athlete *who, bool silent)
{
    unsigned scope = who->granted ? who->scope : 0;
    token_drop_all(who);
    if (silent || !(scope & SCOPE_ACTIVITIES))
        return;
    struct happening h = {.object = "athlete",
                          .aspect = "update",
                          .object_id = who->id,
                          .owner_id = who->id,
                          .updates = "{\"authorized\":\"false\"}"};
    event_make(s, &h);
}

struct activity *change_blank_run(struct sim *s)
{
    enum { RUN_S = 1800, RUN_M = 5000 };
    int64_t id = s->world->next_activity;
    struct activity *a = activity_new(sim_mix(s->world->seed, (uint64_t)id));
    double whole = line_length_m(&s->trail);
    a->id = id;
    text_set(&a->name, "Run");
    a->whole_moving_s = a->whole_elapsed_s = RUN_S;
    a->start_us = (sim_now_us(s) / S_US - RUN_S) * S_US;
    a->shape = SHAPE_LOOP;
    a->loop_m = RUN_M;
    if (whole > RUN_M) {
        struct rnd r = {a->gen};
        a->shape = SHAPE_TRAIL;
        a->trail_from = rnd_between(&r, 0, whole - RUN_M);
        a->trail_to = a->trail_from + RUN_M;
    }
    return a;
}

struct activity *change_new_run(struct sim *s, struct athlete *who)
{
    struct activity *a = change_blank_run(s);
    s->world->next_activity++;
    world_add(s->world, who, a);
    return a;
}
