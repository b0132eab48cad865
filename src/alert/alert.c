#include "alert/internal.h"

#include <unistd.h>

const char *alert_name(enum alert_to to)
{
    static const char *const names[] = {"discord", "slack", "teams", "ntfy", "webhook"};
    _Static_assert(COUNT_OF(names) == ALERT_TOS, "a name each");
    return names[to];
}

int alert_by_name(struct span name, enum alert_to *ret)
{
    for (int to = 0; to < ALERT_TOS; to++) {
        if (span_is(name, alert_name((enum alert_to)to))) {
            *ret = (enum alert_to)to;
            return 0;
        }
    }
    return -1;
}

const char *alert_result_name(enum alert_result r)
{
    static const char *const names[] = {"sent", "failed", "refused", "dropped"};
    _Static_assert(COUNT_OF(names) == ALERT_RESULTS, "a name each");
    return names[r];
}

struct alert *alert_open(struct loop *l, struct db_pool *pool, struct fetch *fetch,
                         const struct alert_conf *conf)
{
    struct alert *a = mem_alloc(sizeof(*a));
    a->loop = l;
    a->pool = pool;
    a->fetch = fetch;
    a->conf = *conf;
    CHECK(fetch || !alert_has_any(a));
    if (!conf->instance || !*conf->instance) {
        bool named = gethostname(a->host, sizeof(a->host) - 1) == 0;
        a->conf.instance = named ? a->host : "waymark";
    }
    return a;
}

struct alert *alert_free(struct alert *a)
{
    mem_free(a);
    return NULL;
}

bool alert_has(const struct alert *a, enum alert_to to)
{
    return a->conf.url[to] && *a->conf.url[to];
}

bool alert_has_any(const struct alert *a)
{
    for (int to = 0; to < ALERT_TOS; to++) {
        if (alert_has(a, (enum alert_to)to)) {
            return true;
        }
    }
    return false;
}

void alert_kinds(struct alert *a, struct jobs_kind out[ALERT_KINDS])
{
    out[0] = (struct jobs_kind){.name = "alert", .start = alert__fan_start};
    out[1] = (struct jobs_kind){.name = "alert.send", .start = alert__send_start};
    out[2] = (struct jobs_kind){.name = "alert.watch", .start = alert__watch_start};
    for (size_t i = 0; i < ALERT_KINDS; i++) {
        out[i].batch_max = 1;
        out[i].ctx = a;
        out[i].timeout_ms = 2 * 60 * 1000;
    }
}

uint64_t alert_count(const struct alert *a, enum alert_to to, enum alert_result r)
{
    return a->count[to][r];
}
