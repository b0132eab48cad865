/* Every parameter and result type, there and back; what a parameter refuses. */
#include <math.h>

#include "harness.h"

STMT(echo_ints, "SELECT $1, $2, $3, $4", "bigint", "integer", "smallint", "boolean");
STMT(echo_others, "SELECT $1, $2, $3, $4, $5, $6::real", "float8", "text", "bytea", "timestamptz",
     "jsonb", "float4");
STMT(echo_uuid, "SELECT $1, $1::text, 'name'::name, 'v'::varchar(3), '{\"a\":1}'::json, 7::oid",
     "uuid");
STMT(echo_arrays, "SELECT $1, $2, $3, $4", "bigint[]", "integer[]", "smallint[]", "boolean[]");
STMT(texts, "SELECT t, t IS NULL FROM unnest($1) WITH ORDINALITY AS u(t, n) ORDER BY n", "text[]");
STMT(jsons, "SELECT t->>'k', t IS NULL FROM unnest($1) WITH ORDINALITY AS u(t, n) ORDER BY n",
     "jsonb[]");
STMT(byteas, "SELECT t, t IS NULL FROM unnest($1) WITH ORDINALITY AS u(t, n) ORDER BY n",
     "bytea[]");
STMT(floats, "SELECT t FROM unnest($1) WITH ORDINALITY AS u(t, n) ORDER BY n", "float8[]");
STMT(times, "SELECT t FROM unnest($1) WITH ORDINALITY AS u(t, n) ORDER BY n", "timestamptz[]");
STMT(special_times,
     "SELECT 'infinity'::timestamptz, '-infinity'::timestamptz, NULL::timestamptz,"
     " '1969-07-20 20:17:40.5'::timestamp, to_char($1, 'YYYY-MM-DD HH24:MI:SS.US')",
     "timestamptz");
STMT(int_array_forms, "SELECT '{}'::bigint[], NULL::bigint[], '{1,NULL,-3}'::integer[]");
STMT(affected, "WITH x AS (SELECT generate_series(1, 7) AS g) SELECT g FROM x");

static void test_scalars(void **state)
{
    (void)state;
    struct harness *h = harness_open(1);
    struct db_unit u;
    db_unit_init(&u, h->pool, h->arena, 0);
    db_add(&u, &echo_ints);
    db_p_i64(&u, INT64_MIN);
    db_p_i64(&u, -5);
    db_p_i64(&u, INT16_MAX);
    db_p_bool(&u, true);
    db_add(&u, &echo_others);
    db_p_f64(&u, -0.1);
    db_p_text(&u, "grüezi \xf0\x9f\x8f\x94");
    db_p_span(&u, (struct span){"a\0b", 3});
    db_p_time_us(&u, INT64_C(1795300000123456));
    db_p_text(&u, "{\"k\": [1, 2]}");
    db_p_f64(&u, 2.5);
    run_unit(h, &u);
    assert_ok(&u.op);
    assert_int_equal(db_rows(&u, 0), 1);
    assert_true(db_get_i64(&u, 0, 0, 0) == INT64_MIN);
    assert_int_equal(db_get_i64(&u, 0, 0, 1), -5);
    assert_int_equal(db_get_i64(&u, 0, 0, 2), INT16_MAX);
    assert_int_equal(db_get_i64(&u, 0, 0, 3), 1);
    assert_true(db_get_f64(&u, 1, 0, 0) == -0.1);
    assert_string_equal(db_get_text(&u, 1, 0, 1, h->arena), "grüezi \xf0\x9f\x8f\x94");
    struct span bytes = db_get_span(&u, 1, 0, 2);
    assert_int_equal(bytes.n, 3);
    assert_memory_equal(bytes.p, "a\0b", 3);
    assert_true(db_get_time_us(&u, 1, 0, 3) == INT64_C(1795300000123456));
    assert_string_equal(db_get_text(&u, 1, 0, 4, h->arena), "{\"k\": [1, 2]}");
    assert_true(db_get_f64(&u, 1, 0, 5) == 2.5);
    db_unit_done(&u);
    db_unit_done(&u);
    harness_close(h);
}

