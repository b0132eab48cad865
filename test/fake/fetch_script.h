/* The network as a script. Linked in place of fetch/'s client; how a request is put together, what
 * is refused, what is kept of an answer and how it is classed are the program's own.
 *
 * A test writes the requests it expects, in order, each with its reply. Strict: a request that is
 * not next, a field that differs, a query or form field or a credential that the script does not
 * name, and an expectation that is left over fail the test. Answers come through the loop's ready
 * queue. Deadlines do not pass by themselves: fetch_script_never() is the request that its waiter
 * gives up. */
#pragma once

#include "fetch/fetch.h"

struct script_request;

void fetch_script_begin(void); /* forgets everything */
void fetch_script_end(void);   /* fails if an expected request did not come or waits for its answer,
                                  or a client is open */
bool fetch_script_played(void); /* every expected request has come and was answered */

/* url: "/path", or from the scheme on, "https://host/path"; without the query. Answered with 200
 * and an empty body unless told otherwise. */
struct script_request *fetch_script_expect(enum fetch_method method, const char *url);
/* The answer to any number of such requests, whenever the expected one is not such. */
struct script_request *fetch_script_always(enum fetch_method method, const char *url);

/* What the request must carry. value: decoded; of a query NULL: any, and what it was is told by
 * fetch_script_query_sent. */
void fetch_script_query(struct script_request *x, const char *name, const char *value);
const char *fetch_script_query_sent(const struct script_request *x, const char *name);
void fetch_script_form(struct script_request *x, const char *name, const char *value);
void fetch_script_header(struct script_request *x, const char *name, const char *value);
void fetch_script_bearer(struct script_request *x, const char *token);
void fetch_script_body(struct script_request *x, const char *body); /* the whole of it */

/* The answer: body is copied and cut off by the limit of the request as in earnest. */
void fetch_script_reply(struct script_request *x, int status, const char *body);
void fetch_script_reply_n(struct script_request *x, int status, struct span body);
void fetch_script_reply_header(struct script_request *x, const char *name, const char *value);
/* No complete answer; of the class that such a failure has. */
void fetch_script_fails(struct script_request *x, enum fetch_failure failure);
/* No answer until it is cancelled, or until fetch_script_answer. */
void fetch_script_never(struct script_request *x);
void fetch_script_answer(struct script_request *x);
bool fetch_script_asked(const struct script_request *x);
unsigned fetch_script_times(const struct script_request *x); /* that it has come */
/* Called when the request has come, before its answer. */
void fetch_script_on_asked(struct script_request *x, void (*fn)(void *ctx), void *ctx);
