/* What the flows that call Strava have in common. */
#include "ingest/internal.h"

#include <jansson.h>
#include <math.h>

/* An activity may appear long after its event, or be gone already. */
static const int64_t missing_ms[] = {5000, 30000, 120000, 600000, 3600000};
/* What is read may lag behind what was written. */
static const int64_t same_ms[] = {30000, 120000, 600000};

int64_t ingest__look_again_ms(bool missing, int64_t looks)
{
    const int64_t *ms = missing ? missing_ms : same_ms;
    int64_t n = missing ? (int64_t)COUNT_OF(missing_ms) : (int64_t)COUNT_OF(same_ms);
    return looks >= 0 && looks < n ? ms[looks] : 0;
}

/* ---- payloads ----------------------------------------------------------------------------------
 */

enum { PAYLOAD_MAX = 64 * 1024, PAYLOAD_DEPTH = 8 };

static json_t *read_payload(const char *payload, struct err *err)
{
    return json_read(span_of(payload), PAYLOAD_MAX, PAYLOAD_DEPTH, err);
}

int ingest__payload_i64(const char *payload, const char *key, int64_t *ret, struct err *err)
{
    json_t *root = read_payload(payload, err);
    const json_t *v = root ? json_object_get(root, key) : NULL;
    int rc = 0;
    if (json_is_integer(v)) {
        *ret = json_integer_value(v);
    } else {
        rc = err_set(err, ERR_DATA, ERR_BUG, "job payload %.100s has no number \"%s\"", payload,
                     key);
    }
    json_decref(root);
    return rc;
}

int64_t ingest__payload_opt(const char *payload, const char *key, int64_t otherwise)
{
    struct err err;
    json_t *root = read_payload(payload, &err);
    const json_t *v = root ? json_object_get(root, key) : NULL;
    int64_t ret = json_is_integer(v) ? json_integer_value(v) : otherwise;
    json_decref(root);
    return ret;
}

bool ingest__payload_true(const char *payload, const char *key)
{
    struct err err;
    json_t *root = read_payload(payload, &err);
    bool ret = root && json_is_true(json_object_get(root, key));
    json_decref(root);
    return ret;
}

const char *ingest__payload_text(const char *payload, const char *key, struct arena *a)
{
    struct err err;
    json_t *root = read_payload(payload, &err);
    const char *v = root ? json_string_value(json_object_get(root, key)) : NULL;
    const char *ret = v ? arena_strdup(a, v) : NULL;
    json_decref(root);
    return ret;
}

/* ---- failures ----------------------------------------------------------------------------------
 */

/* Three times longer each time: from 5 s on, eight attempts outlast an outage of an hour and a
 * half; from 2 s on, for what Strava may never be able to serve, half an hour. */
static int64_t patience_ms(int64_t first_ms, int attempt)
{
    int64_t ms = first_ms;
    for (int i = 1; i < attempt && ms < 3600000; i++) {
        ms *= 3;
    }
    return ms < 3600000 ? ms : 3600000;
}

bool ingest__is_last(struct flow *f, const struct jobs_batch *b, const struct err *why,
                     bool is_list)
{
    const struct jobs_job *j = &b->job[0];
    f->err = *why;
    if (f->cancelled || why->class == ERR_BUG || (why->domain == ERR_HTTP && why->code == 429)) {
        return false;
    }
    if (why->class == ERR_PERMANENT) {
        return true;
    }
    bool of_this = why->domain == ERR_DATA || (why->domain == ERR_HTTP && why->code == 500);
    if (why->retry_after_ms == 0) {
        f->err.retry_after_ms = patience_ms(of_this && !is_list ? 2000 : 5000, j->attempt);
    }
    return j->attempt >= j->max_attempts;
}

const char *ingest__outcome_text(const struct strava_call *c, struct arena *a)
{
    switch (c->outcome) {
    case STRAVA_OK:
        break;
    case STRAVA_NOT_FOUND:
        return "Strava has no such thing";
    case STRAVA_SCOPE:
        return "the athlete has not granted what this needs: connect again, with all boxes ticked";
    case STRAVA_REFUSED:
        return arena_printf(a, "Strava refuses this request (status %d)", c->status);
    case STRAVA_REAUTH:
        return "the athlete has to connect again";
    case STRAVA_UNKNOWN:
        return "the athlete is not connected";
    }
    return NULL;
}

