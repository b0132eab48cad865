/* Push events. Not signed, so nothing in them is believed but that somebody should look. */
#include <jansson.h>

#include "strava/strava.h"

enum { EVENT_BYTES = 16 * 1024, EVENT_DEPTH = 8 };

static int wrong(struct err *err, const char *key, const char *want)
{
    return err_set(err, ERR_DATA, ERR_PERMANENT, "the event's %s is not %s", key, want);
}

/* As a number, or as one in quotes. */
static int read_i64(const json_t *root, const char *key, int64_t *ret, struct err *err)
{
    const json_t *v = json_object_get(root, key);
    if (json_is_integer(v)) {
        *ret = json_integer_value(v);
        return 0;
    }
    struct span text = {json_string_value(v), json_string_length(v)};
    return json_is_string(v) && span_to_i64(text, INT64_MIN, INT64_MAX, ret) == 0
               ? 0
               : wrong(err, key, "a whole number");
}

static bool is_word(const json_t *v, const char *word)
{
    return json_is_string(v) &&
           span_is((struct span){json_string_value(v), json_string_length(v)}, word);
}

static int read_what(const json_t *root, struct strava_event *ret, struct err *err)
{
    static const char *const aspect[] = {
        [STRAVA_CREATE] = "create", [STRAVA_UPDATE] = "update", [STRAVA_DELETE] = "delete"};
    const json_t *type = json_object_get(root, "object_type");
    ret->is_athlete = is_word(type, "athlete");
    if (!ret->is_athlete && !is_word(type, "activity")) {
        return wrong(err, "object_type", "activity or athlete");
    }
    for (int i = STRAVA_CREATE; i <= STRAVA_DELETE; i++) {
        if (is_word(json_object_get(root, "aspect_type"), aspect[i])) {
            ret->aspect = i;
            return 0;
        }
    }
    return wrong(err, "aspect_type", "create, update or delete");
}

static int read_event(const json_t *root, struct strava_event *ret, struct err *err)
{
    if (!json_is_object(root)) {
        return err_set(err, ERR_DATA, ERR_PERMANENT, "the event is not an object");
    }
    const json_t *said = json_object_get(json_object_get(root, "updates"), "authorized");
    ret->withdrawn = json_is_false(said) || is_word(said, "false");
    if (read_what(root, ret, err) != 0 || read_i64(root, "object_id", &ret->object_id, err) != 0 ||
        read_i64(root, "owner_id", &ret->owner_id, err) != 0 ||
        read_i64(root, "subscription_id", &ret->subscription_id, err) != 0 ||
        read_i64(root, "event_time", &ret->time_s, err) != 0) {
        return -1;
    }
    return ret->object_id > 0 && ret->owner_id > 0
               ? 0
               : err_set(err, ERR_DATA, ERR_PERMANENT, "the event's ids are not positive");
}

int strava_parse_event(struct span body, struct strava_event *ret, struct err *err)
{
    *ret = (struct strava_event){0};
    json_t *root = json_read(body, EVENT_BYTES, EVENT_DEPTH, err);
    int rc = root ? read_event(root, ret, err) : -1;
    json_decref(root);
    return rc;
}
