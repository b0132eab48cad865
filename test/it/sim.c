#include "it/sim.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>

#include "it/internal.h"

enum { UP_MS = 60000, END_MS = 20000, ARGS_MAX = 64 };

struct sim {
    struct it_proc *proc;
    const char *url;
    struct sim *next;
};

static struct sim *running; /* those of this test that were not stopped */

static json_t **kept;
static size_t nkept, room;

static json_t *keep_json(json_t *json)
{
    if (nkept == room) {
        room = room ? 2 * room : 64;
        kept = realloc(kept, room * sizeof(json_t *));
        assert_non_null(kept);
    }
    return kept[nkept++] = json;
}

void it__forget_json(void)
{
    running = NULL;
    while (nkept > 0)
        json_decref(kept[--nkept]);
    free(kept);
    kept = NULL;
    room = 0;
}

/* ---- start and end ------------------------------------------------------------------------- */

struct sim *sim_start(const char *const *args)
{
    const char *all[ARGS_MAX + 1] = {"--listen", "127.0.0.1:0"};
    unsigned n = 2;
    for (; args != NULL && *args != NULL; args++) {
        assert_true(n < ARGS_MAX);
        all[n++] = *args;
    }
    struct sim *s = (struct sim *)(void *)it_keep(calloc(1, sizeof(*s)));
    s->proc = it_start_program(WAYMARK_SIM, NULL, NULL, all);
    it_wait_for(s->proc, "listening http://", UP_MS);
    const char *line = strstr(it_output(s->proc), "http://");
    s->url = it_format("%.*s", (int)strcspn(line, "\n"), line);
    s->next = running;
    running = s;
    return s;
}

void sim_stop(struct sim *s)
{
    for (struct sim **at = &running; *at != NULL; at = &(*at)->next) {
        if (*at == s) {
            *at = s->next;
            break;
        }
    }
    it_signal(s->proc, SIGTERM);
    struct it_result r = it_wait(s->proc, END_MS);
    if (r.status != 0)
        fail_msg("the simulator ended with %d\n%s", r.status, r.err);
}

int sim_after(void **state)
{
    while (running != NULL)
        sim_stop(running);
    return it_after(state);
}

const char *sim_url(const struct sim *s)
{
    return s->url;
}

const char *sim_address(const struct sim *s)
{
    return s->url + strlen("http://");
}

pid_t sim_pid(const struct sim *s)
{
    return it_pid(s->proc);
}

/* ---- requests ------------------------------------------------------------------------------ */

static void join_chunks(struct http_answer *a)
{
    char *out = it_keep(malloc(a->n + 1)), *p = out;
    const char *in = a->body, *end = a->body + a->n;
    while (in < end) {
        char *after;
        size_t n = strtoul(in, &after, 16);
        if (n == 0 || after + 2 + n > end)
            break; /* the last, or cut short */
        memcpy(p, after + 2, n);
        p += n;
        in = after + 2 + n + 2;
    }
    *p = '\0';
    a->body = out;
    a->n = (size_t)(p - out);
}

struct http_answer sim_ask(struct sim *s, const char *method, const char *target,
                           const char *fields, const char *body)
{
    struct http_answer a = http_ask(sim_address(s), method, target, fields, body);
    const char *coding = a.status > 0 ? http_field(&a, "Transfer-Encoding") : NULL;
    if (coding != NULL && strcmp(coding, "chunked") == 0)
        join_chunks(&a);
    return a;
}

struct http_answer sim_call(struct sim *s, const char *token, const char *target)
{
    return sim_ask(s, "GET", target, it_format("Authorization: Bearer %s\r\n", token), NULL);
}

