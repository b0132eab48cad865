/* sink: an HTTP server of the test's own, in a thread, that keeps what is posted to it and answers
 * as told. One a test. What is returned lives until the test ends. */
#pragma once

#include "it/it.h"

enum { SINK_NEVER = 0, SINK_HANGS_UP = -1 };

/* Listens on a free port of 127.0.0.1: "http://127.0.0.1:40001". */
const char *sink_open(void);
/* The teardown of a test, instead of it_after: what runs is stopped first. */
int sink_after(void **state);
#define SINK_TEST(fn) cmocka_unit_test_teardown(fn, sink_after)

/* From now on whatever is posted to paths that begin so is answered by this status (SINK_NEVER: by
 * nothing), and these whole lines of header fields (may be NULL). 200 unless told otherwise. */
void sink_answer(const char *path, int status, const char *fields);

struct sink_post {
    const char *path;
    const char *head; /* the whole of it */
    const char *body;
    int status; /* it was answered by */
};
/* How many came to paths that begin so. */
unsigned sink_count(const char *path);
/* The n-th of them, from 0; which must be there. */
struct sink_post sink_get(const char *path, unsigned n);
/* Until there are so many; fails after limit_ms, or when there are more. */
void sink_wait(const char *path, unsigned n, int64_t limit_ms);
