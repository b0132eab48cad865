/* A table of settings for the tests of the configuration reader. */
#pragma once

#include "unit/base/helper.h"

static const struct config_key keys[] = {
    {.name = "database.url",
     .type = CONFIG_SECRET,
     .legacy = "POSTGRES_CONNECTION_STRING|POSTGRES_CONNECTION_URL"},
    {.name = "http.listen", .type = CONFIG_STRING, .fallback = "0.0.0.0:8080"},
    {.name = "http.max_body", .type = CONFIG_INT, .fallback = "1024", .min = 1, .max = 4096},
    {.name = "http.offset", .type = CONFIG_INT},
    {.name = "log.level",
     .type = CONFIG_CHOICE,
     .fallback = "info",
     .choices = "debug|info|warn|error"},
    {.name = "log.utc", .type = CONFIG_BOOL, .fallback = "true"},
    {.name = "jobs.interval",
     .type = CONFIG_DURATION,
     .fallback = "90s",
     .min = 1000,
     .max = 3600000,
     .legacy = "PROCESSOR_INTERVAL"},
    {.name = "jobs.pause", .type = CONFIG_DURATION},
    {.name = "strava.client_id", .type = CONFIG_STRING, .legacy = "STRAVA_CLIENT_ID"},
    {.name = "strava.client_secret", .type = CONFIG_SECRET, .legacy = "STRAVA_CLIENT_SECRET"},
    {.name = "data.dir", .type = CONFIG_STRING},
};

static inline struct config *conf_new(void)
{
    return config_new(keys, COUNT_OF(keys));
}

/* Writes text to a file called config.toml in a folder of its own; returns its path, static. */
static inline const char *conf_file(const char *text)
{
    static char path[80];
    char dir[] = "/tmp/waymark-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/config.toml", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return path;
}

static inline void conf_remove(const char *path)
{
    char dir[80];
    unlink(path);
    snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
    assert_int_equal(rmdir(dir), 0);
}
