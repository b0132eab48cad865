/* Control of athletes, consent and tokens. */
#include "sim/sim.h"

void ctl_grant(struct ctl *c)
{
    struct athlete *who = ctl_athlete(c, true);
    unsigned scope = SCOPE_READ | SCOPE_ACTIVITY_READ | SCOPE_ACTIVITY_READ_ALL;
    char names[128];
    (void)ctl_scope(c, "scope", &scope);
    if (!ctl_ready(c))
        return;
    token_grant(c->s, who, scope | SCOPE_READ);
    token_write(c->s, who, &c->w);
    jw_str(&c->w, "scope", scope_format(who->scope, names));
}

void ctl_consent(struct ctl *c)
{
    struct consent consent = {0};
    struct athlete *who = ctl_athlete(c, false);
    consent.automatic = who != NULL;
    consent.athlete = who ? who->id : 0;
    consent.has_scope = ctl_scope(c, "scope", &consent.scope);
    (void)ctl_bool(c, "deny", &consent.deny);
    if (ctl_ready(c))
        c->s->world->consent = consent;
}

static void put_athlete(struct ctl *c, const struct athlete *who)
{
    char names[128];
    jw_i64(&c->w, "id", who->id);
    jw_str(&c->w, "firstname", who->first);
    jw_str(&c->w, "lastname", who->last);
    jw_bool(&c->w, "granted", who->granted);
    jw_str(&c->w, "scope", scope_format(who->scope, names));
    jw_str(&c->w, "access_token", who->access[0].token);
    jw_str(&c->w, "refresh_token", who->refresh);
    if (who->access[0].token[0])
        jw_time(&c->w, "expires_at", who->access[0].expires_us);
    jw_i64(&c->w, "activities", (int64_t)who->list.n);
}

void ctl_athletes(struct ctl *c)
{
    const struct world *w = c->s->world;
    jw_open(&c->w, "athletes", '[');
    for (size_t i = 0; i < w->athletes.n; i++) {
        jw_open(&c->w, NULL, '{');
        put_athlete(c, w->athletes.v[i]);
        jw_close(&c->w, '}');
    }
    jw_close(&c->w, ']');
}

void ctl_athlete_verb(struct ctl *c, int64_t id, const char *verb)
{
    struct athlete *who = world_athlete(c->s->world, id);
    bool silent = false, revoke = strcmp(verb, "revoke") == 0;
    unsigned scope = 0;
    if (!who) {
        ctl_refuse(c, 404, "no athlete %lld", (long long)id);
        return;
    }
    if (!revoke && strcmp(verb, "narrow_scope") != 0) {
        ctl_refuse(c, 404, "no such verb: %.40s", verb);
        return;
    }
    if (revoke)
        (void)ctl_bool(c, "silent", &silent);
    else if (!ctl_scope(c, "scope", &scope))
        ctl_refuse(c, 400, "scope is missing");
    if (!ctl_ready(c))
        return;
    if (revoke)
        change_revoke(c->s, who, silent);
    else
        who->scope = scope;
}

static void expire(struct sim *s, struct athlete *who)
{
    for (int i = 0; i < ACCESS_KEPT; i++) {
        if (who->access[i].expires_us > sim_now_us(s))
            who->access[i].expires_us = sim_now_us(s);
    }
}

static void invalidate(struct athlete *who, bool access, bool refresh)
{
    for (int i = 0; access && i < ACCESS_KEPT; i++)
        who->access[i].dead = true;
    if (refresh)
        who->refresh[0] = '\0';
}

void ctl_token(struct ctl *c, const char *verb)
{
    static const char *const whats[] = {"access", "refresh", "both", NULL};
    struct athlete *who = ctl_athlete(c, false);
    struct world *w = c->s->world;
    int what = 0;
    bool is_expire = strcmp(verb, "expire") == 0;
    if (!is_expire && strcmp(verb, "invalidate") != 0)
        ctl_refuse(c, 404, "no such verb: %.40s", verb);
    if (!is_expire)
        (void)ctl_choice(c, "what", whats, &what);
    if (!ctl_ready(c))
        return;
    for (size_t i = 0; i < w->athletes.n; i++) {
        if (who && w->athletes.v[i] != who)
            continue;
        if (is_expire)
            expire(c->s, w->athletes.v[i]);
        else
            invalidate(w->athletes.v[i], what != 1, what != 0);
    }
}
