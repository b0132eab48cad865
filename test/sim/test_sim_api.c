/* The simulator's API: lists, details, streams, who may see what. */
#include <math.h>
#include <time.h>
#include <zlib.h>

#include "sim/common.h"

static json_t *list(struct sim *s, const char *token, const char *query)
{
    struct http_answer a = sim_call(s, token, it_format("/api/v3/athlete/activities?%s", query));
    http_is(a, 200);
    return sim_json(a);
}

static struct sim *start(const char *preset)
{
    return sim_start(IT_LIST(NOON, "--preset", preset, "--limits", "100000,100000/100000,100000"));
}

/* Order of start dates: 1 rising, -1 falling. */
static void expect_order(json_t *page, int order)
{
    assert_true(json_array_size(page) > 1);
    for (size_t i = 1; i < json_array_size(page); i++) {
        const char *before = sim_str(page, it_format("%zu.start_date", i - 1));
        const char *after = sim_str(page, it_format("%zu.start_date", i));
        if (strcmp(before, after) * order > 0)
            fail_msg("%s before %s", before, after);
    }
}

static int64_t epoch_of(const char *iso)
{
    struct tm tm = {0};
    assert_non_null(strptime(iso, "%Y-%m-%dT%H:%M:%SZ", &tm));
    return (int64_t)timegm(&tm);
}

/* ---- lists --------------------------------------------------------------------------------- */

static void the_order_depends_on_the_filter(void **state)
{
    (void)state;
    struct sim *s = start("demo");
    const char *token = token_of(s, ALL);
    expect_order(list(s, token, ""), -1);
    expect_order(list(s, token, "after=1"), 1);
    expect_order(list(s, token, "after=1&before=1900000000"), -1);
    expect_order(list(s, token, "before=1900000000"), -1);
    assert_int_equal(json_array_size(list(s, token, "")), 30);
    assert_int_equal(json_array_size(list(s, token, "per_page=200")), 150);
    assert_int_equal(json_array_size(list(s, token, "per_page=100&page=2")), 50);
    assert_int_equal(json_array_size(list(s, token, "per_page=100&page=3")), 0);
    assert_int_equal(json_array_size(list(s, token, "per_page=200&after=1")), 150);
}

static void bounds_are_of_the_start_and_exclusive(void **state)
{
    (void)state;
    struct sim *s = start("demo");
    const char *token = token_of(s, ALL);
    json_t *all = list(s, token, "per_page=200");
    int64_t start = epoch_of(sim_str(all, "70.start_date"));
    int64_t id = sim_i64(all, "70.id");
    json_t *after = list(s, token, it_format("per_page=200&after=%lld", (long long)start));
    json_t *before = list(s, token, it_format("per_page=200&before=%lld", (long long)start));
    assert_int_equal(json_array_size(after), 70);
    assert_int_equal(json_array_size(before), 79);
    after = list(s, token, it_format("per_page=200&after=%lld", (long long)start - 1));
    assert_int_equal(sim_i64(after, "0.id"), id);
    before = list(s, token, it_format("per_page=200&before=%lld", (long long)start + 1));
    assert_int_equal(sim_i64(before, "0.id"), id);
    sim_do(s, "settings", "{\"bounds\":\"inclusive\"}");
    after = list(s, token, it_format("per_page=200&after=%lld", (long long)start));
    assert_int_equal(json_array_size(after), 71);
    before = list(s, token, it_format("per_page=200&before=%lld", (long long)start));
    assert_int_equal(json_array_size(before), 80);
}

