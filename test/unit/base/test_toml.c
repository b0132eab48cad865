/* The adapter in deps/, whose only user is base/. */
#include "toml.h"

#include "unit/base/helper.h"

static int collect(void *ctx, const struct toml_item *item)
{
    static const char *const types[] = {"string", "int", "bool", "float", "time", "array", "table"};
    struct buf *b = ctx;
    buf_printf(b, "%d %s %s %.*s\n", item->line, item->key, types[item->type], (int)item->len,
               item->text);
    return strcmp(item->key, "stop") == 0 ? 7 : 0;
}

static void reads(const char *text, const char *expected)
{
    struct buf b = {0};
    char msg[256] = "";
    int rc = toml_read(text, strlen(text), "c.toml", collect, &b, msg, sizeof(msg));
    assert_string_equal(msg, "");
    assert_int_equal(rc, 0);
    assert_string_equal(b.p ? b.p : "", expected);
    buf_done(&b);
}

static void test_values_by_line(void **state)
{
    (void)state;
    reads("", "");
    reads("# nothing\n", "");
    reads("top = 1\n"
          "[log] # [not a bracket\n"
          "level = \"debug\"\n"
          "format = 'logfmt'\n"
          "z.y = true\n"
          "\n"
          "[http]\n"
          "port = 0x1F\n"
          "rate = 1.5\n"
          "since = 2026-11-21T22:05:00Z\n"
          "hosts = [\"a\", \"b\"]\n"
          "tls = {cert = \"\"\"two\nlines\"\"\", on = false}\n"
          "[empty]\n",
          "1 top int 1\n3 log.level string debug\n4 log.format string logfmt\n5 log.z.y bool true\n"
          "8 http.port int 31\n9 http.rate float 1.5\n10 http.since time \n11 http.hosts array \n"
          "12 http.tls.cert string two\nlines\n13 http.tls.on bool false\n14 empty table \n");
    reads("[[list]]\na = 1\n", "1 list array \n");
    reads("s = \"Gr\\u00f6den \\\"q\\\" # no comment\"\n", "1 s string Gr\xc3\xb6"
                                                           "den \"q\" # no comment\n");
    reads("s = '''it's '' here'''\nt = \"\"\"quotes \"\" in\"\"\"\"\"\n",
          "1 s string it's '' here\n2 t string quotes \"\" in\"\"\n");
}

static void refused(const char *text, size_t n, const char *expected)
{
    struct buf b = {0};
    char msg[512] = "";
    assert_int_equal(toml_read(text, n, "c.toml", collect, &b, msg, sizeof(msg)), -1);
    if (!strstr(msg, expected)) {
        fail_msg("\"%s\" does not tell \"%s\"", msg, expected);
    }
    assert_null(strchr(msg, '\n'));
    buf_done(&b);
}

static void test_errors_name_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *msg;
    } cases[] = {
        {"a = 1\nb\n", "c.toml:2: "},
        {"a = 1\n\nb = \n", "c.toml:3: "},
        {"a = 1\na = 2\n", "c.toml:2: "},
        {"[x]\na=1\n[x]\n", "c.toml:3: "},
        {"a = \"open\nb = 1\n", "c.toml:1: "},
        {"a = \"\\q\"\n", "c.toml:1: "},
        {"a = [1, 2\n", "c.toml:"},
        {"a = yes\n", "c.toml:1: "},
        {"= 1\n", "c.toml:1: "},
        {"[a\nb = 1\n", "c.toml:1: "},
        {"a = 1 b = 2\n", "c.toml:1: "},
        {"x = 1\n\"with space\" = 1\n", "c.toml:2: a key may hold"},
        {"[\"a.b\"]\nc = 1\n", "a key may hold"},
        {"a = 99999999999999999999\n", "c.toml:1: the integer is too large"},
        {"b = 1\na = -99999999999999999999\n", "c.toml:2: the integer is too large"},
        {"a = 0xFFFFFFFFFFFFFFFFFFFF\n", "c.toml:1: "},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        refused(cases[i].text, strlen(cases[i].text), cases[i].msg);
    }
}

static void test_not_text(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80",
        "\xc0\xaf",
        "\xc2",
        "\xe0\x9f\xbf",
        "\xe2\x82",
        "\xed\xa0\x80",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
    };
    struct buf b = {0};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        buf_printf(&b, "# one\na = '%s'\n", bad[i]);
        refused(b.p, b.n, "c.toml:2: not UTF-8 text");
        buf_clear(&b);
    }
    buf_done(&b);
    refused("a = '\0'\n", 8, "c.toml:1: not UTF-8 text");
    reads("\xef\xbb\xbfkey = \"\xf0\x9f\x8f\x94\"\n", "1 key string \xf0\x9f\x8f\x94\n");
}

