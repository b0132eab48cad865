/* Numbers per host. */
#include "fetch/internal.h"

const int64_t fetch_bucket_ms[FETCH_BUCKETS] = {10,   25,   50,   100,   250,   500,
                                                1000, 2500, 5000, 10000, 30000, 60000};

static struct fetch_stats *named(struct fetch__host *h, const char *name)
{
    snprintf(h->name, sizeof(h->name), "%s", name);
    h->stats.host = h->name;
    return &h->stats;
}

struct fetch_stats *fetch__stats_of(struct fetch__hosts *h, const char *host)
{
    for (unsigned i = 0; i < h->n; i++) {
        if (strcmp(h->host[i].name, host) == 0) {
            return &h->host[i].stats;
        }
    }
    if (h->n < FETCH_HOSTS) {
        return named(&h->host[h->n++], host);
    }
    h->other = true;
    return named(&h->host[FETCH_HOSTS], "other");
}

void fetch__count(const struct fetch_req *r, uint64_t bytes_in)
{
    struct fetch_stats *s = r->stats;
    unsigned i = 0;
    s->bytes_in += bytes_in;
    if (r->op.failed) {
        s->failures[r->failure]++;
        return;
    }
    s->answers[r->status < 600 ? r->status / 100 : 0]++;
    while (i < FETCH_BUCKETS && r->elapsed_ms > fetch_bucket_ms[i]) {
        i++;
    }
    s->latency[i]++;
    s->latency_sum_ms += r->elapsed_ms;
}

void fetch_hosts(const struct fetch *f, void (*fn)(void *ctx, const struct fetch_stats *s),
                 void *ctx)
{
    for (unsigned i = 0; i < f->hosts.n; i++) {
        fn(ctx, &f->hosts.host[i].stats);
    }
    if (f->hosts.other) {
        fn(ctx, &f->hosts.host[FETCH_HOSTS].stats);
    }
}
