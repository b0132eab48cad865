/* Which request goes where, by whom it is made, and what it costs. */
#include <strings.h>

#include "sim/sim.h"

const char *const endpoint_names[] = {
    "authorize", "token",   "revoke", "deauthorize", "push_subscriptions", "athlete", "activities",
    "activity",  "streams", "other",  NULL};

enum { QUARTER_S = 900, DAY_S = 86400 };

/* ---- quotas ------------------------------------------------------------------------------------
 */

void quota_roll(struct sim *s)
{
    static const int64_t length_s[2] = {QUARTER_S, DAY_S};
    struct quota *q = &s->world->quota;
    for (int i = 0; i < 2; i++) {
        int64_t window = sim_now_us(s) / S_US / length_s[i];
        if (window == q->window[i])
            continue;
        q->window[i] = window;
        q->refused[i] = false;
        q->used[READ_BUDGET][i] = q->used[OVERALL_BUDGET][i] = 0;
    }
}

bool quota_count(struct sim *s, struct req *r, const char **field)
{
    struct quota *q = &s->world->quota;
    bool used_up = false, over[BUDGETS] = {false, false}, read = strcmp(r->method, "GET") == 0;
    quota_roll(s);
    bool refused_before = q->refused[0] || q->refused[1];
    for (int b = 0; b < BUDGETS; b++) {
        if (b == READ_BUDGET && !read)
            continue;
        for (int i = 0; i < 2; i++) {
            bool full = q->used[b][i]++ >= q->limit[b][i];
            used_up = used_up || full;
            over[b] = over[b] || full;
            q->refused[i] = q->refused[i] || full;
        }
    }
    logbook_count_quota(s, used_up, refused_before);
    *field = over[OVERALL_BUDGET] ? "overall rate limit" : "read rate limit";
    return over[READ_BUDGET] || over[OVERALL_BUDGET];
}

/* What a 429 by rule says of usage. */
static void disturb_usage(const struct req *r, struct quota *q)
{
    if (!r->faulty.has[FAULT_RATE_LIMIT])
        return;
    int variant = r->faulty.by[FAULT_RATE_LIMIT].choice, window = variant == RATE_DAILY;
    if (variant == RATE_STALE) {
        memset(q->used, 0, sizeof(q->used));
        return;
    }
    q->used[READ_BUDGET][window] = q->limit[READ_BUDGET][window] + 1;
    if (variant != RATE_READ)
        q->used[OVERALL_BUDGET][window] = q->limit[OVERALL_BUDGET][window] + 1;
}

void quota_fields(struct req *r)
{
    static const char *const names[BUDGETS] = {"X-Readratelimit", "X-Ratelimit"};
    quota_roll(r->sim);
    struct quota q = r->sim->world->quota;
    if (r->faulty.has[FAULT_RATE_LIMIT] && r->faulty.by[FAULT_RATE_LIMIT].choice == RATE_NO_HEADERS)
        return;
    disturb_usage(r, &q);
    for (int b = BUDGETS - 1; b >= 0; b--) {
        req_set(r, arena_printf(r->arena, "%s-Limit", names[b]), "%lld,%lld",
                (long long)q.limit[b][0], (long long)q.limit[b][1]);
        req_set(r, arena_printf(r->arena, "%s-Usage", names[b]), "%lld,%lld",
                r->zero_usage ? 0 : (long long)q.used[b][0],
                r->zero_usage ? 0 : (long long)q.used[b][1]);
    }
}

/* ---- which -------------------------------------------------------------------------------------
 */

static const struct {
    const char *method, *pattern; /* '#' is a number */
    enum endpoint endpoint;
    void (*serve)(struct req *r);
} table[] = {
    {"GET", "/oauth/authorize", EP_AUTHORIZE, serve_authorize},
    {"POST", "/oauth/authorize", EP_AUTHORIZE, serve_authorize},
    {"GET", "/oauth/mobile/authorize", EP_AUTHORIZE, serve_authorize},
    {"POST", "/oauth/mobile/authorize", EP_AUTHORIZE, serve_authorize},
    {"POST", "/oauth/token", EP_TOKEN, serve_token},
    {"POST", "/oauth/revoke", EP_REVOKE, serve_revoke},
    {"POST", "/oauth/deauthorize", EP_DEAUTHORIZE, serve_deauthorize},
    {"GET", "/push_subscriptions", EP_SUBSCRIPTIONS, serve_subscriptions},
    {"POST", "/push_subscriptions", EP_SUBSCRIPTIONS, serve_subscriptions},
    {"DELETE", "/push_subscriptions/#", EP_SUBSCRIPTIONS, serve_subscriptions},
    {"GET", "/athlete", EP_ATHLETE, serve_athlete},
    {"GET", "/athlete/activities", EP_ACTIVITIES, serve_activities},
    {"GET", "/activities/#", EP_ACTIVITY, serve_activity},
    {"GET", "/activities/#/streams", EP_STREAMS, serve_streams},
};

