/* OAuth: consent, exchange, refresh, the ends of a grant. */
#include <strings.h>

#include "sim/sim.h"

/* ---- the application ---------------------------------------------------------------------------
 */

static bool is_client(const struct req *r, const char *id)
{
    int64_t n;
    return id && span_to_i64(span_of(id), 0, INT64_MAX, &n) == 0 && n == r->sim->client_id;
}

/* False: answered. */
static bool application_is_known(struct req *r)
{
    const char *secret = pairs_get(&r->form, "client_secret");
    if (!is_client(r, pairs_get(&r->form, "client_id"))) {
        answer_bad(r, "Application", "client_id", "invalid");
        return false;
    }
    if (!secret || strcmp(secret, r->sim->client_secret) != 0) {
        answer_fault(r, 401, "Authorization Error", "Application", "", "invalid");
        return false;
    }
    return true;
}

static bool has_room_for(const struct sim *s, const struct athlete *who)
{
    int64_t capacity = s->world->settings.capacity;
    return who->granted || capacity == 0 || connected_athletes(s->world) < capacity;
}

static void answer_full(struct req *r)
{
    answer_fault(r, 403, "Forbidden", "Application", "athlete limit", "exceeded");
}

/* ---- consent -----------------------------------------------------------------------------------
 */

struct asking {
    const struct pairs *from;
    const char *redirect_uri, *state;
    unsigned scope;
    bool force;
};

static bool domain_is_ours(const struct sim *s, const char *uri)
{
    const char *const hosts[] = {"localhost", "127.0.0.1", s->world->settings.callback_domain};
    const char *host = strstr(uri, "://");
    if (!host || (strncmp(uri, "http://", 7) != 0 && strncmp(uri, "https://", 8) != 0))
        return false;
    host += 3;
    size_t n = strcspn(host, ":/?#");
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        size_t own = strlen(hosts[i]);
        bool below = n > own && host[n - own - 1] == '.'; /* a subdomain is fine, too */
        if (own && n >= own && strncasecmp(host + n - own, hosts[i], own) == 0 &&
            (n == own || below))
            return true;
    }
    return false;
}

/* False: answered. */
static bool asking_is_right(struct req *r, struct asking *a)
{
    const char *type = pairs_get(a->from, "response_type");
    const char *scope = pairs_get(a->from, "scope");
    const char *prompt = pairs_get(a->from, "approval_prompt");
    a->redirect_uri = pairs_get(a->from, "redirect_uri");
    a->state = pairs_get(a->from, "state");
    a->force = prompt && strcmp(prompt, "force") == 0;
    if (!is_client(r, pairs_get(a->from, "client_id")))
        answer_bad(r, "Application", "client_id", "invalid");
    else if (!a->redirect_uri || !domain_is_ours(r->sim, a->redirect_uri))
        answer_bad(r, "Application", "redirect_uri", "invalid");
    else if (!type || strcmp(type, "code") != 0)
        answer_bad(r, "Authorize", "response_type", "invalid");
    else if (!scope || scope_parse(scope, &a->scope) < 0 || a->scope == 0)
        answer_bad(r, "Authorize", "scope", "invalid");
    else if (prompt && !a->force && strcmp(prompt, "auto") != 0)
        answer_bad(r, "Authorize", "approval_prompt", "invalid");
    else
        return true;
    return false;
}

static void redirect(struct req *r, const struct asking *a, const char *more)
{
    const char *state = a->state ? url_encode(r->arena, a->state) : "";
    req_set(r, "Location", "%s%sstate=%s&%s", a->redirect_uri,
            strchr(a->redirect_uri, '?') ? "&" : "?", state, more);
    answer_text(r, 302, "text/html; charset=utf-8", "");
}

struct decision {
    struct athlete *who;
    bool deny;
    unsigned scope; /* that was ticked */
};

static void decide(struct req *r, const struct asking *a, const struct decision *d)
{
    struct sim *s = r->sim;
    char names[128];
    if (!d->who) {
        answer_bad(r, "Athlete", "sim_auto", "invalid");
        return;
    }
    if (d->deny) {
        redirect(r, a, "error=access_denied");
        return;
    }
    if (!has_room_for(s, d->who)) {
        answer_full(r);
        return;
    }
    unsigned scope = (a->scope & d->scope) | SCOPE_READ;
    if (d->who->granted && !a->force && s->world->settings.auto_reuse)
        scope = d->who->scope;
    const struct code *code = code_new(s, d->who, scope);
    redirect(r, a,
             arena_printf(r->arena, "code=%s&scope=%s", code->code, scope_format(scope, names)));
}

