/* Shared by the files of people/ only. */
#pragma once

#include "people/people.h"
#include "people/work.h"
#include "people_sql.h"

enum {
    PEOPLE_CALL_MS = 60000,   /* deadline of a short unit */
    PEOPLE_ERASE_MS = 600000, /* of a long history */
    PEOPLE_TRIES = 10,        /* of one transaction that met another one */
    PEOPLE_SWEEPS = 20,       /* looks at what is left */
    PEOPLE_SWEEP_MS = 250,    /* between them */
};

/* people_erase_flow.c: the erasure, as a call of a unit; its rows. */
void people__add_depart(struct db_unit *u, int64_t athlete_id, const char *who, bool tell);
void people__read_places(const struct db_unit *u, unsigned call, bool erased, struct arena *a,
                         struct people_count *ret);
/* The same transaction is worth trying again at once. */
bool people__try_again(const struct err *err);
/* What came in from work that was under way; found until nothing is. Part of people_erase_flow. */
struct flow *people__sweep_flow(struct db_pool *pool, int64_t athlete_id, struct arena *a,
                                struct people_count *ret);
void people__log_departure(int64_t athlete_id, const char *who, const struct people_count *c);