static void wrong_parameters_are_400(void **state)
{
    (void)state;
    struct sim *s = start("tiny");
    const char *token = token_of(s, ALL);
    static const struct {
        const char *query, *field, *code;
    } wrong[] = {
        {"per_page=201", "per_page", "invalid"},
        {"per_page=0", "per_page", "invalid"},
        {"page=0", "page", "invalid"},
        {"page=x", "page", "invalid"},
        {"after=1782907200000", "after", "future"}, /* milliseconds */
        {"after=1782993600", "after", "future"},
        {"after=2026-01-01", "after", "invalid"},
        {"before=x", "before", "invalid"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct http_answer a =
            sim_call(s, token, it_format("/athlete/activities?%s", wrong[i].query));
        expect_fault(a, 400, "Application", wrong[i].field, wrong[i].code);
    }
    assert_int_equal(json_array_size(list(s, token, "before=1782907200000&unknown=1")), 5);
}

static void big_and_ties_page_without_loss(void **state)
{
    (void)state;
    struct sim *s = start("big");
    const char *token = token_of(s, ALL);
    json_t *ids = json_object();
    int pages = 0;
    for (;; pages++) {
        json_t *page = list(s, token, it_format("per_page=200&page=%d", pages + 1));
        if (json_array_size(page) == 0)
            break;
        for (size_t i = 0; i < json_array_size(page); i++)
            json_object_set_new(ids,
                                it_format("%lld", (long long)sim_i64(page, it_format("%zu.id", i))),
                                json_true());
    }
    assert_int_equal(pages, 13);
    assert_int_equal(json_object_size(ids), 2500);
    json_decref(ids);
    s = start("ties");
    token = token_of(s, ALL);
    json_t *page = list(s, token, "per_page=200&after=1");
    int64_t start_s = epoch_of(sim_str(page, "0.start_date"));
    assert_int_equal(epoch_of(sim_str(page, "199.start_date")), start_s);
    assert_int_equal(json_array_size(list(s, token, "per_page=200&after=1&page=2")), 50);
    assert_int_equal(
        json_array_size(list(s, token, it_format("per_page=200&after=%lld", (long long)start_s))),
        0);
}

/* ---- who may see what ---------------------------------------------------------------------- */

static void scopes_decide_what_is_seen(void **state)
{
    (void)state;
    struct sim *s = start("demo");
    const char *token = token_of(s, ALL);
    json_t *all = list(s, token, "per_page=200");
    int64_t hidden = 0;
    for (size_t i = 0; i < 150; i++) {
        bool private = json_is_true(sim_at(all, it_format("%zu.private", i)));
        const char *seen = sim_str(all, it_format("%zu.visibility", i));
        assert_int_equal(private, strcmp(seen, "only_me") == 0);
        if (private)
            hidden = sim_i64(all, it_format("%zu.id", i));
    }
    assert_int_equal(json_array_size(sim_at(sim_truth(s, 9001, NULL), "activities")), 150);
    const char *path = it_format("/activities/%lld", (long long)hidden);
    http_is(sim_call(s, token, path), 200);
    sim_do(s, "athlete/9001/narrow_scope", "{\"scope\":\"" READ "\"}");
    json_t *some = list(s, token, "per_page=200");
    assert_int_equal(json_array_size(some), 142);
    assert_int_equal(json_array_size(sim_at(sim_truth(s, 9001, NULL), "activities")), 142);
    expect_fault(sim_call(s, token, path), 404, "Activity", "", "not found");
    sim_do(s, "athlete/9001/narrow_scope", "{\"scope\":\"read\"}");
    expect_fault(sim_call(s, token, "/athlete/activities"), 401, "AccessToken",
                 "activity:read_permission", "missing");
    expect_fault(sim_call(s, token, path), 401, "AccessToken", "activity:read_permission",
                 "missing");
    http_is(sim_call(s, token, "/athlete"), 200);
    assert_int_equal(json_array_size(sim_at(sim_truth(s, 9001, NULL), "activities")), 0);
}

static void strangers_and_what_is_not_there(void **state)
{
    (void)state;
    struct sim *s = sim_start(IT_LIST(NOON, "--athletes", "2"));
    const char *token = token_of(s, ALL);
    int64_t own = sim_i64(sim_truth(s, 9001, ALL), "activities.0.id");
    int64_t other = sim_i64(sim_truth(s, 9002, ALL), "activities.0.id");
    http_is(sim_call(s, token, it_format("/api/v3/activities/%lld", (long long)own)), 200);
    http_is(sim_call(s, token, it_format("/api/v3/activities/%lld", (long long)other)), 404);
    expect_fault(sim_call(s, token, "/activities/12345"), 404, "Activity", "id", "invalid");
    sim_do(s, "activity", "{\"do\":\"delete\",\"id\":%lld}", (long long)own);
    expect_fault(sim_call(s, token, it_format("/activities/%lld", (long long)own)), 404, "Activity",
                 "id", "invalid");
    http_is(sim_call(s, token, "/api/v3/segments/explore"), 404);
    http_is(sim_call(s, token, "/activities/abc"), 404);
    expect_fault(sim_call(s, "0123456789012345678901234567890123456789", "/athlete"), 401,
                 "Athlete", "access_token", "invalid");
    /* Not in the query. */
    struct http_answer a =
        sim_ask(s, "GET", it_format("/athlete?access_token=%s", token), NULL, NULL);
    http_is(a, 401);
    assert_string_equal(http_field(&a, "X-Ratelimit-Usage"), "6,6");
}

/* ---- details ------------------------------------------------------------------------------- */

static int decode(const char *p, double at[][2], int room)
{
    int64_t v[2] = {0, 0};
    int n = 0;
    while (*p) {
        for (int axis = 0; axis < 2; axis++) {
            int64_t bits = 0;
            int shift = 0, c;
            do {
                c = *p++ - 63;
                bits |= (int64_t)(c & 31) << shift;
                shift += 5;
            } while (c & 32);
            v[axis] += bits & 1 ? ~(bits >> 1) : bits >> 1;
        }
        assert_true(n < room);
        at[n][0] = (double)v[0] / 1e5;
        at[n++][1] = (double)v[1] / 1e5;
    }
    return n;
}

static double at2(json_t *latlng, size_t i, size_t axis)
{
    return json_number_value(json_array_get(json_array_get(latlng, i), axis));
}

/* Every point of the polyline is one of the stream's, in order. */
static int expect_on_stream(const char *polyline, json_t *latlng)
{
    static double at[5000][2];
    int n = decode(polyline, at, 5000);
    size_t k = 0;
    for (int i = 0; i < n; i++) {
        while (k < json_array_size(latlng) && (fabs(at2(latlng, k, 0) - at[i][0]) > 0.0000051 ||
                                               fabs(at2(latlng, k, 1) - at[i][1]) > 0.0000051))
            k++;
        if (k == json_array_size(latlng))
            fail_msg("point %d (%f %f) is not on the stream", i, at[i][0], at[i][1]);
    }
    return n;
}

static void a_detail_has_more_than_a_summary(void **state)
{
    (void)state;
    struct sim *s = start("tiny");
    const char *token = token_of(s, ALL);
    json_t *summary = list(s, token, "after=1&per_page=1");
    int64_t id = sim_i64(summary, "0.id");
    assert_true(id > INT64_C(4294967296));
    static const char *const only[] = {"description",     "calories",    "laps",
                                       "segment_efforts", "embed_token", "gear"};
    json_t *detail = sim_json(sim_call(s, token, it_format("/activities/%lld", (long long)id)));
    for (size_t i = 0; i < sizeof(only) / sizeof(only[0]); i++) {
        assert_null(json_object_get(sim_at(summary, "0"), only[i]));
        assert_non_null(json_object_get(detail, only[i]));
    }
    assert_int_equal(sim_i64(summary, "0.resource_state"), 2);
    assert_int_equal(sim_i64(detail, "resource_state"), 3);
    assert_null(json_object_get(sim_at(summary, "0.map"), "polyline"));
    assert_string_equal(sim_str(summary, "0.map.summary_polyline"),
                        sim_str(detail, "map.summary_polyline"));
    json_t *streams = sim_json(sim_call(
        s, token,
        it_format("/activities/%lld/streams?keys=latlng&key_by_type=true", (long long)id)));
    json_t *latlng = sim_at(streams, "latlng.data");
    int few = expect_on_stream(sim_str(detail, "map.summary_polyline"), latlng);
    int more = expect_on_stream(sim_str(detail, "map.polyline"), latlng);
    assert_true(few >= 2 && more > few && (size_t)more < json_array_size(latlng));
    json_t *truth = sim_at(sim_truth(s, 9001, ALL), "activities.0");
    assert_string_equal(sim_str(truth, "polyline"), sim_str(detail, "map.polyline"));
    assert_int_equal(sim_i64(truth, "latlng_length"), json_array_size(latlng));
}

static void streams_have_two_shapes(void **state)
{
    (void)state;
    struct sim *s = start("tiny");
    const char *token = token_of(s, ALL);
    json_t *truth = sim_truth(s, 9001, ALL);
    const char *path =
        it_format("/api/v3/activities/%lld/streams", (long long)sim_i64(truth, "activities.0.id"));
    json_t *keyed = sim_json(sim_call(
        s, token, it_format("%s?keys=time,latlng,altitude,nonsense&key_by_type=true", path)));
    json_t *array = sim_json(sim_call(s, token, it_format("%s?keys=time,latlng,altitude", path)));
    assert_int_equal(json_object_size(keyed), 4); /* the distance comes unasked */
    assert_int_equal(json_array_size(array), 4);
    for (size_t i = 0; i < 4; i++) {
        json_t *one = json_array_get(array, i),
               *same = json_object_get(keyed, sim_str(one, "type"));
        assert_true(json_equal(json_object_get(one, "data"), json_object_get(same, "data")));
        assert_int_equal(json_array_size(sim_at(same, "data")), sim_i64(same, "original_size"));
        assert_int_equal(sim_i64(same, "original_size"),
                         sim_i64(truth, "activities.0.stream_length"));
        assert_string_equal(sim_str(same, "resolution"), "high");
    }
    json_t *times = sim_at(keyed, "time.data");
    for (size_t i = 1; i < json_array_size(times); i++)
        assert_true(json_integer_value(json_array_get(times, i)) >=
                    json_integer_value(json_array_get(times, i - 1)));
    json_t *bare = sim_json(sim_call(s, token, path));
    assert_int_equal(json_array_size(bare), 1);
    assert_string_equal(sim_str(bare, "0.type"), "distance");
    json_t *low = sim_json(
        sim_call(s, token, it_format("%s?keys=latlng&resolution=low&key_by_type=1", path)));
    assert_int_equal(json_array_size(sim_at(low, "latlng.data")), 100);
    assert_true(sim_i64(low, "latlng.original_size") > 100);
}

static void manual_has_no_streams_and_indoors_no_place(void **state)
{
    (void)state;
    struct sim *s = start("none");
    const char *token = token_of(s, ALL);
    int64_t manual = sim_i64(sim_do(s, "activity",
                                    "{\"do\":\"create\",\"athlete\":9001,\"manual\":true,\"sport_"
                                    "type\":\"Yoga\",\"moving_time\":3600}"),
                             "id");
    int64_t indoors = sim_i64(sim_do(s, "activity",
                                     "{\"do\":\"create\",\"athlete\":9001,\"trainer\":true,"
                                     "\"distance\":20000.5,\"moving_time\":2400}"),
                              "id");
    struct http_answer a = sim_call(
        s, token, it_format("/activities/%lld/streams?keys=latlng,time", (long long)manual));
    http_is(a, 404);
    http_has(a, "{\"message\":\"Resource Not Found\",\"errors\":[]}");
    json_t *streams =
        sim_json(sim_call(s, token,
                          it_format("/activities/%lld/streams?keys=latlng,time&key_by_type=true",
                                    (long long)indoors)));
    assert_null(json_object_get(streams, "latlng"));
    assert_non_null(json_object_get(streams, "time"));
    json_t *detail =
        sim_json(sim_call(s, token, it_format("/activities/%lld", (long long)indoors)));
    assert_string_equal(sim_str(detail, "map.polyline"), "");
    assert_int_equal(json_array_size(sim_at(detail, "start_latlng")), 0);
    assert_true(fabs(sim_f64(detail, "distance") - 20000.5) < 1e-9);
    detail = sim_json(sim_call(s, token, it_format("/activities/%lld", (long long)manual)));
    assert_true(json_is_null(sim_at(detail, "upload_id")));
    assert_null(json_object_get(detail, "upload_id_str"));
}

static void hidden_places_stay_hidden(void **state)
{
    (void)state;
    struct sim *s = start("none");
    const char *token = token_of(s, ALL);
    const char *zone = it_format(
        "/activities/%lld/streams?keys=latlng&key_by_type=true",
        (long long)sim_i64(
            sim_do(
                s, "activity",
                "{\"do\":\"create\",\"athlete\":9001,\"trail\":[1000,4000],\"privacy_zone\":true}"),
            "id"));
    int64_t hidden = sim_i64(sim_do(s, "activity",
                                    "{\"do\":\"create\",\"athlete\":9001,\"hide_map\":true,"
                                    "\"hidden_start\":true,\"start\":\"2026-06-30T18:00:00Z\"}"),
                             "id");
    size_t whole = json_array_size(sim_at(sim_json(sim_call(s, token, zone)), "latlng.data"));
    sim_do(s, "athlete/9001/narrow_scope", "{\"scope\":\"" READ "\"}");
    size_t part = json_array_size(sim_at(sim_json(sim_call(s, token, zone)), "latlng.data"));
    assert_in_range(whole - part, 30, 80); /* 400 m of it */
    json_t *detail = sim_json(sim_call(s, token, it_format("/activities/%lld", (long long)hidden)));
    assert_string_equal(sim_str(detail, "map.polyline"), "");
    assert_string_equal(sim_str(detail, "start_date"), "2026-06-30T00:00:01Z");
    assert_string_equal(sim_str(detail, "start_date_local"), "2026-06-30T00:00:01Z");
}

static void local_time_has_a_false_z(void **state)
{
    (void)state;
    struct sim *s = start("none");
    const char *token = token_of(s, ALL);
    static const struct {
        const char *start, *local;
        double offset;
    } hours[] = {
        {"2026-01-15T00:30:00Z", "2026-01-14T23:30:00Z", -3600},
        {"2026-03-29T00:59:59Z", "2026-03-28T23:59:59Z", -3600},
        {"2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z", 0},
        {"2025-10-26T00:59:59Z", "2025-10-26T00:59:59Z", 0},
        {"2025-10-26T01:00:00Z", "2025-10-26T00:00:00Z", -3600},
    };
    for (size_t i = 0; i < sizeof(hours) / sizeof(hours[0]); i++) {
        int64_t id =
            sim_i64(sim_do(s, "activity", "{\"do\":\"create\",\"athlete\":9001,\"start\":\"%s\"}",
                           hours[i].start),
                    "id");
        json_t *detail = sim_json(sim_call(s, token, it_format("/activities/%lld", (long long)id)));
        assert_string_equal(sim_str(detail, "start_date"), hours[i].start);
        assert_string_equal(sim_str(detail, "start_date_local"), hours[i].local);
        assert_true(sim_f64(detail, "utc_offset") == hours[i].offset);
        assert_string_equal(sim_str(detail, "timezone"), "(GMT-01:00) Atlantic/Azores");
    }
}

/* ---- oddities ------------------------------------------------------------------------------ */

static void the_edge_preset_is_odd(void **state)
{
    (void)state;
    static const char *const has[] = {
        "\"name\":\"Tom \\u0026 Jerry \\u003cchase\\u003e\"",
        "\"name\":\"\\\"Quoted\\\" and",
        "\"name\":\"\"",
        "\xf0\x9f\x8c\x84",
        "\"summary_polyline\":null",
        "\"summary_polyline\":\"\"",
        "\"start_latlng\":null",
        "\"start_latlng\":[]",
        "\"moving_time\":0,",
        "\"distance\":0.0,",
        "\"utc_offset\":0,",
        "\"carbon_footprint\":{",
        "UnderwaterHockey",
        "\"elapsed_time\":172800",
        "\"upload_id\":null",
        "T00:00:01Z",
        "\"elev_low\":-",
        "\"total_elevation_gain\":0,",
        "\"max_speed\":0,",
        "\"gear_id\":null",
    };
    struct sim *s = start("edge");
    const char *token = token_of(s, ALL);
    struct http_answer a = sim_call(s, token, "/athlete/activities?per_page=200&after=1");
    for (size_t i = 0; i < sizeof(has) / sizeof(has[0]); i++)
        http_has(a, has[i]);
    http_lacks(a, "\\u0000");
    json_t *page = sim_json(a);
    unsigned no_polyline = 0, no_visibility = 0;
    int64_t big = 0;
    for (size_t i = 0; i < json_array_size(page); i++) {
        json_t *one = json_array_get(page, i);
        no_polyline += json_object_get(sim_at(one, "map"), "summary_polyline") == NULL;
        no_visibility += json_object_get(one, "visibility") == NULL;
        if (strstr(sim_str(one, "name"), "2^53") != NULL)
            big = sim_i64(one, "id");
    }
    assert_int_equal(no_polyline, 1);
    assert_int_equal(no_visibility, 1);
    a = sim_call(s, token, it_format("/activities/%lld", (long long)big));
    http_has(a, "2693271924383944911");
    http_has(a, "2693271924383944913");
    int64_t odd = sim_i64(
        sim_do(s, "activity",
               "{\"do\":\"create\",\"athlete\":9001,\"name\":\"x\",\"quirks\":[\"nul_name\"]}"),
        "id");
    http_has(sim_call(s, token, it_format("/activities/%lld", (long long)odd)),
             "\"name\":\"x\\u0000tail\"");
}

/* ---- the wire ------------------------------------------------------------------------------ */

static void answers_are_chunked_and_gzip_if_asked(void **state)
{
    (void)state;
    struct sim *s = start("demo");
    sim_do(s, "clock", "{\"set\":\"2027-02-03T04:05:06Z\",\"freeze\":true}");
    const char *bearer = it_format("Authorization: Bearer %s\r\n", token_of(s, ALL));
    struct http_answer plain = sim_ask(s, "GET", "/athlete/activities?per_page=50", bearer, NULL);
    assert_string_equal(http_field(&plain, "Transfer-Encoding"), "chunked");
    assert_null(http_field(&plain, "Content-Length"));
    assert_string_equal(http_field(&plain, "Content-Type"), "application/json; charset=utf-8");
    assert_string_equal(http_field(&plain, "Date"), "Wed, 03 Feb 2027 04:05:06 GMT");
    assert_int_equal(strncmp(http_field(&plain, "ETag"), "W/\"", 3), 0);
    struct http_answer packed =
        sim_ask(s, "GET", "/athlete/activities?per_page=50",
                it_format("%sAccept-Encoding: gzip, deflate\r\n", bearer), NULL);
    assert_string_equal(http_field(&packed, "Content-Encoding"), "gzip");
    char *out = it_keep(malloc(plain.n + 1));
    z_stream z = {.next_in = (Bytef *)(uintptr_t)packed.body,
                  .avail_in = (uInt)packed.n,
                  .next_out = (Bytef *)out,
                  .avail_out = (uInt)plain.n + 1};
    assert_int_equal(inflateInit2(&z, 31), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    inflateEnd(&z);
    assert_int_equal(z.total_out, plain.n);
    assert_memory_equal(out, plain.body, plain.n);
    sim_do(s, "settings", "{\"chunked\":false}");
    plain = sim_ask(s, "GET", "/athlete", bearer, NULL);
    assert_int_equal(strtoul(http_field(&plain, "Content-Length"), NULL, 10), plain.n);
}

static void connections_are_kept_and_may_run_ahead(void **state)
{
    (void)state;
    struct sim *s = start("tiny");
    const char *token = token_of(s, ALL);
    const char *one =
        it_format("GET /athlete HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", token);
    int fd = http_connect(sim_address(s));
    http_send(
        fd, it_format(
                "%s%sPOST /_sim/clock HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}GET /none "
                "HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                one, one));
    const char *all = http_until(fd, "Record Not Found", 5000);
    close(fd);
    int answers = 0;
    for (const char *p = all; (p = strstr(p, "HTTP/1.1 ")) != NULL; p++)
        answers++;
    assert_int_equal(answers, 4);
    assert_non_null(strstr(all, "\"frozen\":false"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM_TEST(the_order_depends_on_the_filter),
        SIM_TEST(bounds_are_of_the_start_and_exclusive),
        SIM_TEST(wrong_parameters_are_400),
        SIM_TEST(big_and_ties_page_without_loss),
        SIM_TEST(scopes_decide_what_is_seen),
        SIM_TEST(strangers_and_what_is_not_there),
        SIM_TEST(a_detail_has_more_than_a_summary),
        SIM_TEST(streams_have_two_shapes),
        SIM_TEST(manual_has_no_streams_and_indoors_no_place),
        SIM_TEST(hidden_places_stay_hidden),
        SIM_TEST(local_time_has_a_false_z),
        SIM_TEST(the_edge_preset_is_odd),
        SIM_TEST(answers_are_chunked_and_gzip_if_asked),
        SIM_TEST(connections_are_kept_and_may_run_ahead),
    };
    return cmocka_run_group_tests(tests, it_up_bare, it_down);
}