bool ingest__is_conflict(const struct err *err)
{
    return strcmp(err->sqlstate, "40P01") == 0 || strcmp(err->sqlstate, "40001") == 0;
}

/* ---- activities as columns ---------------------------------------------------------------------
 */

enum { TEXTS = 6, NUMBERS = 10 };

/* Beyond the column, or beyond belief: unknown. */
static double within(double v, double limit)
{
    return fabs(v) <= limit ? v : NAN;
}

static double seconds(int64_t v)
{
    return v >= 0 && v <= INT32_MAX ? (double)v : NAN;
}

static void texts_of(const struct strava_activity *a, const char *out[TEXTS])
{
    out[0] = a->name;
    out[1] = a->type;
    out[2] = a->sport_type;
    out[3] = a->timezone;
    out[4] = a->visibility;
    out[5] = a->external_id;
}

static void numbers_of(const struct strava_activity *a, double out[NUMBERS])
{
    out[0] = within(a->distance_m, 1e9);
    out[1] = within(a->gain_m, 1e9);
    out[2] = within(a->elev_low_m, 1e6);
    out[3] = within(a->elev_high_m, 1e6);
    out[4] = seconds(a->moving_s);
    out[5] = seconds(a->elapsed_s);
    out[6] = a->has_start ? a->start_lat : NAN;
    out[7] = a->has_start ? a->start_lon : NAN;
    out[8] = a->has_end ? a->end_lat : NAN;
    out[9] = a->has_end ? a->end_lon : NAN;
}

void ingest__add_activities(struct db_unit *u, int64_t athlete_id, int64_t ticket, int64_t sync,
                            const struct strava_activity *v, size_t n)
{
    int64_t *id = arena_new_array(u->arena, int64_t, n + 1);
    int64_t *start = arena_new_array(u->arena, int64_t, n + 1);
    struct span *hash = arena_new_array(u->arena, struct span, n + 1);
    struct span *line = arena_new_array(u->arena, struct span, n + 1);
    const char **text[TEXTS];
    double *number[NUMBERS];
    for (size_t k = 0; k < TEXTS; k++) {
        text[k] = arena_new_array(u->arena, const char *, n + 1);
    }
    for (size_t k = 0; k < NUMBERS; k++) {
        number[k] = arena_new_array(u->arena, double, n + 1);
    }
    for (size_t i = 0; i < n; i++) {
        const char *texts[TEXTS];
        double numbers[NUMBERS];
        id[i] = v[i].id;
        start[i] = v[i].start_us;
        hash[i] = (struct span){(const char *)v[i].listed, sizeof(v[i].listed)};
        line[i] = v[i].summary.n > 0 ? v[i].summary : (struct span){0};
        texts_of(&v[i], texts);
        numbers_of(&v[i], numbers);
        for (size_t k = 0; k < TEXTS; k++) {
            text[k][i] = texts[k];
        }
        for (size_t k = 0; k < NUMBERS; k++) {
            number[k][i] = numbers[k];
        }
    }
    db_p_i64(u, athlete_id);
    db_p_i64(u, ticket);
    ingest__p_opt(u, sync, 0);
    db_p_i64_array(u, id, n);
    db_p_bytea_array(u, hash, n);
    for (size_t k = 0; k < TEXTS; k++) {
        db_p_text_array(u, text[k], n);
    }
    db_p_time_us_array(u, start, n);
    for (size_t k = 0; k < NUMBERS; k++) {
        db_p_f64_array(u, number[k], n);
    }
    db_p_bytea_array(u, line, n);
}

void ingest__p_opt(struct db_unit *u, int64_t v, int64_t none)
{
    if (v == none) {
        db_p_null(u);
    } else {
        db_p_i64(u, v);
    }
}
