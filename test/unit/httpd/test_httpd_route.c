/* The router, without a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

#include "httpd/internal.h"

static void handler(struct httpd_req *r, void *ctx)
{
    (void)r;
    (void)ctx;
}

static void add(struct httpd__router *r, enum httpd_method method, const char *pattern)
{
    httpd__router_add(
        r, &(struct httpd_route){.method = method, .pattern = pattern, .handler = handler});
}

/* The pattern that GET path finds; "" none. */
static const char *find(const struct httpd__router *r, const char *path, struct httpd__match *m)
{
    return httpd__router_find(r, HTTPD_GET, span_of(path), m) ? m->pattern->text : "";
}

static void test_match(void **state)
{
    (void)state;
    struct httpd__router r = {0};
    struct httpd__match m;
    static const char *const patterns[] = {"/",
                                           "/files/{name:path}",
                                           "/a/{id:text}",
                                           "/a/b",
                                           "/a/{id:text}/c",
                                           "/a/b/d",
                                           "/tiles/{z:u}/{x:u}/{y:u}.png",
                                           "/tiles/{z:u}/{x:u}/{y:u}.pbf",
                                           "/n/{n:i64}",
                                           "/v{major:u}/x",
                                           "/files/special/{x:text}"};
    for (size_t i = 0; i < COUNT_OF(patterns); i++)
        add(&r, HTTPD_GET, patterns[i]);
    static const char *const cases[][2] = {
        {"/", "/"},
        {"", ""},
        {"//", ""},
        {"/a", ""},
        {"/a/", ""},
        {"/a/b", "/a/b"},
        {"/a/bb", "/a/{id:text}"},
        {"/a/b/", ""},
        {"/a/b/c", "/a/{id:text}/c"}, /* not led astray by /a/b/d */
        {"/a/b/d", "/a/b/d"},
        {"/a/x/d", ""},
        {"/files/", ""},
        {"/files/x/y.z", "/files/{name:path}"},
        {"/files/special/x", "/files/special/{x:text}"},
        {"/files/special/x/y", "/files/{name:path}"},
        {"/tiles/1/2/3.png", "/tiles/{z:u}/{x:u}/{y:u}.png"},
        {"/tiles/1/2/3.pbf", "/tiles/{z:u}/{x:u}/{y:u}.pbf"},
        {"/tiles/1/2/3", ""},
        {"/tiles/1/2/.png", ""},
        {"/tiles/1/2/-3.png", ""},
        {"/tiles/01/2/3.png", ""},
        {"/tiles/1/2/9223372036854775808.png", ""},
        {"/n/-5", "/n/{n:i64}"},
        {"/n/-0", ""},
        {"/n/", ""},
        {"/n/-", ""},
        {"/n/+5", ""},
        {"/n/ 5", ""},
        {"/n/5x", ""},
        {"/n/-9223372036854775808", "/n/{n:i64}"},
        {"/v2/x", "/v{major:u}/x"},
        {"/v/x", ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (strcmp(find(&r, cases[i][0], &m), cases[i][1]) != 0)
            fail_msg("%s finds \"%s\"", cases[i][0], find(&r, cases[i][0], &m));
    }
    (void)find(&r, "/tiles/4/5/6.png", &m);
    assert_int_equal(m.values, 3);
    assert_true(span_is(m.value[2].segment->name, "y"));
    assert_int_equal(m.value[2].number, 6);
    (void)find(&r, "/files/x/y.z", &m);
    assert_true(span_is(m.value[0].text, "x/y.z"));
    httpd__router_done(&r);
}

static void test_methods(void **state)
{
    (void)state;
    struct httpd__router r = {0};
    struct httpd__match m;
    add(&r, HTTPD_GET, "/a/{id:text}");
    add(&r, HTTPD_PUT, "/a/{id:text}");
    add(&r, HTTPD_POST, "/a/b");
    assert_true(httpd__router_find(&r, HTTPD_HEAD, span_of("/a/x"), &m));
    assert_int_equal(m.route->method, HTTPD_GET);
    /* The literal one has no GET, the other has. */
    assert_true(httpd__router_find(&r, HTTPD_GET, span_of("/a/b"), &m));
    assert_string_equal(m.route->pattern, "/a/{id:text}");
    assert_true(httpd__router_find(&r, HTTPD_DELETE, span_of("/a/b"), &m));
    assert_null(m.route);
    assert_int_equal(m.allowed,
                     1u << HTTPD_GET | 1u << HTTPD_HEAD | 1u << HTTPD_PUT | 1u << HTTPD_POST);
    httpd__router_done(&r);
}

/* Whether registering b after a ends the process. */
static bool dies(const char *a, const char *b)
{
    pid_t child = fork();
    if (child == 0) {
        struct httpd__router r = {0};
        if (!freopen("/dev/null", "w", stderr))
            _exit(1);
        if (a)
            add(&r, HTTPD_GET, a);
        add(&r, HTTPD_GET, b);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void test_conflicts(void **state)
{
    (void)state;
    static const char *const malformed[] = {
        "", "a", "/{a}", "/{:u}", "/{a:int}", "/{a:u", "/{a:path}/b", "/x{a:path}", "/{a:u}{b:u}"};
    for (size_t i = 0; i < COUNT_OF(malformed); i++) {
        if (!dies(NULL, malformed[i]))
            fail_msg("%s was taken", malformed[i]);
    }
    assert_true(dies("/a", "/a"));
    assert_true(dies("/a/{x:u}", "/a/{x:u}"));
    assert_true(dies("/a/{x:u}", "/a/{y:u}"));
    assert_true(dies("/a/{x:u}", "/a/{x:text}"));
    assert_true(dies("/a/{x:u}.png", "/a/{x:text}.png"));
    assert_true(dies("/a/{x:text}.png", "/a/t{x:u}"));
    assert_true(dies("/a/{x:path}", "/a/{y:path}"));
    assert_false(dies("/a/{x:u}", "/a/b"));
    assert_false(dies("/a/{x:u}", "/b/{x:u}"));
    assert_false(dies("/a/{x:u}.png", "/a/{x:u}.pbf"));
    assert_false(dies("/a/{x:u}", "/a/{x:u}/c"));
    assert_false(dies("/a/{x:text}", "/a/{x:path}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_match),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_conflicts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
