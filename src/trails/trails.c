#include "trails/internal.h"

#include <jansson.h>

struct trails *trails_open(struct db_pool *pool, const struct trails_conf *conf)
{
    struct trails *t = mem_alloc(sizeof(*t));
    t->loop = db_pool_loop(pool);
    t->pool = pool;
    t->conf = *conf;
    t->cache = trails__cache_new(conf->route_cache_bytes);
    return t;
}

struct trails *trails_free(struct trails *t)
{
    if (t) {
        trails__cache_free(t->cache);
        mem_free(t);
    }
    return NULL;
}

void trails_kinds(struct trails *t, struct jobs_kind out[TRAILS_KINDS])
{
    /* A route of the longest kind, or a batch of the largest tracks, takes seconds. */
    const int64_t timeout_ms = 15 * 60 * 1000;
    out[0] = (struct jobs_kind){.name = "route", .batch_max = 1, .start = trails__route_start};
    out[1] = (struct jobs_kind){
        .name = "match", .batch_max = t->conf.batch_size, .start = trails__match_start};
    out[2] = (struct jobs_kind){.name = "page", .batch_max = 1, .start = trails__page_start};
    out[3] = (struct jobs_kind){.name = "stats", .batch_max = 100, .start = trails__stats_start};
    for (size_t i = 0; i < TRAILS_KINDS; i++) {
        out[i].ctx = t;
        out[i].timeout_ms = timeout_ms;
    }
}

static json_t *payload_value(const char *payload, const char *key, json_t **root, struct err *err)
{
    *root = json_read(span_of(payload), 64 * 1024, 8, err);
    json_t *v = *root ? json_object_get(*root, key) : NULL;
    if (!v) {
        (void)err_set(err, ERR_DATA, ERR_BUG, "job payload %.100s lacks \"%s\"", payload, key);
    }
    return v;
}

int trails__payload_i64(const char *payload, const char *key, int64_t *ret, struct err *err)
{
    json_t *root;
    json_t *v = payload_value(payload, key, &root, err);
    int rc = json_is_integer(v) ? 0 : -1;
    if (rc == 0) {
        *ret = json_integer_value(v);
    } else if (v) {
        (void)err_set(err, ERR_DATA, ERR_BUG, "job payload %.100s: \"%s\" is not an integer",
                      payload, key);
    }
    json_decref(root);
    return rc;
}

int trails__payload_text(const char *payload, const char *key, struct arena *a, char **ret,
                         struct err *err)
{
    json_t *root;
    json_t *v = payload_value(payload, key, &root, err);
    int rc = json_is_string(v) ? 0 : -1;
    if (rc == 0) {
        *ret = arena_strdup(a, json_string_value(v));
    } else if (v) {
        (void)err_set(err, ERR_DATA, ERR_BUG, "job payload %.100s: \"%s\" is not a string", payload,
                      key);
    }
    json_decref(root);
    return rc;
}

/* Serialisation failures, deadlocks, and our own "read again". */
bool trails__try_again(const struct err *err)
{
    return strcmp(err->sqlstate, "40001") == 0 || strcmp(err->sqlstate, "40P01") == 0 ||
           strcmp(err->sqlstate, "WM002") == 0;
}

static int run_prepare(struct work *w, struct err *err)
{
    return trails__prepare(&container_of(w, struct trails_prepare_work, work)->item, err);
}

void trails__prepare_start(struct trails_prepare_work *w, struct loop *l)
{
    work_start(&w->work, l, run_prepare);
}

static int run_match(struct work *w, struct err *err)
{
    return trails__match(&container_of(w, struct trails_match_work, work)->item, err);
}

void trails__match_work_start(struct trails_match_work *w, struct loop *l)
{
    work_start(&w->work, l, run_match);
}
