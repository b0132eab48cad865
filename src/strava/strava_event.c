/* What a push event says. Fields: developers.strava.com/docs/webhooks. Nothing in it is signed: it
 * says no more than where to look. Any thread. */
#include <jansson.h>

#include "strava/strava.h"
#include "strava/work.h"

enum { EVENT_BYTES = 16 * 1024, EVENT_DEPTH = 8 };

/* A number, or the same as a string, as the oldest samples of subscription_id have it. */
static int number_of(const json_t *event, const char *key, int64_t min, int64_t *ret,
                     struct err *err)
{
    struct span text = strava__json_text(event, key, 32);
    if (strava__json_i64(event, key, min, ret) == 0 ||
        (text.p && span_to_i64(text, min, INT64_MAX, ret) == 0)) {
        return 0;
    }
    return err_set(err, ERR_DATA, ERR_PERMANENT, "the event has no whole number as %s", key);
}

static int kind_of(const json_t *event, struct strava_event *ret, struct err *err)
{
    struct span type = strava__json_text(event, "object_type", 32);
    struct span aspect = strava__json_text(event, "aspect_type", 32);
    static const char *const aspects[] = {
        [STRAVA_CREATE] = "create", [STRAVA_UPDATE] = "update", [STRAVA_DELETE] = "delete"};
    ret->is_athlete = span_is(type, "athlete");
    if (!ret->is_athlete && !span_is(type, "activity")) {
        return err_set(err, ERR_DATA, ERR_PERMANENT,
                       "the event's object_type is neither activity nor athlete");
    }
    for (unsigned i = STRAVA_CREATE; i < COUNT_OF(aspects); i++) {
        if (span_is(aspect, aspects[i])) {
            ret->aspect = i;
            return 0;
        }
    }
    return err_set(err, ERR_DATA, ERR_PERMANENT,
                   "the event's aspect_type is neither create nor update nor delete");
}

static int read_event(const json_t *event, struct strava_event *ret, struct err *err)
{
    if (!json_is_object(event)) {
        return err_set(err, ERR_DATA, ERR_PERMANENT, "the event is no JSON object");
    }
    if (kind_of(event, ret, err) != 0 ||
        number_of(event, "object_id", 1, &ret->object_id, err) != 0 ||
        number_of(event, "owner_id", 1, &ret->owner_id, err) != 0 ||
        number_of(event, "subscription_id", 0, &ret->subscription_id, err) != 0 ||
        number_of(event, "event_time", 0, &ret->time_s, err) != 0) {
        return -1;
    }
    const json_t *updates = json_object_get(event, "updates");
    ret->withdrawn =
        ret->is_athlete && (json_is_false(json_object_get(updates, "authorized")) ||
                            span_is(strava__json_text(updates, "authorized", 8), "false"));
    return 0;
}

int strava_parse_event(struct span body, struct strava_event *ret, struct err *err)
{
    struct buf copy = {0};
    *ret = (struct strava_event){.is_athlete = false};
    if (body.n > EVENT_BYTES) {
        return err_set(err, ERR_DATA, ERR_PERMANENT,
                       "the event of %zu bytes is larger than the %d allowed", body.n, EVENT_BYTES);
    }
    buf_put(&copy, body.p, body.n);
    json_t *event = strava__json(&copy, EVENT_BYTES, EVENT_DEPTH, NULL);
    /* jansson's own words may repeat some of the text. */
    int rc = event ? read_event(event, ret, err)
                   : err_set(err, ERR_DATA, ERR_PERMANENT, "the event is no valid JSON");
    json_decref(event);
    buf_done(&copy);
    return rc;
}
