/* After each test: nothing that it used as a secret stands where people look. What is searched is
 * all that the program wrote, its metrics and error answers, and what the queue and other tables
 * say in words. */
#include "it/internal.h"

#include <unistd.h>

enum { SECRETS_MAX = 256, SHORTEST = 12 };

static char *secret[SECRETS_MAX];
static unsigned nsecrets;
static char *answer; /* the answers that are searched, one after the other */
static size_t nanswer;

void it_secret(const char *value)
{
    for (unsigned i = 0; i < nsecrets; i++) {
        if (strcmp(secret[i], value) == 0)
            return;
    }
    if (nsecrets < SECRETS_MAX && strlen(value) >= SHORTEST)
        secret[nsecrets++] = strdup(value);
}

void it__secret_answer(const char *text)
{
    size_t n = strlen(text);
    answer = realloc(answer, nanswer + n + 1);
    assert_non_null(answer);
    memcpy(answer + nanswer, text, n + 1);
    nanswer += n;
}

bool it__secret_in(const char *what, const char *text)
{
    bool found = false;
    for (unsigned i = 0; i < nsecrets; i++) {
        const char *at = strstr(text, secret[i]);
        if (at != NULL) {
            print_error("a secret (%.4s...) stands in %s: ...%.60s\n", secret[i], what,
                        at - text > 40 ? at - 40 : text);
            found = true;
        }
    }
    return found;
}

/* Tokens that a database has as they are. */
static void learn_tokens(PGconn *pg)
{
    PGresult *res = PQexec(pg, "SELECT access_token FROM access_tokens WHERE access_token ~ "
                               "'^[0-9a-f]{40}$' UNION ALL SELECT refresh_token FROM refresh_tokens"
                               " WHERE refresh_token ~ '^[0-9a-f]{40}$' LIMIT 100");
    for (int i = 0; i < PQntuples(res); i++)
        it_secret(PQgetvalue(res, i, 0));
    PQclear(res);
}

static bool in_tables(PGconn *pg)
{
    static const char *const text[] = {
        "SELECT string_agg(concat(payload, last_error), E'\\n') FROM q.job",
        "SELECT string_agg(concat(payload, last_error, reason), E'\\n') FROM q.dead",
        "SELECT string_agg(error, E'\\n') FROM q.try",
        "SELECT string_agg(concat(command, filter), E'\\n') FROM q.audit",
        "SELECT string_agg(problem, E'\\n') FROM strava.sync",
        "SELECT string_agg(problem, E'\\n') FROM strava.activity",
        "SELECT string_agg(reason, E'\\n') FROM strava.account",
        "SELECT string_agg(subscription_problem, E'\\n') FROM strava.app",
        "SELECT string_agg(concat(title, body, state), E'\\n') FROM alert.state",
    };
    bool found = false;
    for (unsigned i = 0; i < sizeof(text) / sizeof(*text); i++) {
        PGresult *res = PQexec(pg, text[i]);
        if (PQntuples(res) == 1)
            found |= it__secret_in(text[i], PQgetvalue(res, 0, 0));
        PQclear(res);
    }
    return found;
}

/* Tests that call no secrets by name cost nothing. A transaction that a test left open, a large
 * history, a server that is down: their tables are not searched. */
bool it__secrets_leaked(PGconn *const *pg, unsigned n)
{
    bool found = false;
    for (unsigned i = 0; i < n && nsecrets > 0; i++) {
        if (PQtransactionStatus(pg[i]) != PQTRANS_IDLE)
            continue;
        (void)PQclear(PQexec(pg[i], "SET statement_timeout = '2s'"));
        learn_tokens(pg[i]);
        found |= in_tables(pg[i]);
    }
    if (nsecrets > 0) {
        found |= it__secret_in("an answer", answer != NULL ? answer : "");
        found |= it__secret_in_output();
    }
    while (nsecrets > 0)
        free(secret[--nsecrets]);
    free(answer);
    answer = NULL;
    nanswer = 0;
    return found;
}
