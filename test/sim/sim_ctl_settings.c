/* Control of the clock, the application, its quotas and the settings. */
#include "sim/sim.h"

enum { S_MAX = 366 * 86400 };
static const int64_t HUGE_S = INT64_C(100) * 366 * 86400;

void ctl_clock(struct ctl *c)
{
    int64_t advance_s = 0, set_us = 0;
    bool freeze = false;
    bool has_set = ctl_time(c, "set", &set_us);
    bool has_advance = ctl_i64(c, "advance_s", -HUGE_S, HUGE_S, &advance_s);
    bool has_freeze = ctl_bool(c, "freeze", &freeze);
    char text[40];
    if (!ctl_ready(c))
        return;
    if (has_set)
        sim_clock_set(c->s, set_us);
    if (has_advance)
        sim_clock_advance(c->s, advance_s * S_US);
    if (has_freeze)
        sim_clock_freeze(c->s, freeze);
    outbox_pump(c->s);
    jw_str(&c->w, "now", time_format_iso(sim_now_us(c->s), text));
    jw_i64(&c->w, "epoch", sim_now_us(c->s) / S_US);
    jw_bool(&c->w, "frozen", c->s->clock.frozen);
}

void ctl_app_status(struct ctl *c)
{
    static const char *const names[] = {"active", "inactive", NULL};
    int status = c->s->world->inactive;
    (void)ctl_choice(c, "status", names, &status);
    if (!ctl_ready(c))
        return;
    c->s->world->inactive = status == 1;
    jw_str(&c->w, "status", names[status]);
}

/* ---- quotas ------------------------------------------------------------------------------------
 */

static void read_two(struct ctl *c, const char *key, int64_t ret[2])
{
    json_t *list = ctl_take(c, key, JSON_ARRAY);
    if (!list)
        return;
    for (size_t i = 0; i < 2; i++) {
        json_t *v = json_array_get(list, i);
        if (json_array_size(list) != 2 || !json_is_integer(v) || json_integer_value(v) < 0)
            ctl_refuse(c, 400, "%s: not two numbers", key);
        else
            ret[i] = json_integer_value(v);
    }
}

static void put_two(struct ctl *c, const char *key, const int64_t v[2])
{
    jw_open(&c->w, key, '[');
    jw_i64(&c->w, NULL, v[0]);
    jw_i64(&c->w, NULL, v[1]);
    jw_close(&c->w, ']');
}

void ctl_limits(struct ctl *c)
{
    quota_roll(c->s);
    struct quota *now = &c->s->world->quota, q = *now;
    read_two(c, "read", q.limit[READ_BUDGET]);
    read_two(c, "overall", q.limit[OVERALL_BUDGET]);
    read_two(c, "used_read", q.used[READ_BUDGET]);
    read_two(c, "used_overall", q.used[OVERALL_BUDGET]);
    if (!ctl_ready(c))
        return;
    *now = q;
    put_two(c, "read", q.limit[READ_BUDGET]);
    put_two(c, "overall", q.limit[OVERALL_BUDGET]);
    put_two(c, "used_read", q.used[READ_BUDGET]);
    put_two(c, "used_overall", q.used[OVERALL_BUDGET]);
}

/* ---- settings ----------------------------------------------------------------------------------
 */

static const char *const rotations[] = {"never", "always", "on_new_access", NULL};
static const char *const fates[] = {"valid", "dead", NULL};
static const char *const bounds[] = {"exclusive", "inclusive", NULL};

static void read_text(struct ctl *c, const char *key, char *out, size_t room)
{
    const char *text;
    if (!ctl_str(c, key, &text))
        return;
    if (strlen(text) >= room)
        ctl_refuse(c, 400, "%s: too long", key);
    else
        snprintf(out, room, "%s", text);
}

static void read_settings(struct ctl *c, struct settings *s)
{
    int rotation = s->rotation, fate = s->old_access_dead, bound = s->inclusive;
    (void)ctl_choice(c, "rotation", rotations, &rotation);
    (void)ctl_choice(c, "old_access", fates, &fate);
    (void)ctl_choice(c, "bounds", bounds, &bound);
    s->rotation = (enum rotation)rotation;
    s->old_access_dead = fate == 1;
    s->inclusive = bound == 1;
    (void)ctl_i64(c, "token_life_s", 1, S_MAX, &s->token_life_s);
    (void)ctl_i64(c, "code_life_s", 1, S_MAX, &s->code_life_s);
    (void)ctl_i64(c, "event_delay_s", 0, S_MAX, &s->event_delay_s);
    (void)ctl_i64(c, "delivery_parallel", 1, 1000, &s->delivery_parallel);
    (void)ctl_i64(c, "capacity", 0, 1000000, &s->capacity);
    (void)ctl_bool(c, "auto_reuse", &s->auto_reuse);
    (void)ctl_bool(c, "chunked", &s->chunked);
    (void)ctl_bool(c, "gzip", &s->gzip);
    (void)ctl_bool(c, "followers_event", &s->followers_event);
    read_text(c, "callback_domain", s->callback_domain, sizeof(s->callback_domain));
    read_text(c, "deliver_to", s->deliver_to, sizeof(s->deliver_to));
}

void ctl_settings(struct ctl *c)
{
    struct settings s = c->s->world->settings;
    read_settings(c, &s);
    if (!ctl_ready(c))
        return;
    c->s->world->settings = s;
    jw_str(&c->w, "rotation", rotations[s.rotation]);
    jw_str(&c->w, "old_access", fates[s.old_access_dead]);
    jw_str(&c->w, "bounds", bounds[s.inclusive]);
    jw_i64(&c->w, "token_life_s", s.token_life_s);
    jw_i64(&c->w, "code_life_s", s.code_life_s);
    jw_i64(&c->w, "event_delay_s", s.event_delay_s);
    jw_i64(&c->w, "delivery_parallel", s.delivery_parallel);
    jw_i64(&c->w, "capacity", s.capacity);
    jw_bool(&c->w, "auto_reuse", s.auto_reuse);
    jw_bool(&c->w, "chunked", s.chunked);
    jw_bool(&c->w, "gzip", s.gzip);
    jw_bool(&c->w, "followers_event", s.followers_event);
    jw_str(&c->w, "callback_domain", s.callback_domain);
    jw_str(&c->w, "deliver_to", s.deliver_to);
}