json_t *sim_json(struct http_answer a)
{
    json_error_t error;
    json_t *json = json_loadb(a.body, a.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (json == NULL)
        fail_msg("no JSON (%s): %s%.2000s", error.text, a.head, a.body);
    return keep_json(json);
}

static struct http_answer order(struct sim *s, const char *path, const char *body)
{
    return sim_ask(s, "POST", it_format("/_sim/%s", path), NULL, body);
}

json_t *sim_do(struct sim *s, const char *path, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const char *body = it__vformat(fmt, args);
    va_end(args);
    struct http_answer a = order(s, path, body);
    if (a.status != 200)
        fail_msg("%s %s: answered %d %s", path, body, a.status, a.body);
    return sim_json(a);
}

int sim_try(struct sim *s, const char *path, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const char *body = it__vformat(fmt, args);
    va_end(args);
    return order(s, path, body).status;
}

static struct http_answer get(struct sim *s, const char *path)
{
    struct http_answer a = sim_ask(s, "GET", it_format("/_sim/%s", path), NULL, NULL);
    if (a.status != 200)
        fail_msg("%s: answered %d %s", path, a.status, a.body);
    return a;
}

json_t *sim_get(struct sim *s, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const char *path = it__vformat(fmt, args);
    va_end(args);
    return sim_json(get(s, path));
}

void sim_advance(struct sim *s, int64_t seconds)
{
    sim_do(s, "clock", "{\"advance_s\":%lld}", (long long)seconds);
    sim_do(s, "idle", "{\"timeout_s\":20,\"due_only\":true}");
}

void sim_idle(struct sim *s)
{
    sim_do(s, "idle", "{\"timeout_s\":20}");
}

json_t *sim_truth(struct sim *s, int64_t athlete, const char *scope)
{
    return sim_get(s, "truth?athlete=%lld%s%s", (long long)athlete, scope ? "&scope=" : "",
                   scope ? scope : "");
}

/* Lines of JSON as an array of them. */
static json_t *lines(struct http_answer a)
{
    json_t *all = keep_json(json_array());
    const char *end = a.body + a.n;
    for (const char *p = a.body; p < end;) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((stop != NULL ? stop : end) - p);
        json_t *line = json_loadb(p, n, 0, NULL);
        assert_non_null(line);
        assert_int_equal(json_array_append_new(all, line), 0);
        p += n + 1;
    }
    return all;
}

json_t *sim_log(struct sim *s, int64_t n)
{
    return lines(get(s, it_format("log?since=%lld", (long long)n)));
}

json_t *sim_events(struct sim *s, int64_t n)
{
    return lines(get(s, it_format("events?since=%lld", (long long)n)));
}

json_t *sim_stats(struct sim *s)
{
    return sim_get(s, "stats");
}

json_t *sim_grant(struct sim *s, int64_t athlete, const char *scope)
{
    json_t *given = sim_do(s, "grant", "{\"athlete\":%lld,\"scope\":\"%s\"}", (long long)athlete,
                           scope ? scope : "read,activity:read,activity:read_all");
    it_secret(sim_str(given, "access_token"));
    it_secret(sim_str(given, "refresh_token"));
    return given;
}

/* ---- members ------------------------------------------------------------------------------- */

json_t *sim_at(json_t *json, const char *path)
{
    json_t *at = json;
    for (const char *p = path; *p != '\0';) {
        size_t n = strcspn(p, ".");
        const char *name = it_format("%.*s", (int)n, p);
        at = json_is_array(at) && isdigit((unsigned char)*name)
                 ? json_array_get(at, strtoul(name, NULL, 10))
                 : json_object_get(at, name);
        if (at == NULL)
            fail_msg("no %s in %.2000s", path, it_keep(json_dumps(json, JSON_COMPACT)));
        p += n + (p[n] == '.');
    }
    return at;
}

int64_t sim_i64(json_t *json, const char *path)
{
    json_t *at = sim_at(json, path);
    assert_true(json_is_integer(at));
    return json_integer_value(at);
}

double sim_f64(json_t *json, const char *path)
{
    json_t *at = sim_at(json, path);
    assert_true(json_is_number(at));
    return json_number_value(at);
}

const char *sim_str(json_t *json, const char *path)
{
    json_t *at = sim_at(json, path);
    assert_true(json_is_string(at));
    return json_string_value(at);
}