static void test_secret_is_not_quoted(void **state)
{
    (void)state;
    char msg[512] = "";
    const char *text = "[strava]\nclient_secret = \"hunter2hunter2\" x\n";
    struct buf b = {0};
    assert_int_equal(toml_read(text, strlen(text), "c.toml", collect, &b, msg, sizeof(msg)), -1);
    assert_null(strstr(msg, "hunter2"));
    buf_done(&b);
}

static void repeat(struct buf *b, const char *piece, int n)
{
    for (int i = 0; i < n; i++) {
        buf_puts(b, piece);
    }
}

static void refuse_buf(struct buf *b, const char *expected)
{
    refused(b->p, b->n, expected);
    buf_done(b);
}

static void test_depth(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_puts(&b, "a = ");
    repeat(&b, "[", 64);
    repeat(&b, "]", 64);
    buf_puts(&b, "\n");
    reads(b.p, "1 a array \n");
    buf_clear(&b);
    buf_puts(&b, "x = 1\na = ");
    repeat(&b, "[", 20000);
    refuse_buf(&b, "c.toml:2: nested deeper than 64 levels");
    buf_puts(&b, "a = ");
    repeat(&b, "{a=", 20000);
    refuse_buf(&b, "nested deeper");
    repeat(&b, "a.", 20000);
    refuse_buf(&b, "nested deeper");
    repeat(&b, "\"a\" . ", 20000);
    refuse_buf(&b, "nested deeper");
    buf_puts(&b, "[");
    repeat(&b, "a.", 20000);
    refuse_buf(&b, "nested deeper");
    buf_puts(&b, "a = ");
    repeat(&b, "{a.a.a.a.a=", 2000);
    refuse_buf(&b, "nested deeper");
    /* Brackets and dots in strings and comments do not count. */
    buf_puts(&b, "a = \"");
    repeat(&b, "[.", 500);
    buf_puts(&b, "\" # ");
    repeat(&b, "[.", 500);
    buf_puts(&b, "\nb = '''");
    repeat(&b, "[.\n", 100);
    buf_puts(&b, "'''\nc = [");
    repeat(&b, "1.5, ", 100);
    buf_puts(&b, "]\n");
    struct buf items = {0};
    char msg[256] = "";
    assert_int_equal(toml_read(b.p, b.n, "c.toml", collect, &items, msg, sizeof(msg)), 0);
    buf_done(&items);
    buf_done(&b);
}

static void test_limits(void **state)
{
    (void)state;
    struct buf b = {0};
    repeat(&b, "# a comment line of some length\n", 8193);
    refuse_buf(&b, "c.toml:1: larger than 256 kB");
    /* Each of these takes toml11 seconds. */
    static const char *const many[][2] = {
        {"a = [", "1,"}, {"a = [", "{a=1},"}, {"", "k=1\n"}, {"", "[t]\n"}};
    for (size_t i = 0; i < COUNT_OF(many); i++) {
        buf_puts(&b, many[i][0]);
        repeat(&b, many[i][1], TOML_MAX_VALUES + 1);
        refuse_buf(&b, "more than 4096 values");
    }
    buf_puts(&b, "a = 0b");
    repeat(&b, "1_1", 40);
    buf_puts(&b, "\n");
    refuse_buf(&b, "the integer is too large");
    buf_puts(&b, "a = 0b");
    repeat(&b, "1", 62);
    buf_puts(&b, "\n");
    reads(b.p, "1 a int 4611686018427387903\n");
    buf_done(&b);
}

static void test_callback_ends_reading(void **state)
{
    (void)state;
    struct buf b = {0};
    char msg[64] = "";
    const char *text = "a = 1\nstop = 1\nb = 1\n";
    assert_int_equal(toml_read(text, strlen(text), "c.toml", collect, &b, msg, sizeof(msg)), 7);
    assert_string_equal(b.p, "1 a int 1\n2 stop int 1\n");
    buf_done(&b);
}

/* Every prefix and every single byte replaced: an error or a result, never a crash. */
static void test_damaged(void **state)
{
    (void)state;
    static const char text[] =
        "a.b = 1\n[s]\nx = \"\\u00e9\"\ny = '''z'''\nt = [1, {k = 0b1}]\nd = 1979-05-27\nf = 1e3\n";
    char copy[sizeof(text)];
    char msg[256];
    struct buf b = {0};
    for (size_t n = 0; n < sizeof(text); n++) {
        (void)!toml_read(text, n, "c.toml", collect, &b, msg, sizeof(msg));
    }
    static const char bytes[] = "\0\"'[]{}=.#\n\\,0 \xff";
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        for (size_t k = 0; k < sizeof(bytes); k++) {
            memcpy(copy, text, sizeof(text));
            copy[i] = bytes[k];
            (void)!toml_read(copy, sizeof(text) - 1, "c.toml", collect, &b, msg, sizeof(msg));
        }
    }
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_by_line),
        cmocka_unit_test(test_errors_name_the_line),
        cmocka_unit_test(test_not_text),
        cmocka_unit_test(test_secret_is_not_quoted),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_callback_ends_reading),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
