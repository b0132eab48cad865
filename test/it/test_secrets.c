/* The search for secrets that follows every test finds them, wherever it looks. */
#include "it/http.h"
#include "it/internal.h"

#define VALUE "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334"

static bool leaked(struct it_db *db)
{
    return it__secrets_leaked(&db->pg, 1);
}

static void none_is_none(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_secret(VALUE);
    it_must(db, NULL, IT_LIST("status"), 0);
    assert_false(leaked(db));
}

static void in_the_queue(void **state)
{
    (void)state;
    static const char *const put[] = {
        "INSERT INTO q.job (queue, kind, state, payload) VALUES ('x', 'k', 'ready', "
        "'{\"a\":\"" VALUE "\"}')",
        "INSERT INTO q.job (queue, kind, state, last_error) VALUES ('x', 'k', 'ready', 'no " VALUE
        "')",
        "INSERT INTO q.try (job, attempt, outcome, error) VALUES (1, 1, 'failed', '" VALUE "')",
        "SELECT alert.set('k', 's', true, 'title', 'body " VALUE "')",
    };
    struct it_db *db = it_db_new();
    for (unsigned i = 0; i < sizeof(put) / sizeof(*put); i++) {
        it_secret(VALUE);
        it_exec(db, "%s", put[i]);
        assert_true(leaked(db));
        it_exec(db, "DELETE FROM q.job; DELETE FROM q.try; DELETE FROM alert.state");
    }
}

/* A token that nobody named: it stands in the database. */
static void of_a_token(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_secret("something else to look for");
    it_exec(db, "INSERT INTO athletes (id) VALUES (1);"
                "INSERT INTO refresh_tokens (athlete_id, refresh_token) VALUES (1, '" VALUE "');"
                "INSERT INTO q.job (queue, kind, state, last_error) VALUES ('x', 'k', 'ready', "
                "'" VALUE "')");
    assert_true(leaked(db));
}

static void in_what_it_writes(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_secret(VALUE);
    (void)it_run(db, NULL, IT_LIST("route", "show", VALUE));
    assert_true(leaked(db));
}

static void in_an_answer(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_secret(VALUE);
    it__secret_answer("{\"title\":\"no such thing: " VALUE "\"}");
    assert_true(leaked(db));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(none_is_none),      IT_TEST(in_the_queue), IT_TEST(of_a_token),
        IT_TEST(in_what_it_writes), IT_TEST(in_an_answer),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
