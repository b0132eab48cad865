/* The way to Strava: the keys of tokens, the client, and the queue of the jobs that call it. */
#include "app/app.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *str(const struct config *c, const char *name)
{
    const char *v = config_str(c, name);
    return v ? v : "";
}

/* ---- keys ------------------------------------------------------------------------------------ */

static int write_key(int fd, const char *path, struct err *err)
{
    unsigned char key[STRAVA_KEY_BYTES];
    char text[2 * STRAVA_KEY_BYTES + 2];
    CHECK(RAND_bytes(key, sizeof(key)) == 1);
    for (size_t i = 0; i < sizeof(key); i++) {
        snprintf(text + 2 * i, 3, "%02x", key[i]);
    }
    text[2 * sizeof(key)] = '\n';
    size_t n = 2 * sizeof(key) + 1;
    bool ok = write(fd, text, n) == (ssize_t)n && fsync(fd) == 0;
    int rc = ok ? 0 : err_sys(err, errno, "writing %s", path);
    OPENSSL_cleanse(key, sizeof(key));
    OPENSSL_cleanse(text, sizeof(text));
    return rc;
}

/* Whole or not at all, whoever else makes one at the same moment: whose link comes first has made
 * it. */
static int make_key(const char *path, struct err *err)
{
    char part[4200];
    snprintf(part, sizeof(part), "%s.%ld", path, (long)getpid());
    (void)unlink(part); /* of a process of this number that died */
    int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_sys(err, errno, "making %s", part);
    }
    int rc = write_key(fd, part, err);
    (void)close(fd);
    if (rc == 0 && link(part, path) != 0 && errno != EEXIST) {
        rc = err_sys(err, errno, "making %s", path);
    }
    (void)unlink(part);
    return rc;
}

static int key_of_file(const char *dir, struct strava_keys *ret, struct err *err)
{
    char path[4160];
    struct buf text = {0};
    snprintf(path, sizeof(path), "%s/key", dir);
    int rc = access(path, F_OK) == 0 ? 0 : make_key(path, err);
    rc = rc == 0 ? file_read(path, 4096, &text, err) : rc;
    rc = rc == 0 ? strava_keys_parse(text.p ? text.p : "", ret, err) : rc;
    if (rc == 0 && ret->n == 0) {
        rc = err_set(err, ERR_CONF, ERR_PERMANENT, "it is empty");
    }
    if (text.p) {
        OPENSSL_cleanse(text.p, text.n);
    }
    buf_done(&text);
    return rc == 0 ? 0 : err_wrap(err, "the key of tokens, %s: ", path);
}

/* A file that was lost would make every token useless: only beside the private database, which
 * would be lost with it, or where somebody said so. */
static int read_keys(const struct app *app, struct strava_keys *ret, struct err *err)
{
    const struct config *c = app->config;
    const char *given = str(c, "data.key"), *how = str(c, "strava.tokens"),
               *dir = app->cluster ? app->data_dir : str(c, "data.dir");
    ret->n = 0;
    if (strcmp(how, "plain") == 0) {
        return 0;
    }
    if (*given) {
        return strava_keys_parse(given, ret, err) == 0
                   ? 0
                   : err_wrap(err, "%s: data.key: ", config_source(c, "data.key"));
    }
    if (!app->cluster && strcmp(how, "auto") == 0) {
        return 0;
    }
    if (!*dir) {
        return err_set(err, ERR_CONF, ERR_PERMANENT,
                       "strava.tokens = \"encrypted\" needs data.key, or data.dir for a file with "
                       "one");
    }
    return key_of_file(dir, ret, err);
}

/* ---- opening and closing --------------------------------------------------------------------- */

int app__open_strava(struct app *app, struct err *err)
{
    const struct config *c = app->config;
    struct strava_conf conf = {
        .client_id = str(c, "strava.client_id"),
        .client_secret = str(c, "strava.client_secret"),
        .api_url = str(c, "strava.api_url"),
        .oauth_url = str(c, "strava.oauth_url"),
        .scopes = str(c, "strava.scopes"),
    };
    if (read_keys(app, &conf.keys, err) != 0) {
        return -1;
    }
    app->strava = strava_open(app->pool, app->fetch, &conf);
    OPENSSL_cleanse(&conf.keys, sizeof(conf.keys));
    return 0;
}
