/* The database as a script. Linked in place of db/'s pool; units, parameters, results and error
 * classes are the program's own, so that every declared type and every index is checked as in
 * earnest. No server, no network.
 *
 * A test writes the units it expects, in order and pool by pool, each with its reply. Strict: a
 * unit that is not next, a parameter that differs and an expectation that is left over fail the
 * test. Answers come through the loop's ready queue. */
#pragma once

#include "db/db.h"

struct script_unit;

void script_begin(void);  /* forgets everything */
void script_end(void);    /* fails if an expected unit did not come or waits for its answer */
bool script_played(void); /* every expected unit has come and was answered */

/* statements: names of the calls, separated by spaces. pool: by the order of db_pool_open, from 0.
 * Answered with success and no rows unless told otherwise. */
struct script_unit *script_expect(unsigned pool, const char *statements);
/* The answer to any number of such units, whenever no expected one is next. */
struct script_unit *script_always(unsigned pool, const char *statements);

/* What the unit must carry. value: NULL, {1,2}, t, 2.5, text as it is, <n bytes> for bytea. */
void script_flags(struct script_unit *x, unsigned flags);
void script_param(struct script_unit *x, unsigned call, int n, const char *value);
/* Checks with a function of the test's own, which fails the test itself. */
void script_param_is(struct script_unit *x, unsigned call, int n, void (*check)(const char *value));

/* One more row of a call's result, a letter a column: i bigint, d integer, b boolean (int), f
 * float8, t text, w bytea (struct span, p NULL: NULL), I a NULL bigint, T a NULL text
 * (these take no argument). */
void script_row(struct script_unit *x, unsigned call, const char *columns, ...);
/* Its class follows from the SQLSTATE as that of a server's error does. */
void script_fails(struct script_unit *x, const char *sqlstate, const char *msg);
void script_retry_after(struct script_unit *x, int64_t ms); /* of that error */
void script_commit_unknown(struct script_unit *x);          /* the link broke after COMMIT */
/* No answer until it is cancelled, or until script_answer. */
void script_silent(struct script_unit *x);
void script_answer(struct script_unit *x);
bool script_asked(const struct script_unit *x);
unsigned script_calls(const struct script_unit *x); /* how many statements it has */
/* Called when the unit has come, before its answer. */
void script_on_asked(struct script_unit *x, void (*fn)(void *ctx), void *ctx);