static void test_nulls(void **state)
{
    (void)state;
    struct harness *h = harness_open(1);
    struct db_unit u;
    db_unit_init(&u, h->pool, h->arena, 0);
    db_add(&u, &echo_ints);
    for (int i = 0; i < 4; i++)
        db_p_null(&u);
    db_add(&u, &echo_others);
    db_p_null(&u);
    db_p_text(&u, NULL);
    db_p_null(&u);
    db_p_time_us(&u, INT64_MIN);
    db_p_text(&u, NULL);
    db_p_null(&u);
    run_unit(h, &u);
    assert_ok(&u.op);
    for (int i = 0; i < 4; i++) {
        assert_true(db_is_null(&u, 0, 0, i));
        assert_int_equal(db_get_i64(&u, 0, 0, i), 0);
    }
    assert_true(isnan(db_get_f64(&u, 1, 0, 0)));
    assert_null(db_get_text(&u, 1, 0, 1, h->arena));
    assert_null(db_get_span(&u, 1, 0, 2).p);
    assert_true(db_get_time_us(&u, 1, 0, 3) == INT64_MIN);
    assert_null(db_get_text(&u, 1, 0, 4, h->arena));
    assert_true(isnan(db_get_f64(&u, 1, 0, 5)));
    db_unit_done(&u);
    harness_close(h);
}

static void test_text_like(void **state)
{
    (void)state;
    struct harness *h = harness_open(1);
    struct db_unit u;
    const char *id = "0123abcd-89ef-4fff-8aaa-00000000ffff";
    db_unit_init(&u, h->pool, h->arena, 0);
    db_add(&u, &echo_uuid);
    db_p_text(&u, id);
    run_unit(h, &u);
    assert_ok(&u.op);
    assert_string_equal(db_get_text(&u, 0, 0, 0, h->arena), id);
    assert_string_equal(db_get_text(&u, 0, 0, 1, h->arena), id);
    assert_string_equal(db_get_text(&u, 0, 0, 2, h->arena), "name");
    assert_string_equal(db_get_text(&u, 0, 0, 3, h->arena), "v");
    assert_string_equal(db_get_text(&u, 0, 0, 4, h->arena), "{\"a\":1}");
    assert_int_equal(db_get_i64(&u, 0, 0, 5), 7);
    db_unit_done(&u);
    harness_close(h);
}

static void test_int_arrays(void **state)
{
    (void)state;
    struct harness *h = harness_open(1);
    struct db_unit u;
    const int64_t v[] = {1, 0, 1};
    int64_t *got;
    db_unit_init(&u, h->pool, h->arena, 0);
    for (int empty = 0; empty < 2; empty++) {
        db_add(&u, &echo_arrays);
        for (int i = 0; i < 4; i++)
            db_p_i64_array(&u, v, empty ? 0 : COUNT_OF(v));
    }
    db_add(&u, &int_array_forms);
    run_unit(h, &u);
    assert_ok(&u.op);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(db_get_i64_array(&u, 0, 0, i, h->arena, &got), 3);
        assert_memory_equal(got, v, sizeof(v));
        assert_int_equal(db_get_i64_array(&u, 1, 0, i, h->arena, &got), 0);
        assert_false(db_is_null(&u, 1, 0, i));
    }
    assert_int_equal(db_get_i64_array(&u, 2, 0, 0, h->arena, &got), 0);
    assert_int_equal(db_get_i64_array(&u, 2, 0, 1, h->arena, &got), 0);
    assert_int_equal(db_get_i64_array(&u, 2, 0, 2, h->arena, &got), 3);
    assert_int_equal(got[0], 1);
    assert_int_equal(got[1], 0);
    assert_int_equal(got[2], -3);
    db_unit_done(&u);
    harness_close(h);
}

