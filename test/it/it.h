/* it: integration tests of the real binary on a private PostgreSQL with PostGIS. One cluster a test
 * program, one database a test, one scratch folder as HOME and working directory. Blocking, plain
 * C. Everything that goes wrong in here ends the running test by fail(); what a test leaves behind
 * (processes, connections) is taken away by it_after. Strings returned live until the test ends. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include "fake/pg_cluster.h"

#define IT_PRINTF(a, b) __attribute__((format(printf, a, b)))

/* For cmocka_run_group_tests, and the teardown of each test. */
int it_up(void **state);
int it_up_large(void **state); /* room for many connections */
int it_up_bare(void **state);  /* the scratch folder alone, no cluster */
int it_down(void **state);
int it_after(void **state);
#define IT_TEST(fn) cmocka_unit_test_teardown(fn, it_after)
#define IT_TEST_WITH(fn, p)                                                                        \
    {                                                                                              \
        (p)->name, fn, NULL, it_after, (void *)(uintptr_t)(p)                                      \
    }

struct pg_cluster *it_cluster(void);
const char *it_home(void); /* the scratch folder */
/* A program or library that other users can get at: a copy in the scratch folder, which opens to
 * them, when we are root; they may not be let into the folder it was built in. */
const char *it_for_others(const char *path);
/* Whether the scratch folder lies in memory. */
bool it_in_memory(void);
/* malloc'd memory that it_after frees. */
char *it_keep(char *p);
char *it_format(const char *fmt, ...) IT_PRINTF(1, 2);
char *it_read_file(const char *path);
int64_t it_now_ms(void);
void it_pause_ms(int64_t ms);

/* ---- databases ----------------------------------------------------------------------------- */

struct it_db {
    PGconn *pg;
    char name[32];
    char url[256];
};
/* Migrated by the binary, with the functions of it_helpers. */
struct it_db *it_db_new(void);
/* With it.scene() in it, processed. */
struct it_db *it_db_scene(void);
/* One that is emptied and used again and again: for what a test needs only once. */
struct it_db *it_db_again(void);
/* Empty. */
struct it_db *it_db_bare(bool with_postgis);
/* The schema `it`: it.way(from, to, n, east) a part of a wavy line of about 24 km northwards, by
 * share, in n pieces, moved east by so many degrees; it.ring(lat, lon, radius_m, n) a ring;
 * it.walk(id, athlete, from, to, east) inserts an activity along the line as a frontend does;
 * it.scene() a small history of three athletes. */
void it_helpers(struct it_db *db);

void it_exec(struct it_db *db, const char *fmt, ...) IT_PRINTF(2, 3);
/* Many statements, as they stand in a file. */
void it_script(struct it_db *db, const char *sql);
/* Text parameters without types, as most drivers send them. The result is cleared by it_after. */
PGresult *it_ask(struct it_db *db, const char *sql, int nparams, const char *const *param);
PGresult *it_query(struct it_db *db, const char *fmt, ...) IT_PRINTF(2, 3);
/* First column of the only row. */
char *it_text(struct it_db *db, const char *fmt, ...) IT_PRINTF(2, 3);
int64_t it_i64(struct it_db *db, const char *fmt, ...) IT_PRINTF(2, 3);
double it_f64(struct it_db *db, const char *fmt, ...) IT_PRINTF(2, 3);
/* A condition; tells it when it does not hold. */
#define it_holds(db, ...) it_holds_at((db), __FILE__, __LINE__, __VA_ARGS__)
void it_holds_at(struct it_db *db, const char *file, int line, const char *fmt, ...)
    IT_PRINTF(4, 5);
/* Until the condition holds; milliseconds it took, or -1 after limit_ms. */
int64_t it_eventually(struct it_db *db, int64_t limit_ms, const char *sql);
/* SQLSTATE of a statement that may fail, "00000" if it did not. */
const char *it_try(struct it_db *db, const char *sql);

/* ---- the binary ---------------------------------------------------------------------------- */

#define IT_LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

/* This is a secret from now on, until the test ends: it fails if the program has written it where
 * people look (logs, error answers, metrics, the queue). Tokens in the database are, of themselves.
 */
void it_secret(const char *value);

struct it_result {
    int status;      /* exit status, or 128 + signal */
    const char *out; /* standard output */
    const char *err; /* standard error */
    int64_t ms;
};
struct it_proc;
/* `waymark ARGS` with POSTGRES_CONNECTION_STRING naming db, unless env (may be NULL) says where the
 * database is. The environment holds nothing else that Waymark reads. */
struct it_proc *it_start(struct it_db *db, const char *const *env, const char *const *args);
/* Waits for its end; when that does not come, shows what there is to see and fails. A report of a
 * sanitizer fails too. */
struct it_result it_wait(struct it_proc *p, int64_t limit_ms);
/* Another program in the same way; its path must outlive it. */
struct it_proc *it_start_program(const char *program, struct it_db *db, const char *const *env,
                                 const char *const *args);
/* Until its standard error or output has that text. */
void it_wait_for(struct it_proc *p, const char *text, int64_t limit_ms);
bool it_said(const struct it_proc *p, const char *text);
/* Its standard error so far. */
const char *it_errors(const struct it_proc *p);
/* Its standard output so far. */
const char *it_output(const struct it_proc *p);
/* The binary's path. */
const char *it_binary(void);
bool it_ended(struct it_proc *p);
/* From now on, until the test ends, it runs as this user (0: as we do). Only root can. */
void it_become(uid_t uid);
pid_t it_pid(const struct it_proc *p);
void it_signal(struct it_proc *p, int signum);
struct it_result it_run(struct it_db *db, const char *const *env, const char *const *args);
/* it_run that must end with this status. */
struct it_result it_must(struct it_db *db, const char *const *env, const char *const *args,
                         int status);
/* `waymark process` that must end well and leave nothing in the queue. */
void it_process(struct it_db *db);
/* `waymark serve`, up and listening; and its end by SIGTERM, which must be 0. */
struct it_proc *it_serve(struct it_db *db, const char *const *env);
struct it_result it_serve_stop(struct it_proc *p);
/* Where it listens ("127.0.0.1:8080"), by the name of the listener: http, admin. */
const char *it_address(struct it_proc *p, const char *listener);

/* ---- final tables -------------------------------------------------------------------------- */

/* All that processing makes, a line a row, sorted: the same from the same input however it came
 * about. */
char *it_tables(struct it_db *db);
char *it_digest(struct it_db *db);
/* Shows the lines that differ. */
void it_same_tables(struct it_db *got, struct it_db *want);
/* Athletes, routes, activities and their best tracks, as they stand, into another database. */
void it_copy_inputs(struct it_db *from, struct it_db *to);
/* A new database with the same input, processed. */
struct it_db *it_recomputed(struct it_db *db);
/* db's tables are those of the same input, processed in it_db_again. */
void it_same_as_recomputed(struct it_db *db);
