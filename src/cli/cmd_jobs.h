/* What the files of `waymark jobs` share. */
#pragma once

#include "cli/internal.h"

/* ---- cmd_jobs_filter.c: which jobs are meant ------------------------------------------------- */

enum { JOBS_STATES = 6, JOBS_QUERY_MS = 300000 /* may have millions to read */ };
struct jobs_filter {
    int64_t *id;                      /* in order, each once */
    size_t nid;                       /* 0: any */
    const char *queue, *kind, *error; /* NULL: any */
    bool by_athlete;
    int64_t athlete;
    const char *state[JOBS_STATES];
    size_t nstate;
    double older_s, newer_s; /* < 0: any */
    bool whole;              /* nothing narrows it: all jobs in the states that the command knows */
};
/* From the options and the operands, which are ids. states: those the command knows, separated by
 * spaces; fallback: those meant without --state. -1: usage, in c->err. */
int cli__jobs_filter(struct cli *c, const char *states, const char *fallback,
                     struct jobs_filter *ret) MUST_CHECK;
bool cli__jobs_has_state(const struct jobs_filter *f, const char *state);
/* Parameters: ids (NULL for any), queue, kind, athlete, part of the error unless the statement has
 * none, older, newer. id, n: some of the ids. */
void cli__jobs_add_filter(struct db_unit *u, const struct jobs_filter *f, const int64_t *id,
                          size_t n, bool with_error);
/* For the audit: what was given, as a JSON object. to: of move, or NULL. */
const char *cli__jobs_filter_json(struct cli *c, const struct jobs_filter *f, const char *to);
/* Some options as given, for the audit, as a JSON object; names separated by spaces. The operand
 * (may be NULL) comes first, as name. */
const char *cli__jobs_options_json(struct cli *c, const char *name, const char *operand,
                                   const char *options);
/* user@host, of the operating system. */
const char *cli__jobs_who(struct cli *c);
const char *cli__jobs_channel(const struct cli *c);

/* "95 s", "12 min", "5 h", "3 d"; NaN: "". */
const char *cli__jobs_age(struct cli *c, double seconds);
const char *cli__jobs_i64(struct cli *c, int64_t v);
/* Of a list separated by spaces: "dead, waiting or ready". */
const char *cli__jobs_words(struct cli *c, const char *list);
/* At most n characters of one line. */
const char *cli__jobs_cut(struct cli *c, const char *text, size_t n);
/* For names of a list that a statement (call 0, column 0) did not give back: a line each, status 1.
 * Prints the others as `verb`, or all as JSON. */
int cli__jobs_tell_names(struct cli *c, const struct db_unit *u, const char *thing,
                         const char *list, const char *verb);

/* ---- cmd_jobs_rates.c ------------------------------------------------------------------------ */

/* Of the rows of SQL_jobs_cmd_rates. */
void cli__jobs_rates_table(struct cli *c, const struct db_unit *u, unsigned call);
void cli__jobs_rates_json(struct json_out *j, const char *key, const struct db_unit *u,
                          unsigned call);

/* ---- cmd_status_queue.c: of `waymark status` ------------------------------------------------- */

/* The first calls of a unit. */
void cli__status_add_queue(struct db_unit *u);
void cli__status_show_queue(struct cli *c, const struct db_unit *u);
void cli__status_show_rates(struct cli *c, const struct db_unit *u);
void cli__status_queue_json(struct json_out *j, const struct db_unit *u);
/* Of the instance of that id: queue, slots, jobs it runs. */
struct status_slots {
    const char *queue;
    int64_t slots, running;
    bool draining;
};
struct status_slots cli__status_slots(struct cli *c, const struct db_unit *u, int64_t instance);
