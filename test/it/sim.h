/* sim: a simulator of Strava (test/sim/README.md) for a test. Starts one on a free port, orders
 * things of it and asks what is true. Blocking. What goes wrong ends the test by fail(); what is
 * returned, JSON too, lives until the test ends. */
#pragma once

#include <jansson.h>

#include "it/http.h"

struct sim;
/* `waymark-sim ARGS`, listening on a free port of 127.0.0.1 when this returns. --preset is tiny,
 * --seed 1 and --clock now unless args (may be NULL) say otherwise. Ends with the test. */
struct sim *sim_start(const char *const *args);
/* SIGTERM; must end with 0. */
void sim_stop(struct sim *s);
/* The teardown of a test, instead of it_after: those that run are stopped first, so that what they
 * leaked is found. */
int sim_after(void **state);
#define SIM_TEST(fn) cmocka_unit_test_teardown(fn, sim_after)
const char *sim_url(const struct sim *s);     /* "http://127.0.0.1:40001" */
const char *sim_address(const struct sim *s); /* "127.0.0.1:40001" */
pid_t sim_pid(const struct sim *s);

/* Any request, chunks joined. fields: whole lines with CRLF, or NULL. A body is a form. */
struct http_answer sim_ask(struct sim *s, const char *method, const char *target,
                           const char *fields, const char *body);
/* The same with "Authorization: Bearer token" and GET. */
struct http_answer sim_call(struct sim *s, const char *token, const char *target);
/* The body as JSON, which it must be. */
json_t *sim_json(struct http_answer a);

/* Orders something: path is without "/_sim/". Must answer 200. "" is no body. */
json_t *sim_do(struct sim *s, const char *path, const char *fmt, ...) IT_PRINTF(3, 4);
/* What it answers to an order, whatever that is. */
int sim_try(struct sim *s, const char *path, const char *fmt, ...) IT_PRINTF(3, 4);
json_t *sim_get(struct sim *s, const char *fmt, ...) IT_PRINTF(2, 3);
/* Virtual seconds pass; waits (real) until webhooks that fell due are delivered or given up. */
void sim_advance(struct sim *s, int64_t seconds);
/* Until the outbox is empty; fails after 20 s. */
void sim_idle(struct sim *s);
/* {"activities":[...]} that an athlete's scope sees; scope NULL: that it granted. */
json_t *sim_truth(struct sim *s, int64_t athlete, const char *scope);
/* An array: requests since number n, or webhooks. */
json_t *sim_log(struct sim *s, int64_t n);
json_t *sim_events(struct sim *s, int64_t n);
json_t *sim_stats(struct sim *s);
/* Consent and exchange at one go; {"access_token":...}. scope NULL: read and all activities. */
json_t *sim_grant(struct sim *s, int64_t athlete, const char *scope);

/* Members of JSON by a path of names and indexes, "events.ack_ms.max", "activities.0.id"; fail if
 * they are not there or of another type. */
json_t *sim_at(json_t *json, const char *path);
int64_t sim_i64(json_t *json, const char *path);
double sim_f64(json_t *json, const char *path);
const char *sim_str(json_t *json, const char *path);
