/* What was asked: a line a request, and counts. */
#include "sim/sim.h"

enum { LINES_MAX = 65536, STATUS_MAX = 600 };

struct line_of {
    int64_t n, time_us, athlete;
    float ms;
    uint16_t status;
    uint8_t endpoint;
    bool prefixed, counted, limited, gone;
    int64_t fault[FAULTS_AT_ONCE];
    char method[12], token[9], path[64], query[128];
};

struct athlete_counts {
    int64_t of[COUNTS];
};

struct logbook {
    struct {
        VEC(struct line_of);
    } lines; /* a ring when it is full */
    int64_t next;
    int64_t calls[EP_COUNT][STATUS_MAX];
    int64_t over_limit, after_429;
    struct {
        VEC(struct athlete_counts);
    } athletes;
};

static const char *const count_names[COUNTS] = {"exchanges", "refreshes", "refresh_failures",
                                                "new_access", "calls"};

struct logbook *log_open(void)
{
    struct logbook *b = mem_alloc(sizeof(*b));
    b->next = 1;
    return b;
}

struct logbook *logbook_free(struct logbook *b)
{
    if (b) {
        vec_done(&b->lines);
        vec_done(&b->athletes);
        mem_free(b);
    }
    return NULL;
}

void logbook_clear(struct sim *s)
{
    logbook_free(s->log);
    s->log = log_open();
}

void logbook_add(struct sim *s, const struct req *r)
{
    struct logbook *b = s->log;
    const char *field = req_field(r, "Authorization");
    if (b->lines.n < LINES_MAX)
        (void)vec_push(&b->lines);
    struct line_of *l = &b->lines.v[(b->next - 1) % LINES_MAX];
    *l = (struct line_of){.n = b->next++,
                          .time_us = sim_now_us(s),
                          .ms = (float)((double)(clock_mono_ns() - r->begun_ns) / 1e6),
                          .status = (uint16_t)r->status,
                          .endpoint = (uint8_t)r->endpoint,
                          .athlete = r->athlete ? r->athlete->id : 0,
                          .counted = r->counted,
                          .limited = r->limited,
                          .prefixed = r->prefixed,
                          .gone = r->conn == NULL};
    memcpy(l->fault, r->faulty.id, sizeof(l->fault));
    snprintf(l->method, sizeof(l->method), "%s", r->method);
    snprintf(l->path, sizeof(l->path), "%s", r->path);
    snprintf(l->query, sizeof(l->query), "%s", r->query_text);
    if (field && strncmp(field, "Bearer ", 7) == 0)
        snprintf(l->token, sizeof(l->token), "%s", field + 7);
    if (r->status < STATUS_MAX)
        b->calls[r->endpoint][r->status]++;
}

static void put_line(const struct line_of *l, struct buf *out)
{
    struct jw w = {.b = out};
    jw_open(&w, NULL, '{');
    jw_i64(&w, "n", l->n);
    jw_time(&w, "time", l->time_us);
    jw_f64(&w, "ms", (double)l->ms, 3);
    jw_str(&w, "method", l->method);
    jw_str(&w, "path", l->path);
    jw_str(&w, "base", l->prefixed ? "/api/v3" : "");
    jw_str(&w, "query", l->query);
    jw_str(&w, "endpoint", endpoint_names[l->endpoint]);
    if (l->athlete)
        jw_i64(&w, "athlete", l->athlete);
    else
        jw_null(&w, "athlete");
    jw_str(&w, "token", l->token);
    jw_i64(&w, "status", l->status);
    jw_bool(&w, "counted", l->counted);
    jw_bool(&w, "limited", l->limited);
    jw_bool(&w, "gone", l->gone);
    jw_open(&w, "fault", '[');
    for (int i = 0; i < FAULTS_AT_ONCE && l->fault[i]; i++)
        jw_i64(&w, NULL, l->fault[i]);
    jw_close(&w, ']');
    jw_close(&w, '}');
    buf_putc(out, '\n');
}

void logbook_lines(const struct sim *s, int64_t since, int64_t athlete, const char *path_glob,
                   struct buf *out)
{
    const struct logbook *b = s->log;
    int64_t first = b->next - (int64_t)b->lines.n;
    for (int64_t n = since + 1 > first ? since + 1 : first; n < b->next; n++) {
        const struct line_of *l = &b->lines.v[(n - 1) % LINES_MAX];
        if ((!athlete || l->athlete == athlete) && (!path_glob || glob_is(path_glob, l->path)))
            put_line(l, out);
    }
}

void logbook_count(struct sim *s, const struct athlete *who, enum count what)
{
    struct logbook *b = s->log;
    while (b->athletes.n <= who->index)
        *vec_push(&b->athletes) = (struct athlete_counts){0};
    b->athletes.v[who->index].of[what]++;
}

void logbook_count_quota(struct sim *s, bool over_limit, bool after_429)
{
    s->log->over_limit += over_limit;
    s->log->after_429 += over_limit && after_429;
}

static void put_athletes(const struct sim *s, struct jw *w)
{
    static const struct athlete_counts none;
    char id[32];
    jw_open(w, "athletes", '{');
    for (size_t i = 0; i < s->log->athletes.n && i < s->world->athletes.n; i++) {
        const struct athlete_counts *counts = &s->log->athletes.v[i];
        if (memcmp(counts, &none, sizeof(none)) == 0)
            continue;
        snprintf(id, sizeof(id), "%lld", (long long)s->world->athletes.v[i]->id);
        jw_open(w, id, '{');
        for (int k = 0; k < COUNTS; k++)
            jw_i64(w, count_names[k], counts->of[k]);
        jw_close(w, '}');
    }
    jw_close(w, '}');
}

void logbook_stats(const struct sim *s, struct jw *w)
{
    const struct logbook *b = s->log;
    int64_t total = 0;
    char status[16];
    jw_open(w, "calls", '{');
    for (int e = 0; e < EP_COUNT; e++) {
        jw_open(w, endpoint_names[e], '{');
        int64_t sum = 0;
        for (int i = 0; i < STATUS_MAX; i++) {
            if (!b->calls[e][i])
                continue;
            snprintf(status, sizeof(status), "%d", i);
            jw_i64(w, status, b->calls[e][i]);
            sum += b->calls[e][i];
        }
        jw_i64(w, "all", sum);
        jw_close(w, '}');
        total += sum;
    }
    jw_close(w, '}');
    jw_i64(w, "total", total);
    jw_i64(w, "over_limit", b->over_limit);
    jw_i64(w, "after_429", b->after_429);
    put_athletes(s, w);
    outbox_stats(s, w);
}
