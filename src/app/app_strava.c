/* What calls Strava: the key of its tokens, the client, the queue of calls. */
#include "app/app.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *str(const struct config *c, const char *name)
{
    const char *v = config_str(c, name);
    return v ? v : "";
}

bool app_strava_is_on(const struct config *c)
{
    return *str(c, "strava.client_id") != '\0';
}

/* ---- the key -----------------------------------------------------------------------------------
 */

enum { KEY_HEX = 2 * STRAVA_KEY_BYTES };

static int read_key_file(const char *path, struct strava_keys *ret, struct err *err)
{
    struct buf text = {0};
    struct stat st;
    int rc = file_read(path, KEY_HEX + 2, &text, err);
    if (rc == 0 && (stat(path, &st) != 0 || (st.st_mode & 077) != 0)) {
        rc = err_set(err, ERR_CONF, ERR_PERMANENT, "others may read it: chmod 600 %s", path);
    }
    if (rc == 0) {
        log_add_secret(text.p ? text.p : "");
        rc = strava_keys_parse(text.p ? text.p : "", ret, err);
    }
    if (rc == 0 && ret->n != 1) {
        rc = err_set(err, ERR_CONF, ERR_PERMANENT, "there is no key in it");
    }
    explicit_bzero(text.p, text.n);
    buf_done(&text);
    return rc == 0 ? 0 : err_wrap(err, "the key of the tokens, %s: ", path);
}

static int write_key(int fd, struct err *err)
{
    unsigned char key[STRAVA_KEY_BYTES];
    char text[KEY_HEX + 2];
    if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key)) {
        return err_sys(err, errno, "no random numbers to be had");
    }
    for (size_t i = 0; i < sizeof(key); i++) {
        snprintf(text + 2 * i, 4, "%02x\n", key[i]);
    }
    ssize_t n = write(fd, text, KEY_HEX + 1);
    int rc = n == KEY_HEX + 1 && fsync(fd) == 0 ? 0 : err_sys(err, n < 0 ? errno : EIO, "writing");
    explicit_bzero(key, sizeof(key));
    explicit_bzero(text, sizeof(text));
    return rc;
}

/* Whole or not at all, and never in place of another one: what is encrypted with that would be
 * lost. */
static int make_key_file(const char *dir, const char *path, struct err *err)
{
    char draft[4200];
    snprintf(draft, sizeof(draft), "%s/key.XXXXXX", dir);
    int fd = mkostemp(draft, O_CLOEXEC); /* with mode 0600 */
    if (fd < 0) {
        return err_sys(err, errno, "making the key of the tokens in %s", dir);
    }
    int rc = write_key(fd, err);
    close(fd);
    if (rc == 0 && link(draft, path) != 0 && errno != EEXIST) {
        rc = err_sys(err, errno, "making %s", path);
    }
    unlink(draft);
    int folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
        (void)fsync(folder); /* not every file system can */
        close(folder);
    }
    return rc;
}

int app_strava_keys(const struct app *app, struct strava_keys *ret, struct err *err)
{
    const struct config *c = app->config;
    const char *how = str(c, "strava.tokens"), *given = str(c, "data.key");
    bool must = strcmp(how, "encrypted") == 0;
    *ret = (struct strava_keys){.n = 0};
    if (strcmp(how, "plain") == 0) {
        return 0;
    }
    if (*given) {
        return strava_keys_parse(given, ret, err) == 0
                   ? 0
                   : err_wrap(err, "%s: data.key: ", config_source(c, "data.key"));
    }
    if (!app->cluster) {
        return must ? err_set(err, ERR_CONF, ERR_PERMANENT,
                              "%s: strava.tokens = \"encrypted\" needs data.key where the database "
                              "is your own: every instance must have the same one (openssl rand "
                              "-hex 32)",
                              config_source(c, "strava.tokens"))
                    : 0;
    }
    char path[4200];
    snprintf(path, sizeof(path), "%s/key", app->data_dir);
    if (access(path, F_OK) != 0 && make_key_file(app->data_dir, path, err) != 0) {
        return -1;
    }
    return read_key_file(path, ret, err);
}

