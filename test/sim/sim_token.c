/* Tokens and grants. */
#include "sim/sim.h"

enum { CODES_MAX = 4096, NEW_ACCESS_S = 3600 };

/* The last eight digits tell the athlete, so that no table of tokens is needed. */
static uint32_t mask_of(const struct world *w)
{
    return (uint32_t)sim_mix(w->seed, 21);
}

static void make_token(const struct world *w, struct athlete *who, unsigned kind,
                       char out[TOKEN_SIZE])
{
    uint64_t a = sim_mix(who->gen, ((uint64_t)++who->serial << 2) | kind), b = sim_mix(a, 22);
    snprintf(out, TOKEN_SIZE, "%016llx%016llx%08x", (unsigned long long)a, (unsigned long long)b,
             who->index ^ mask_of(w));
}

static struct athlete *athlete_in(const struct world *w, const char *token)
{
    int64_t index = 0;
    if (strlen(token) != TOKEN_SIZE - 1)
        return NULL;
    for (const char *p = token + 32; *p; p++) {
        const char *digits = "0123456789abcdef", *at = strchr(digits, *p);
        if (!at)
            return NULL;
        index = index * 16 + (at - digits);
    }
    index ^= mask_of(w);
    return index < (int64_t)w->athletes.n ? w->athletes.v[index] : NULL;
}

bool token_find(const struct world *w, const char *text, struct token_owner *ret)
{
    struct athlete *who = athlete_in(w, text);
    *ret = (struct token_owner){.who = who};
    if (!who)
        return false;
    if (who->refresh[0] && strcmp(who->refresh, text) == 0)
        return true;
    for (int i = 0; i < ACCESS_KEPT; i++) {
        if (who->access[i].token[0] && strcmp(who->access[i].token, text) == 0) {
            ret->access = &who->access[i];
            return true;
        }
    }
    return false;
}

bool access_is_valid(const struct sim *s, const struct athlete *who, const struct access *a)
{
    return who->granted && !a->dead && sim_now_us(s) < a->expires_us;
}

static void new_access(struct sim *s, struct athlete *who)
{
    struct access *a = who->access;
    memmove(a + 1, a, (ACCESS_KEPT - 1) * sizeof(*a));
    for (int i = 1; i < ACCESS_KEPT && s->world->settings.old_access_dead; i++)
        a[i].dead = true;
    *a = (struct access){.expires_us = sim_now_us(s) + s->world->settings.token_life_s * S_US};
    make_token(s->world, who, 0, a->token);
    logbook_count(s, who, COUNT_NEW_ACCESS);
}

void token_grant(struct sim *s, struct athlete *who, unsigned scope)
{
    who->granted = true;
    who->scope = scope;
    new_access(s, who);
    make_token(s->world, who, 1, who->refresh);
}

bool token_refresh(struct sim *s, struct athlete *who)
{
    const struct access *a = &who->access[0];
    bool fresh = !a->token[0] || a->dead || a->expires_us - sim_now_us(s) <= NEW_ACCESS_S * S_US;
    enum rotation rotation = s->world->settings.rotation;
    if (fresh)
        new_access(s, who);
    if (rotation == ROTATE_ALWAYS || (fresh && rotation == ROTATE_ON_NEW_ACCESS))
        make_token(s->world, who, 1, who->refresh);
    return fresh;
}

void token_drop_all(struct athlete *who)
{
    memset(who->access, 0, sizeof(who->access));
    who->refresh[0] = '\0';
    who->granted = false;
    who->scope = 0;
}

void token_write(struct sim *s, struct athlete *who, struct jw *w)
{
    const struct access *a = &who->access[0];
    jw_str(w, "token_type", "Bearer");
    jw_i64(w, "expires_at", a->expires_us / S_US);
    jw_i64(w, "expires_in", a->expires_us / S_US - sim_now_us(s) / S_US);
    jw_str(w, "refresh_token", who->refresh);
    jw_str(w, "access_token", a->token);
}

/* ---- codes -------------------------------------------------------------------------------------
 */

const struct code *code_new(struct sim *s, struct athlete *who, unsigned scope)
{
    struct codes *codes = &s->world->codes;
    size_t kept = 0;
    for (size_t i = codes->n >= CODES_MAX; i < codes->n; i++) {
        if (codes->v[i].expires_us > sim_now_us(s))
            codes->v[kept++] = codes->v[i];
    }
    codes->n = kept;
    struct code *c = vec_push(codes);
    *c = (struct code){.athlete = who->index,
                       .scope = scope,
                       .expires_us = sim_now_us(s) + s->world->settings.code_life_s * S_US};
    make_token(s->world, who, 2, c->code);
    return c;
}

struct athlete *code_take(struct sim *s, const char *text, unsigned *scope)
{
    struct codes *codes = &s->world->codes;
    for (size_t i = 0; i < codes->n; i++) {
        struct code c = codes->v[i];
        if (strcmp(c.code, text) != 0)
            continue;
        codes->v[i] = codes->v[--codes->n];
        *scope = c.scope;
        return sim_now_us(s) < c.expires_us ? s->world->athletes.v[c.athlete] : NULL;
    }
    return NULL;
}

unsigned connected_athletes(const struct world *w)
{
    unsigned n = 0;
    for (size_t i = 0; i < w->athletes.n; i++)
        n += w->athletes.v[i]->granted;
    return n;
}