static void test_other_arrays(void **state)
{
    (void)state;
    struct harness *h = harness_open(1);
    struct db_unit u;
    const char *const t[] = {"a,\"{}", NULL, "", "ß"};
    const char *const j[] = {"{\"k\":\"v\"}", NULL};
    const struct span b[] = {{"\0\xff", 2}, {NULL, 0}, {"", 0}};
    const double f[] = {1.5, NAN, -INFINITY};
    const int64_t when[] = {0, INT64_MIN, INT64_C(946684800000001)};
    db_unit_init(&u, h->pool, h->arena, 0);
    db_add(&u, &texts);
    db_p_text_array(&u, t, COUNT_OF(t));
    db_add(&u, &jsons);
    db_p_text_array(&u, j, COUNT_OF(j));
    db_add(&u, &byteas);
    db_p_bytea_array(&u, b, COUNT_OF(b));
    db_add(&u, &floats);
    db_p_f64_array(&u, f, COUNT_OF(f));
    db_add(&u, &times);
    db_p_time_us_array(&u, when, COUNT_OF(when));
    db_add(&u, &texts);
    db_p_text_array(&u, NULL, 0);
    run_unit(h, &u);
    assert_ok(&u.op);
    for (int i = 0; i < 4; i++) {
        const char *got = db_get_text(&u, 0, i, 0, h->arena);
        assert_int_equal(db_get_i64(&u, 0, i, 1), t[i] == NULL);
        assert_true(t[i] == NULL ? got == NULL : strcmp(got, t[i]) == 0);
    }
    assert_string_equal(db_get_text(&u, 1, 0, 0, h->arena), "v");
    assert_int_equal(db_get_i64(&u, 1, 1, 1), 1);
    assert_memory_equal(db_get_span(&u, 2, 0, 0).p, "\0\xff", 2);
    assert_true(db_is_null(&u, 2, 1, 0));
    assert_int_equal(db_get_span(&u, 2, 2, 0).n, 0);
    assert_false(db_is_null(&u, 2, 2, 0));
    assert_true(db_get_f64(&u, 3, 0, 0) == 1.5);
    assert_true(db_is_null(&u, 3, 1, 0));
    assert_true(isinf(db_get_f64(&u, 3, 2, 0)));
    assert_int_equal(db_get_time_us(&u, 4, 0, 0), 0);
    assert_true(db_is_null(&u, 4, 1, 0));
    assert_int_equal(db_get_time_us(&u, 4, 2, 0), INT64_C(946684800000001));
    assert_int_equal(db_rows(&u, 5), 0);
    db_unit_done(&u);
    harness_close(h);
}

static void test_times(void **state)
{
    (void)state;
    struct harness *h = harness_open(1);
    struct db_unit u;
    db_unit_init(&u, h->pool, h->arena, 0);
    db_add(&u, &special_times);
    db_p_time_us(&u, INT64_C(-1));
    db_add(&u, &affected);
    run_unit(h, &u);
    assert_ok(&u.op);
    assert_true(db_get_time_us(&u, 0, 0, 0) == INT64_MAX);
    assert_true(db_get_time_us(&u, 0, 0, 1) == INT64_MIN + 1);
    assert_true(db_get_time_us(&u, 0, 0, 2) == INT64_MIN);
    assert_true(db_get_time_us(&u, 0, 0, 3) == INT64_C(-14182939500000));
    assert_string_equal(db_get_text(&u, 0, 0, 4, h->arena), "1969-12-31 23:59:59.999999");
    assert_int_equal(db_affected(&u, 1), 7);
    assert_int_equal(db_rows(&u, 1), 7);
    db_unit_done(&u);
    harness_close(h);
}

/* A unit with one bad parameter, added by fill. */
static void refused(struct harness *h, const struct db_stmt *s, void (*fill)(struct db_unit *u),
                    const char *why)
{
    struct db_unit u;
    db_unit_init(&u, h->pool, h->arena, 0);
    db_add(&u, s);
    fill(&u);
    run_unit(h, &u);
    assert_failed(&u.op, ERR_PERMANENT, "");
    assert_int_equal(u.op.err.domain, ERR_DATA);
    if (strstr(u.op.err.msg, why) == NULL || strstr(u.op.err.msg, s->name) == NULL)
        fail_msg("%s", u.op.err.msg);
    db_unit_done(&u);
}

