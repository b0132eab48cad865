/* Going through a list that changes, against a model of the server: whatever is there from start to
 * end is seen, and the end comes. */
#include "ingest/internal.h"
#include "unit/base/helper.h"

enum { ITEMS = 6000 };

struct item {
    int64_t start_s;
    int id;
    bool hidden; /* it takes a place on a page, and is left out of it */
    bool removed, late, seen;
};
struct model {
    struct item item[ITEMS]; /* newest first, equal starts by id; removed ones stay marked */
    int n, ids;
    uint64_t random;
    bool inclusive;
    unsigned calls;
};

static uint64_t draw(struct model *m, uint64_t below)
{
    m->random = m->random * 6364136223846793005u + 1442695040888963407u;
    return (m->random >> 33) % below;
}

static struct item *put(struct model *m, int64_t start_s)
{
    int at = 0;
    assert_true(m->n < ITEMS);
    while (at < m->n && m->item[at].start_s >= start_s) {
        at++;
    }
    memmove(&m->item[at + 1], &m->item[at], sizeof(m->item[0]) * (size_t)(m->n - at));
    m->item[at] = (struct item){.start_s = start_s, .id = m->ids++};
    m->n++;
    return &m->item[at];
}

/* What `page` of per_page before that moment shows: marks it, and tells the scan. */
static struct ingest_listed ask(struct model *m, const struct ingest_scan *s, int64_t from_s)
{
    struct ingest_listed l = {.min_s = INT64_MAX};
    int64_t rank = 0, first = (s->page - 1) * INGEST_PER_PAGE;
    m->calls++;
    for (int i = 0; i < m->n; i++) {
        struct item *it = &m->item[i];
        bool in = !it->removed && it->start_s >= from_s &&
                  (it->start_s < s->before_s || (m->inclusive && it->start_s == s->before_s));
        if (!in || rank++ < first || rank > first + INGEST_PER_PAGE || it->hidden) {
            continue;
        }
        l.n++;
        l.fresh += !it->seen;
        it->seen = true;
        l.min_s = it->start_s < l.min_s ? it->start_s : l.min_s;
    }
    return l;
}

/* Between two calls; any: somewhere in the list, else not within a second that many share. */
static void drift(struct model *m, bool any)
{
    if (draw(m, 3) == 0) {
        put(m, 1000 + (int64_t)draw(m, 2000000))->late = true;
    }
    if (draw(m, 3) == 0 && m->n > 0) {
        int i = (int)draw(m, (uint64_t)m->n);
        int64_t s = m->item[i].start_s;
        bool alone = (i == 0 || m->item[i - 1].start_s != s) &&
                     (i + 1 == m->n || m->item[i + 1].start_s != s);
        m->item[i].removed = m->item[i].removed || any || alone;
    }
}

enum drifting { STILL, OUTSIDE, ANYWHERE };

static void scan(struct model *m, int64_t from_s, enum drifting how)
{
    struct ingest_scan s = {.before_s = 3000000, .page = 1, .low_s = INT64_MAX};
    struct ingest_listed l;
    do {
        assert_true(m->calls < 1000);
        l = ask(m, &s, from_s);
        if (how != STILL) {
            drift(m, how == ANYWHERE);
        }
    } while (ingest__scan_next(&s, &l));
}

static int missed(const struct model *m, int64_t from_s)
{
    int n = 0;
    for (int i = 0; i < m->n; i++) {
        const struct item *it = &m->item[i];
        n += !it->seen && !it->removed && !it->late && !it->hidden && it->start_s >= from_s;
    }
    return n;
}

static struct model *new_model(uint64_t seed)
{
    struct model *m = calloc(1, sizeof(*m));
    m->random = seed * 977 + 1;
    (void)draw(m, 2);
    m->inclusive = draw(m, 2) != 0;
    return m;
}

static void fill(struct model *m, int n, int64_t from_s, int64_t to_s)
{
    for (int i = 0; i < n; i++) {
        put(m, from_s + (int64_t)draw(m, (uint64_t)(to_s - from_s)));
    }
}

static void ties(struct model *m, int n, int64_t at_s)
{
    for (int i = 0; i < n; i++) {
        put(m, at_s);
    }
}

static void test_calls_of_a_quiet_list(void **state)
{
    (void)state;
    static const struct {
        int n;
        unsigned calls;
    } want[] = {{0, 1}, {1, 2}, {5, 2}, {199, 2}, {201, 3}, {399, 4}, {2500, 14}};
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        struct model *m = new_model(i);
        for (int k = 0; k < want[i].n; k++) {
            put(m, 5000 + k * 100);
        }
        scan(m, 0, STILL);
        assert_int_equal(missed(m, 0), 0);
        if (m->calls > want[i].calls) {
            fail_msg("%d activities: %u calls instead of %u", want[i].n, m->calls, want[i].calls);
        }
        free(m);
    }
}

