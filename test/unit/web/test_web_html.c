/* Text that becomes HTML: nothing from outside is markup, whatever it holds. */
#include "unit/base/helper.h"
#include "web/internal.h"

#define assert_text(b, want)                                                                       \
    do {                                                                                           \
        assert_string_equal((b)->n ? (b)->p : "", (want));                                         \
        buf_clear(b);                                                                              \
    } while (0)

static void test_what_is_escaped(void **state)
{
    (void)state;
    static const char *const row[][2] = {
        {"", ""},
        {"plain text 123", "plain text 123"},
        {"<script>alert('x')</script>", "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"},
        {"\" onmouseover=\"x", "&quot; onmouseover=&quot;x"},
        {"&amp; &lt;", "&amp;amp; &amp;lt;"},
        {"a\tb\rc\vd\x7f\x1b[2Je", "a b c d  [2Je"},
        {"two\nlines", "two\nlines"},
        {"%s %d %% %n", "%s %d %% %n"},
        {"Z\xc3\xbcrich \xe2\x86\x92", "Z\xc3\xbcrich \xe2\x86\x92"},
        /* Not UTF-8: as it is. No byte of it is markup, and none swallows what follows. */
        {"\xff\xfe<\xc3", "\xff\xfe&lt;\xc3"},
        {"\xc0\xbc", "\xc0\xbc"},
    };
    struct buf b = {0};
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        web__text(&b, row[i][0]);
        assert_text(&b, row[i][1]);
        web__span(&b, span_of(row[i][0]));
        assert_text(&b, row[i][1]);
    }
    web__text(&b, NULL);
    assert_int_equal(b.n, 0);
    web__span(&b, (struct span){"a\0b", 3});
    assert_text(&b, "a b");
    buf_done(&b);
}

static void test_every_byte(void **state)
{
    (void)state;
    struct buf b = {0};
    for (int ch = 0; ch < 256; ch++) {
        char one = (char)ch;
        buf_clear(&b);
        web__span(&b, (struct span){&one, 1});
        assert_true(b.n >= 1);
        for (size_t i = 0; i < b.n; i++) {
            unsigned char c = (unsigned char)b.p[i];
            assert_true(c == '\n' || (c >= ' ' && c != 0x7f));
            assert_null(strchr("<>\"'", c));
            assert_true(c != '&' || b.p[b.n - 1] == ';');
        }
    }
    buf_done(&b);
}

static void test_very_long(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    char *text = mem_alloc(N + 1);
    memset(text, '"', N);
    text[N] = '\0';
    struct buf b = {0};
    web__html(&b, "<p>%s</p>", text);
    assert_int_equal(b.n, 7 + 6 * (size_t)N);
    assert_null(memchr(b.p, '"', b.n));
    buf_done(&b);
    mem_free(text);
}

static void html_unknown(void *ctx)
{
    (void)ctx;
    struct buf b = {0};
    web__html(&b, "%u", 5);
}

static void html_cut(void *ctx)
{
    (void)ctx;
    struct buf b = {0};
    web__html(&b, "100%");
}

static void test_conversions(void **state)
{
    (void)state;
    struct buf b = {0};
    web__html(&b, "<a href=\"%s\">%d</a> %d%% %s", "a&b", INT64_MIN, INT64_MAX, (char *)NULL);
    assert_text(&b, "<a href=\"a&amp;b\">-9223372036854775808</a> 9223372036854775807% ");
    web__html(&b, "%s", "%s%d");
    assert_text(&b, "%s%d");
    web__html(&b, "%s", "");
    assert_int_equal(b.n, 0);
    buf_done(&b);
    assert_true(dies(html_unknown, NULL));
    assert_true(dies(html_cut, NULL));
}

static void test_ages(void **state)
{
    (void)state;
    static const struct {
        double s;
        const char *want;
    } row[] = {
        {NAN, "–"},         {-5, "0 ms"},       {0, "0 ms"},         {0.0124, "12 ms"},
        {1, "1.0 s"},       {9.94, "9.9 s"},    {10, "10 s"},        {119.4, "119 s"},
        {120, "2 min"},     {7199, "120 min"},  {7200, "2 h"},       {48 * 3600 - 1, "48 h"},
        {48 * 3600, "2 d"}, {8640000, "100 d"}, {INFINITY, "inf d"},
    };
    struct buf b = {0};
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        web__age(&b, row[i].s);
        assert_text(&b, row[i].want);
    }
    buf_done(&b);
}