static void put_html(struct buf *b, const char *text)
{
    for (; *text; text++) {
        if (strchr("<>&\"'", *text))
            buf_printf(b, "&#%d;", *text);
        else
            buf_putc(b, *text);
    }
}

static void put_athletes(struct req *r)
{
    enum { SHOWN = 200 };
    const struct world *w = r->sim->world;
    buf_puts(&r->out, "<p><label>Athlete <select name=\"sim_auto\">");
    for (size_t i = 0; i < w->athletes.n && i < SHOWN; i++) {
        const struct athlete *who = w->athletes.v[i];
        buf_printf(&r->out, "<option value=\"%lld\">%s %s (%lld)</option>", (long long)who->id,
                   who->first, who->last, (long long)who->id);
    }
    buf_puts(&r->out, "</select></label></p>");
}

static void put_scopes(struct req *r, unsigned scope)
{
    char names[128];
    for (unsigned bit = 1; bit <= SCOPE_ACTIVITY_WRITE; bit <<= 1) {
        if ((scope & bit) && bit != SCOPE_READ) {
            const char *name = scope_format(bit, names);
            buf_printf(&r->out,
                       "<p><label><input type=\"checkbox\" name=\"sim_tick\" value=\"%s\" checked> "
                       "%s</label></p>",
                       name, name);
        }
    }
}

static void consent_page(struct req *r, const struct asking *a)
{
    static const char *const kept[] = {
        "client_id", "redirect_uri", "response_type", "scope", "state", "approval_prompt", NULL};
    struct buf *b = &r->out;
    buf_puts(b, "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Authorize</title>"
                "<h1>Authorize the application</h1><form method=\"post\">");
    for (int i = 0; kept[i]; i++) {
        const char *value = pairs_get(a->from, kept[i]);
        if (!value)
            continue;
        buf_printf(b, "<input type=\"hidden\" name=\"%s\" value=\"", kept[i]);
        put_html(b, value);
        buf_puts(b, "\">");
    }
    put_athletes(r);
    put_scopes(r, a->scope);
    buf_puts(b, "<button name=\"sim_allow\" value=\"1\">Authorize</button> "
                "<button name=\"sim_deny\" value=\"1\">Cancel</button></form></html>");
    answer_text(r, 200, "text/html; charset=utf-8", NULL);
}

static struct athlete *athlete_named(const struct sim *s, const char *text)
{
    int64_t id;
    if (!text || span_to_i64(span_of(text), 1, INT64_MAX, &id) < 0)
        return NULL;
    return world_athlete(s->world, id);
}

/* The boxes that were ticked on the page. */
static unsigned ticked(const struct pairs *form)
{
    unsigned all = 0, one;
    for (size_t i = 0; i < form->n; i++) {
        if (strcmp(form->v[i].name, "sim_tick") == 0 && scope_parse(form->v[i].value, &one) == 0)
            all |= one;
    }
    return all;
}

void serve_authorize(struct req *r)
{
    const struct consent *consent = &r->sim->world->consent;
    bool post = strcmp(r->method, "POST") == 0;
    struct asking a = {.from = post ? &r->form : &r->query};
    struct decision d = {.scope = ~0u};
    if (!asking_is_right(r, &a))
        return;
    const char *who = pairs_get(a.from, "sim_auto"), *scope = pairs_get(a.from, "sim_scope");
    if (!who && !consent->automatic) {
        consent_page(r, &a);
        return;
    }
    d.who = who ? athlete_named(r->sim, who) : world_athlete(r->sim->world, consent->athlete);
    d.deny = pairs_get(a.from, "sim_deny") != NULL || (!who && consent->deny);
    if (post)
        d.scope = ticked(&r->form);
    else if (!who && consent->has_scope)
        d.scope = consent->scope;
    else if (scope && scope_parse(scope, &d.scope) < 0)
        d.scope = 0;
    decide(r, &a, &d);
}

/* ---- tokens ------------------------------------------------------------------------------------
 */

