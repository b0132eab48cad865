/* What several tests of the simulator need. */
#pragma once

#include "sim/catcher.h"

#define APP  "client_id=1001&client_secret=sim-secret-1001"
#define NOON "--clock", "2026-07-01T12:00:00Z"
#define READ "read,activity:read"
#define ALL  "read,activity:read,activity:read_all"

/* The one error of a fault body. */
static inline void expect_fault(struct http_answer a, int status, const char *resource,
                                const char *field, const char *code)
{
    http_is(a, status);
    json_t *json = sim_json(a);
    assert_string_equal(sim_str(json, "errors.0.resource"), resource);
    assert_string_equal(sim_str(json, "errors.0.field"), field);
    assert_string_equal(sim_str(json, "errors.0.code"), code);
}

static inline struct http_answer post_form(struct sim *s, const char *path, const char *form)
{
    return sim_ask(s, "POST", path, NULL, form);
}

/* A grant of that scope to athlete 9001: its access token. */
static inline const char *token_of(struct sim *s, const char *scope)
{
    return sim_str(sim_grant(s, 9001, scope), "access_token");
}
