/* New jobs, in the transaction of whoever makes them. */
#include "jobs/internal.h"

struct add_columns {
    const char **queue, **kind, **payload, **lane, **ukey;
    int64_t *prio, *most, *tenant, *halt, *delay_ms, *timeout_s, *parent;
};

static struct add_columns columns_for(struct arena *a, size_t n)
{
    return (struct add_columns){
        .queue = arena_new_array(a, const char *, n + 1),
        .kind = arena_new_array(a, const char *, n + 1),
        .payload = arena_new_array(a, const char *, n + 1),
        .lane = arena_new_array(a, const char *, n + 1),
        .ukey = arena_new_array(a, const char *, n + 1),
        .prio = arena_new_array(a, int64_t, n + 1),
        .most = arena_new_array(a, int64_t, n + 1),
        .tenant = arena_new_array(a, int64_t, n + 1),
        .halt = arena_new_array(a, int64_t, n + 1),
        .delay_ms = arena_new_array(a, int64_t, n + 1),
        .timeout_s = arena_new_array(a, int64_t, n + 1),
        .parent = arena_new_array(a, int64_t, n + 1),
    };
}

void jobs_add(struct db_unit *u, const char *queue, const struct jobs_new *job, size_t n)
{
    struct add_columns c = columns_for(u->arena, n);
    for (size_t i = 0; i < n; i++) {
        const struct jobs_new *j = &job[i];
        c.queue[i] = j->queue ? j->queue : queue;
        c.kind[i] = j->kind;
        c.payload[i] = j->payload;
        c.lane[i] = j->lane;
        c.ukey[i] = j->ukey;
        c.prio[i] = j->prio;
        c.most[i] = j->max_attempts;
        c.tenant[i] = j->tenant;
        c.halt[i] = j->halt;
        c.delay_ms[i] = j->delay_ms;
        c.timeout_s[i] = j->timeout_s;
        c.parent[i] = j->parent;
    }
    db_add(u, &SQL_jobs_add);
    db_p_text_array(u, c.queue, n);
    db_p_text_array(u, c.kind, n);
    db_p_text_array(u, c.payload, n);
    db_p_i64_array(u, c.prio, n);
    db_p_i64_array(u, c.most, n);
    db_p_i64_array(u, c.tenant, n);
    db_p_text_array(u, c.lane, n);
    db_p_text_array(u, c.ukey, n);
    db_p_i64_array(u, c.halt, n);
    db_p_i64_array(u, c.delay_ms, n);
    db_p_i64_array(u, c.timeout_s, n);
    db_p_i64_array(u, c.parent, n);
}