/* ---- open and close ----------------------------------------------------------------------------
 */

int app_open_strava(struct app *app, struct err *err)
{
    const struct config *c = app->config;
    struct strava_conf conf = {
        .client_id = str(c, "strava.client_id"),
        .client_secret = str(c, "strava.client_secret"),
        .api_url = str(c, "strava.api_url"),
        .oauth_url = str(c, "strava.oauth_url"),
        .scopes = str(c, "strava.scopes"),
    };
    app->subscription = (struct ingest_subscription){
        .pool = app->pool,
        .client_id = conf.client_id,
        .client_secret = conf.client_secret,
        .api_url = conf.api_url,
        .callback_url = *str(c, "strava.callback_url") ? str(c, "strava.callback_url") : NULL,
        .keep = strcmp(str(c, "strava.subscription"), "keep") == 0,
    };
    if (!app_strava_is_on(c)) {
        return 0;
    }
    if (!*conf.client_secret) {
        return err_set(err, ERR_CONF, ERR_PERMANENT,
                       "%s: strava.client_id is set, strava.client_secret is not",
                       config_source(c, "strava.client_id"));
    }
    if (app_strava_keys(app, &conf.keys, err) != 0) {
        return -1;
    }
    if (app_open_fetch(app, err) == 0) {
        app->subscription.fetch = app->fetch;
        app->strava = strava_open(app->pool, app->fetch, &conf);
    }
    explicit_bzero(&conf.keys, sizeof(conf.keys));
    return app->fetch ? 0 : -1;
}

int app_open_fetch(struct app *app, struct err *err)
{
    const struct fetch_conf conf = {
        .user_agent = "Waymark/" WAYMARK_VERSION,
        .max_per_host = (unsigned)config_i64(app->config, "strava.concurrency") + 2,
    };
    if (!app->fetch) {
        app->fetch = fetch_open(app->loop, &conf, err);
    }
    return app->fetch ? 0 : -1;
}

void app__open_calls(struct app *app)
{
    const struct config *c = app->config;
    if (!app_strava_is_on(c)) {
        return;
    }
    const struct ingest_sync_conf sync = {
        .streams = str(c, "strava.streams"),
        .details = str(c, "strava.details"),
        .overlap_ms = config_i64(c, "strava.overlap"),
        .retention_ms = config_i64(c, "strava.retention"),
    };
    app->sync = ingest_sync_open(app->pool, app->strava, &sync);
    ingest_plan_kinds(app->sync, app__more_kinds(app, INGEST_PLAN_KINDS));
    if (!app->strava) {
        return;
    }
    ingest_strava_kinds(app->sync, app->call_kinds);
    app->checks = (struct people_checks){.pool = app->pool, .strava = app->strava};
    people_check_kind(&app->checks, &app->call_kinds[INGEST_STRAVA_KINDS]);
    const struct jobs_conf calls = {
        .queue = STRAVA_QUEUE,
        .db = &app->db,
        .notify_channel = config_str(c, "database.channel"),
        .batch_size = 1, /* each has a token: none is held by a job that waits for its turn */
        .concurrency = (unsigned)config_i64(c, "strava.concurrency"),
        .poll_ms = config_i64(c, "processor.poll"),
        .drain_ms = config_i64(c, "processor.drain"),
    };
    app->calls = jobs_open(app->pool, &calls, app->call_kinds, COUNT_OF(app->call_kinds));
}

bool app__close_strava(struct app *app, struct op *op)
{
    app->sync = ingest_sync_free(app->sync);
    app->strava = strava_free(app->strava);
    if (!app->fetch) {
        return false;
    }
    fetch_close(app->fetch, op);
    app->fetch = NULL;
    return true;
}
