/* For the tests of people/: rows about an athlete as the database counts them. */
#pragma once

#include "fake/grant_script.h"
#include "flow/rig.h"
#include "people/people.h"

enum { ATHLETE = 42, DB_MS = 660000 }; /* DB_MS: as in people_erase_flow.c */

/* Rows of one table and of athletes; left: of the erased ones. */
static inline void people_erased(struct script_unit *x, unsigned call, int64_t rows, int64_t left)
{
    script_row(x, call, "tii", "athletes", (int64_t)(rows > 0), (int64_t)0);
    script_row(x, call, "tii", "q.done", rows, left);
}

static inline struct script_unit *people_depart(const char *who, bool tell, int64_t rows)
{
    struct script_unit *x = script_expect(RIG_WORK, "people_depart");
    script_flags(x, DB_TX);
    script_param(x, 0, 1, "42");
    script_param(x, 0, 2, who);
    script_param(x, 0, 3, tell ? "t" : "f");
    people_erased(x, 0, rows, 0);
    return x;
}

static inline struct script_unit *people_counted(int64_t rows)
{
    struct script_unit *x = script_expect(RIG_WORK, "people_count");
    script_param(x, 0, 1, "42");
    script_row(x, 0, "ti", "athletes", (int64_t)0);
    script_row(x, 0, "ti", "q.done", rows);
    return x;
}

static inline struct script_unit *people_swept(int64_t rows)
{
    struct script_unit *x = script_expect(RIG_WORK, "people_sweep");
    script_flags(x, DB_TX);
    script_param(x, 0, 1, "42");
    people_erased(x, 0, rows, 0);
    return x;
}