static void test_ties(void **state)
{
    (void)state;
    static const int sizes[] = {199, 200, 201, 250, 399, 400, 401, 1000};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        for (uint64_t seed = 0; seed < 8; seed++) {
            struct model *m = new_model(seed);
            fill(m, seed & 1 ? 350 : 0, 600000, 900000);
            ties(m, sizes[i], 500000);
            ties(m, seed & 2 ? sizes[i] : 0, 500001);
            fill(m, seed & 4 ? 350 : 0, 1000, 400000);
            scan(m, 0, STILL);
            assert_int_equal(missed(m, 0), 0);
            assert_true(m->calls < 40);
            free(m);
        }
    }
}

/* Pages are cut, then filtered: a short one is not the end. */
static void test_short_pages(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct model *m = new_model(seed);
        fill(m, 900, 1000, 2000000);
        ties(m, seed % 3 ? 0 : 450, 1500000);
        for (int i = 0; i < m->n; i++) {
            m->item[i].hidden = draw(m, 4) == 0;
        }
        scan(m, 0, STILL);
        assert_int_equal(missed(m, 0), 0);
        free(m);
    }
}

static void test_from(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct model *m = new_model(seed);
        int64_t from_s = 1000 + (int64_t)draw(m, 2000000);
        fill(m, 900, 1000, 2000000);
        scan(m, from_s, STILL);
        assert_int_equal(missed(m, from_s), 0);
        for (int i = 0; i < m->n; i++) {
            assert_true(m->item[i].start_s >= from_s || !m->item[i].seen);
        }
        free(m);
    }
}

static void test_drift(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 1500; seed++) {
        struct model *m = new_model(seed);
        fill(m, (int)draw(m, 1500), 1000, 2000000);
        for (int i = 0; i < m->n; i++) {
            m->item[i].hidden = draw(m, 20) == 0;
        }
        ties(m, draw(m, 3) ? 0 : (int)draw(m, 700), 1000000);
        ties(m, draw(m, 3) ? 0 : (int)draw(m, 700), 1000001);
        scan(m, 0, OUTSIDE);
        assert_int_equal(missed(m, 0), 0);
        free(m);
    }
}

/* Within a second that more share than fit on a page, what goes away moves others to a page that
 * was read already. Gone through again, they are found: unless the same happens to them twice. */
static void test_drift_within_ties(void **state)
{
    (void)state;
    int lost = 0, lost_for_long = 0, seen = 0;
    for (uint64_t seed = 0; seed < 1500; seed++) {
        struct model *m = new_model(seed);
        ties(m, 201 + (int)draw(m, 400), 1000000);
        scan(m, 0, ANYWHERE);
        lost += missed(m, 0);
        seen += m->n;
        scan(m, 0, STILL); /* the next sync */
        lost_for_long += missed(m, 0);
        free(m);
    }
    print_message("%d of %d missed for one sync\n", lost, seen);
    assert_true(lost * 2000 < seen);
    assert_int_equal(lost_for_long, 0);
}

/* Whatever a server says: without a start, earlier than asked for, later. */
static void test_nonsense(void **state)
{
    (void)state;
    struct ingest_scan s = {.before_s = 1000, .page = 1, .low_s = INT64_MAX};
    struct ingest_listed l = {.n = 3, .fresh = 3, .min_s = INT64_MAX};
    assert_true(ingest__scan_next(&s, &l));
    assert_int_equal(s.page, 2);
    assert_true(ingest__scan_next(&s, &l));
    assert_int_equal(s.page, 3);
    assert_int_equal(s.before_s, 1000);
    l = (struct ingest_listed){.min_s = INT64_MAX};
    assert_true(ingest__scan_next(&s, &l)); /* once more, and it ends */
    assert_int_equal(s.page, 1);
    assert_false(ingest__scan_next(&s, &l));

    s = (struct ingest_scan){.before_s = 1000, .page = 1, .low_s = INT64_MAX};
    l = (struct ingest_listed){.n = 200, .fresh = 200, .min_s = 5000}; /* it heeds no bound */
    for (int i = 1; i < 20; i++) {
        assert_true(ingest__scan_next(&s, &l));
        assert_int_equal(s.before_s, 1000);
        assert_int_equal(s.page, i + 1);
    }
}

static void test_looks(void **state)
{
    (void)state;
    static const int64_t missing[] = {5000, 30000, 120000, 600000, 3600000, 0, 0};
    static const int64_t same[] = {30000, 120000, 600000, 0, 0};
    for (size_t i = 0; i < COUNT_OF(missing); i++) {
        assert_int_equal(ingest__look_again_ms(true, (int64_t)i), missing[i]);
    }
    for (size_t i = 0; i < COUNT_OF(same); i++) {
        assert_int_equal(ingest__look_again_ms(false, (int64_t)i), same[i]);
    }
    assert_int_equal(ingest__look_again_ms(true, -1), 0);
    assert_int_equal(ingest__look_again_ms(false, INT64_MAX), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_of_a_quiet_list),
        cmocka_unit_test(test_ties),
        cmocka_unit_test(test_short_pages),
        cmocka_unit_test(test_from),
        cmocka_unit_test(test_drift),
        cmocka_unit_test(test_drift_within_ties),
        cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_looks),
    };
    return cmocka_run_group_tests_name("pages of a list", tests, NULL, NULL);
}