static void fill_bad_utf8(struct db_unit *u)
{
    const char *const v[] = {"ok", "\xc3\x28"};
    db_p_text_array(u, v, 2);
}

static void fill_big_int(struct db_unit *u)
{
    db_p_i64(u, 1);
    db_p_i64(u, INT64_C(5000000000));
    db_p_i64(u, 1);
    db_p_bool(u, false);
}

static void fill_big_small(struct db_unit *u)
{
    db_p_i64(u, 1);
    db_p_i64(u, 1);
    db_p_i64(u, 40000);
    db_p_bool(u, false);
}

static void fill_texts(struct db_unit *u)
{
    db_p_f64(u, 0);
    db_p_span(u, (struct span){"a\0b", 3});
    db_p_null(u);
    db_p_null(u);
    db_p_null(u);
    db_p_null(u);
}

static void fill_json(struct db_unit *u)
{
    db_p_f64(u, 0);
    db_p_null(u);
    db_p_null(u);
    db_p_null(u);
    db_p_text(u, "\"\xff\"");
    db_p_null(u);
}

static void fill_time(struct db_unit *u)
{
    db_p_time_us(u, INT64_MIN + 5);
}

static void test_refused(void **state)
{
    (void)state;
    struct harness *h = harness_open(1);
    refused(h, &texts, fill_bad_utf8, "$1");
    refused(h, &echo_ints, fill_big_int, "$2");
    refused(h, &echo_ints, fill_big_small, "smallint");
    refused(h, &echo_others, fill_texts, "NUL");
    refused(h, &echo_others, fill_json, "UTF-8");
    refused(h, &special_times, fill_time, "range");
    assert_int_equal(db_pool_open_conns(h->pool), 0);
    harness_close(h);
}

static void test_bad_json_is_the_servers(void **state)
{
    (void)state;
    struct harness *h = harness_open(1);
    struct db_unit u;
    db_unit_init(&u, h->pool, h->arena, 0);
    db_add(&u, &echo_others);
    db_p_f64(&u, 0);
    db_p_null(&u);
    db_p_null(&u);
    db_p_null(&u);
    db_p_text(&u, "{oops");
    db_p_null(&u);
    run_unit(h, &u);
    assert_failed(&u.op, ERR_PERMANENT, "22P02");
    db_unit_done(&u);
    harness_close(h);
}

static void test_type_names(void **state)
{
    (void)state;
    assert_int_equal(db_type_oid("bigint"), 20);
    assert_int_equal(db_type_oid("text[]"), 1009);
    assert_int_equal(db_type_oid("timestamptz[]"), 1185);
    assert_int_equal(db_type_oid("[]"), 0);
    assert_int_equal(db_type_oid("big"), 0);
    assert_int_equal(db_type_oid(""), 0);
    /* Against the server's own catalogue. */
    static const char *const names[] = {"boolean", "bytea", "bigint", "smallint",
                                        "integer", "text",  "json",   "float4",
                                        "float8",  "jsonb", "uuid",   "timestamptz"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char sql[80], array[40];
        snprintf(sql, sizeof(sql), "SELECT '%s'::regtype::oid", names[i]);
        assert_int_equal(db_type_oid(names[i]), pg_cluster_i64(cluster, "postgres", sql));
        snprintf(array, sizeof(array), "%s[]", names[i]);
        snprintf(sql, sizeof(sql), "SELECT '%s'::regtype::oid", array);
        assert_int_equal(db_type_oid(array), pg_cluster_i64(cluster, "postgres", sql));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars),      cmocka_unit_test(test_nulls),
        cmocka_unit_test(test_text_like),    cmocka_unit_test(test_int_arrays),
        cmocka_unit_test(test_other_arrays), cmocka_unit_test(test_times),
        cmocka_unit_test(test_refused),      cmocka_unit_test(test_bad_json_is_the_servers),
        cmocka_unit_test(test_type_names),
    };
    return run_group("db_types", tests, COUNT_OF(tests));
}
