/* deps::llhttp parses a request, whichever package it came from. Its behaviour is tested with
 * httpd/; this proves the adapter: header, library and settings of one version. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <llhttp.h>
#include <string.h>

struct seen {
    char url[64], field[64], value[64], body[64];
    int complete;
};

static int append(char out[64], const char *at, size_t length)
{
    size_t used = strlen(out);
    if (used + length >= 64)
        return HPE_USER;
    memcpy(out + used, at, length);
    out[used + length] = '\0';
    return 0;
}

static int on_url(llhttp_t *p, const char *at, size_t length)
{
    return append(((struct seen *)p->data)->url, at, length);
}

static int on_header_field(llhttp_t *p, const char *at, size_t length)
{
    return append(((struct seen *)p->data)->field, at, length);
}

static int on_header_value(llhttp_t *p, const char *at, size_t length)
{
    return append(((struct seen *)p->data)->value, at, length);
}

static int on_body(llhttp_t *p, const char *at, size_t length)
{
    return append(((struct seen *)p->data)->body, at, length);
}

static int on_message_complete(llhttp_t *p)
{
    ((struct seen *)p->data)->complete++;
    return 0;
}

static void parser_of(llhttp_t *p, llhttp_settings_t *settings, struct seen *seen)
{
    llhttp_settings_init(settings);
    settings->on_url = on_url;
    settings->on_header_field = on_header_field;
    settings->on_header_value = on_header_value;
    settings->on_body = on_body;
    settings->on_message_complete = on_message_complete;
    llhttp_init(p, HTTP_REQUEST, settings);
    p->data = seen;
}

static void a_request_in_two_pieces(void **state)
{
    (void)state;
    static const char text[] = "POST /hook?x=1 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
    const size_t total = sizeof(text) - 1;
    /* Cut at every place: pieces are how a socket delivers. */
    for (size_t cut = 1; cut < total; cut++) {
        llhttp_t p;
        llhttp_settings_t settings;
        struct seen seen = {0};
        parser_of(&p, &settings, &seen);
        assert_int_equal(llhttp_execute(&p, text, cut), HPE_OK);
        assert_int_equal(llhttp_execute(&p, text + cut, total - cut), HPE_OK);
        assert_int_equal(p.method, HTTP_POST);
        assert_string_equal(seen.url, "/hook?x=1");
        assert_string_equal(seen.field, "Content-Length");
        assert_string_equal(seen.value, "5");
        assert_string_equal(seen.body, "hello");
        assert_int_equal(seen.complete, 1);
        assert_int_equal(llhttp_should_keep_alive(&p), 1);
    }
}

static void what_is_no_http_is_an_error(void **state)
{
    (void)state;
    llhttp_t p;
    llhttp_settings_t settings;
    struct seen seen = {0};
    parser_of(&p, &settings, &seen);
    static const char text[] = "\x16\x03\x01 not http\r\n";
    assert_int_not_equal(llhttp_execute(&p, text, sizeof(text) - 1), HPE_OK);
    assert_non_null(llhttp_get_error_reason(&p));
    assert_int_equal(seen.complete, 0);
}

static void header_and_library_are_of_one_version(void **state)
{
    (void)state;
    /* Both sides number the methods and errors; a header of another version would name them
     * wrongly. */
    assert_string_equal(llhttp_method_name(HTTP_PATCH), "PATCH");
    assert_string_equal(llhttp_errno_name(HPE_USER), "HPE_USER");
    assert_true(LLHTTP_VERSION_MAJOR >= 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_in_two_pieces),
        cmocka_unit_test(what_is_no_http_is_an_error),
        cmocka_unit_test(header_and_library_are_of_one_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