static bool fits(const char *pattern, const char *path, int64_t *id)
{
    while (*pattern && *path) {
        if (*pattern == '#') {
            size_t n = strspn(path, "0123456789");
            if (span_to_i64((struct span){path, n}, 0, INT64_MAX, id) < 0)
                return false;
            path += n;
            pattern++;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return *pattern == '\0' && *path == '\0';
}

/* -1: nobody's. */
static int find_row(struct req *r)
{
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (strcmp(table[i].method, r->method) == 0 && fits(table[i].pattern, r->path, &r->id))
            return (int)i;
    }
    return -1;
}

/* Only the exchange is under both prefixes; the rest of OAuth stays where it is. */
static bool strip_prefix(struct req *r)
{
    static const char prefix[] = "/api/v3";
    size_t n = sizeof(prefix) - 1;
    if (strncmp(r->path, prefix, n) != 0 || r->path[n] != '/')
        return true;
    r->path += n;
    r->prefixed = true;
    return strncmp(r->path, "/oauth/", 7) != 0 || strcmp(r->path, "/oauth/token") == 0;
}

/* ---- who ---------------------------------------------------------------------------------------
 */

static void find_caller(struct req *r)
{
    static const char *const in_form[] = {"refresh_token", "code", "token", "access_token", NULL};
    const char *field = req_field(r, "Authorization");
    struct token_owner owner;
    if (field && strncasecmp(field, "Bearer ", 7) == 0) {
        if (token_find(r->sim->world, field + 7, &owner)) {
            r->athlete = owner.who;
            r->access = owner.access;
        }
        return;
    }
    for (int i = 0; in_form[i] && !r->athlete; i++) {
        const char *text = pairs_get(&r->form, in_form[i]);
        if (text) {
            (void)token_find(r->sim->world, text, &owner);
            r->athlete = owner.who;
        }
    }
}

static bool is_data(enum endpoint e)
{
    return e >= EP_ATHLETE && e <= EP_OTHER;
}

/* True: answered. */
static bool disturb_token(struct req *r)
{
    const struct action *action = &r->faulty.by[FAULT_TOKEN];
    if (!r->faulty.has[FAULT_TOKEN] || !r->athlete)
        return false;
    if (action->choice == TOKEN_EXPIRE && r->access)
        r->access->expires_us = sim_now_us(r->sim);
    if (action->choice == TOKEN_REVOKE)
        token_drop_all(r->athlete);
    if (action->choice != TOKEN_ONCE)
        return false;
    answer_unauthorized(r);
    return true;
}

static void serve_data(struct req *r, void (*serve)(struct req *r))
{
    const char *field = NULL;
    bool over = false;
    if (r->access) {
        r->counted = true;
        over = r->limited = quota_count(r->sim, r, &field);
        logbook_count(r->sim, r->athlete, COUNT_CALL);
    }
    if (disturb_token(r) || answer_by_fault(r))
        return;
    if (!serve)
        answer_fault(r, 404, "Record Not Found", NULL, NULL, NULL);
    else if (!r->access || !access_is_valid(r->sim, r->athlete, r->access))
        answer_unauthorized(r);
    else if (over)
        answer_rate_limited(r, field);
    else if (r->sim->world->inactive)
        answer_inactive(r);
    else
        serve(r);
}

static void meet_faults(struct req *r)
{
    struct fault_asked asked = {.method = r->method,
                                .path = r->path,
                                .athlete = r->athlete ? r->athlete->id : 0,
                                .activity = r->id};
    faults_meet(r->sim->world, &asked, -1, &r->faulty);
}

void sim_serve(struct req *r)
{
    if (strncmp(r->path, "/_sim/", 6) == 0) {
        r->control = r->plain = true;
        serve_control(r);
        return;
    }
    bool allowed = strip_prefix(r);
    int row = allowed ? find_row(r) : -1;
    r->endpoint = row >= 0 ? table[row].endpoint : EP_OTHER;
    r->no_limits = r->endpoint <= EP_DEAUTHORIZE;
    r->zero_usage = r->endpoint == EP_SUBSCRIPTIONS;
    find_caller(r);
    meet_faults(r);
    if (is_data(r->endpoint))
        serve_data(r, row >= 0 ? table[row].serve : NULL);
    else if (!disturb_token(r) && !answer_by_fault(r))
        table[row].serve(r);
}