#define NARROW "\xe2\x80\xaf"
static void test_counts(void **state)
{
    (void)state;
    static const struct {
        int64_t n;
        const char *want;
    } row[] = {
        {0, "0"},
        {999, "999"},
        {1000, "1" NARROW "000"},
        {-1, "−1"},
        {-1000000, "−1" NARROW "000" NARROW "000"},
        {1234567, "1" NARROW "234" NARROW "567"},
        {INT64_MAX,
         "9" NARROW "223" NARROW "372" NARROW "036" NARROW "854" NARROW "775" NARROW "807"},
        {INT64_MIN,
         "−9" NARROW "223" NARROW "372" NARROW "036" NARROW "854" NARROW "775" NARROW "808"},
    };
    struct buf b = {0};
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        web__count(&b, row[i].n);
        assert_text(&b, row[i].want);
    }
    buf_done(&b);
}

static void test_urls(void **state)
{
    (void)state;
    static const char *const row[][2] = {
        {"", ""},
        {"trails-1.2_x~", "trails-1.2_x~"},
        {"a b+c", "a%20b%2Bc"},
        {"../?&#=%\"'<>\n", "..%2F%3F%26%23%3D%25%22%27%3C%3E%0A"},
        {"\xc3\xbc\xff", "%C3%BC%FF"},
    };
    struct buf b = {0};
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        web__url(&b, row[i][0]);
        assert_text(&b, row[i][1]);
    }
    buf_done(&b);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static size_t count_of(const struct buf *b, const char *part)
{
    size_t n = 0;
    for (const char *p = b->p; (p = strstr(p, part)) != NULL; p++) {
        n++;
    }
    return n;
}

/* Each start tag has its end tag. */
static void assert_sound(const struct buf *b, size_t rows, size_t cells)
{
    assert_int_equal(count_of(b, "<tr>"), rows + 1);
    assert_int_equal(count_of(b, "</tr>"), rows + 1);
    assert_int_equal(count_of(b, "<td"), cells);
    assert_int_equal(count_of(b, "</td>"), cells);
    assert_int_equal(count_of(b, "</table>"), 1);
    assert_null(strstr(b->p, "<tr></td>"));
    assert_null(strstr(b->p, "<tr></tr>"));
}

static void test_an_empty_table(void **state)
{
    (void)state;
    struct buf b = {0};
    web__table(&b, "What <is> \"left\"", "Name|#Jobs|");
    web__end_table(&b);
    assert_sound(&b, 1, 2); /* with the head's over what has no name */
    assert_non_null(strstr(b.p, "aria-label=\"What &lt;is&gt; &quot;left&quot;\""));
    assert_non_null(strstr(b.p, "<th scope=\"col\">Name</th><th scope=\"col\" class=\"n\">Jobs"));
    assert_non_null(strstr(b.p, "<td class=\"none\">none</td></tr>"));
    buf_done(&b);
}

/* Where a row or a cell begins is told by the last bytes: none of them is from outside. */
static void test_rows(void **state)
{
    (void)state;
    static const char *const hostile[] = {"<tr>", "<tbody>\n<tr>", "</td></tr>\n<tr>", "", "x"};
    for (int rows = 1; rows <= 200; rows = rows * 3 + 1) {
        struct buf b = {0};
        web__table(&b, "<tbody>\n<tr>", "<tr>|#N");
        for (int i = 0; i < rows; i++) {
            web__row(&b);
            web__cell(&b);
            web__text(&b, hostile[i % (int)COUNT_OF(hostile)]);
            web__number_cell(&b);
            web__text(&b, hostile[(i + 2) % (int)COUNT_OF(hostile)]);
        }
        web__end_table(&b);
        assert_sound(&b, (size_t)rows, 2 * (size_t)rows);
        assert_null(strstr(b.p, "none"));
        buf_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_escaped),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_very_long),
        cmocka_unit_test(test_conversions),
        cmocka_unit_test(test_ages),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_an_empty_table),
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