static void answer_tokens(struct req *r, struct athlete *who, bool with_athlete)
{
    struct jw w = {.b = &r->out};
    jw_open(&w, NULL, '{');
    token_write(r->sim, who, &w);
    if (with_athlete) {
        jw_open(&w, "athlete", '{');
        render_athlete(r->sim, who, &w, false);
        jw_close(&w, '}');
    }
    jw_close(&w, '}');
    answer_json(r, 200);
}

static void exchange(struct req *r)
{
    const char *text = pairs_get(&r->form, "code");
    unsigned scope = 0;
    struct athlete *who = text ? code_take(r->sim, text, &scope) : NULL;
    if (!who) {
        answer_bad(r, "AuthorizationCode", "code", "invalid");
        return;
    }
    r->athlete = who;
    if (!has_room_for(r->sim, who)) {
        answer_full(r);
        return;
    }
    token_grant(r->sim, who, scope);
    logbook_count(r->sim, who, COUNT_EXCHANGE);
    answer_tokens(r, who, true);
}

static void refresh(struct req *r)
{
    const char *text = pairs_get(&r->form, "refresh_token");
    struct token_owner owner = {0};
    bool known = text && token_find(r->sim->world, text, &owner);
    if (owner.who)
        r->athlete = owner.who; /* also of a token that has been replaced */
    if (!known || owner.access || !owner.who->granted) {
        if (owner.who)
            logbook_count(r->sim, owner.who, COUNT_REFRESH_FAILURE);
        answer_bad(r, "RefreshToken", "refresh_token", "invalid");
        return;
    }
    (void)token_refresh(r->sim, owner.who);
    logbook_count(r->sim, owner.who, COUNT_REFRESH);
    answer_tokens(r, owner.who, false);
}

void serve_token(struct req *r)
{
    const char *grant = pairs_get(&r->form, "grant_type");
    if (!application_is_known(r))
        return;
    if (grant && strcmp(grant, "authorization_code") == 0)
        exchange(r);
    else if (grant && strcmp(grant, "refresh_token") == 0)
        refresh(r);
    else
        answer_bad(r, "OAuth", "grant_type", "invalid");
}

/* ---- the end of a grant ------------------------------------------------------------------------
 */

static int sextet(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* What stands behind "Basic "; NULL if it is no base64. */
static char *basic_of(struct req *r)
{
    const char *text = req_field(r, "Authorization");
    if (!text || strncasecmp(text, "Basic ", 6) != 0)
        return NULL;
    text += 6;
    char *out = arena_alloc(r->arena, strlen(text) + 1), *p = out;
    uint32_t bits = 0;
    int n = 0;
    for (; *text && *text != '='; text++) {
        int six = sextet(*text);
        if (six < 0)
            return NULL;
        bits = bits << 6 | (uint32_t)six;
        n += 6;
        if (n >= 8) {
            n -= 8;
            *p++ = (char)(bits >> n & 0xff);
        }
    }
    *p = '\0';
    return out;
}

void serve_revoke(struct req *r)
{
    const char *basic = basic_of(r), *token = pairs_get(&r->form, "token");
    const char *want =
        arena_printf(r->arena, "%lld:%s", (long long)r->sim->client_id, r->sim->client_secret);
    struct token_owner owner;
    if (!basic || strcmp(basic, want) != 0) {
        answer_fault(r, 401, "Authorization Error", NULL, NULL, NULL);
        return;
    }
    if (!token || !token[0]) {
        answer_bad(r, "OAuth", "token", "missing");
        return;
    }
    if (token_find(r->sim->world, token, &owner) && owner.who->granted) {
        r->athlete = owner.who;
        change_revoke(r->sim, owner.who, false);
    }
    answer_text(r, 200, NULL, "");
}

void serve_deauthorize(struct req *r)
{
    const char *field = req_field(r, "Authorization");
    const char *token = field && strncasecmp(field, "Bearer ", 7) == 0 ? field + 7 : NULL;
    struct token_owner owner;
    if (!token)
        token = pairs_get(&r->form, "access_token");
    if (!token)
        token = pairs_get(&r->query, "access_token");
    if (!token || !token_find(r->sim->world, token, &owner) || !owner.access ||
        !access_is_valid(r->sim, owner.who, owner.access)) {
        answer_unauthorized(r);
        return;
    }
    r->athlete = owner.who;
    struct jw w = {.b = &r->out};
    jw_open(&w, NULL, '{');
    jw_str(&w, "access_token", token);
    jw_close(&w, '}');
    change_revoke(r->sim, owner.who, false);
    answer_json(r, 200);
}
