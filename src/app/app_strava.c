/* What talks to Strava: the client of HTTP, the keys of tokens at rest, addresses. */
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

static int digit(char ch)
{
    return ch >= '0' && ch <= '9'   ? ch - '0'
           : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
           : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10
                                    : -1;
}

static bool read_key(struct span text, unsigned char key[STRAVA_KEY_BYTES])
{
    if (text.n != (size_t)2 * STRAVA_KEY_BYTES) {
        return false;
    }
    for (size_t i = 0; i < STRAVA_KEY_BYTES; i++) {
        int high = digit(text.p[2 * i]), low = digit(text.p[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        key[i] = (unsigned char)(high * 16 + low);
    }
    return true;
}

static int read_keys(const char *list, const char *source, struct strava_keys *ret, struct err *err)
{
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, ",");
        if (ret->n == STRAVA_KEYS_MAX ||
            !read_key(span_trim((struct span){p, n}), ret->key[ret->n])) {
            return err_set(
                err, ERR_CONF, ERR_PERMANENT,
                "%s: data.key: number %u is not 64 hex digits, or it is one too many (%d "
                "are allowed)",
                source, ret->n + 1, STRAVA_KEYS_MAX);
        }
        ret->n++;
        p += n + (p[n] == ',');
    }
    return 0;
}

/* Written beside and linked into place: nobody ever sees half a key, and of two who make one at the
 * same time both get the same. */
static int make_key_file(const char *path, struct err *err)
{
    unsigned char key[STRAVA_KEY_BYTES];
    char name[4200];
    struct buf text = {0};
    CHECK(RAND_bytes(key, sizeof(key)) == 1);
    for (size_t i = 0; i < sizeof(key); i++) {
        buf_printf(&text, "%02x", key[i]);
    }
    buf_putc(&text, '\n');
    snprintf(name, sizeof(name), "%s.%ld.tmp", path, (long)getpid());
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n && fsync(fd) == 0;
    int why = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (ok && link(name, path) != 0 && errno != EEXIST) {
        why = errno;
        ok = false;
    }
    unlink(name);
    OPENSSL_cleanse(text.p, text.n);
    OPENSSL_cleanse(key, sizeof(key));
    buf_done(&text);
    return ok ? 0 : err_sys(err, why, "making the key of tokens, %s", path);
}

static int key_of_file(const struct config *c, struct strava_keys *ret, struct err *err)
{
    struct arena *a = arena_new(0);
    struct buf text = {0};
    const char *dir = NULL;
    int rc = app_data_dir(c, a, &dir, err);
    const char *path = rc == 0 ? arena_printf(a, "%s/key", dir) : NULL;
    if (rc == 0 && access(path, F_OK) != 0 && errno == ENOENT) {
        if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
            rc = err_sys(err, errno, "making the folder %s for the key of tokens", dir);
        } else {
            rc = make_key_file(path, err);
        }
    }
    rc = rc == 0 ? file_read(path, 256, &text, err) : rc;
    if (rc == 0 && !read_key(span_trim(buf_span(&text)), ret->key[0])) {
        rc = err_set(err, ERR_CONF, ERR_PERMANENT,
                     "%s is not 64 hex digits: put the right one back, or everybody has to log in "
                     "with Strava again",
                     path);
    } else if (rc != 0) {
        err->domain = ERR_CONF;
    }
    ret->n = rc == 0 ? 1 : 0;
    if (text.p) {
        OPENSSL_cleanse(text.p, text.n);
    }
    buf_done(&text);
    arena_free(a);
    return rc;
}

static int take_keys(const struct app *app, struct strava_keys *ret, struct err *err)
{
    const struct config *c = app->config;
    const char *given = str(c, "data.key"), *how = str(c, "strava.tokens");
    bool is_auto = strcmp(how, "auto") == 0;
    if (strcmp(how, "plain") == 0 || (is_auto && !*given && !app->cluster)) {
        return 0;
    }
    return *given ? read_keys(given, config_source(c, "data.key"), ret, err)
                  : key_of_file(c, ret, err);
}

/* ---- opening --------------------------------------------------------------------------------- */

int app_open_strava(struct app *app, struct err *err)
{
    const struct config *c = app->config;
    if (app->strava || !app_strava_is_on(c)) {
        return 0;
    }
    struct strava_conf conf = {
        .client_id = str(c, "strava.client_id"),
        .client_secret = str(c, "strava.client_secret"),
        .api_url = str(c, "strava.api_url"),
        .oauth_url = str(c, "strava.oauth_url"),
        .scopes = str(c, "strava.scopes"),
    };
    const struct fetch_conf fetch = {.user_agent = "waymark/" WAYMARK_VERSION};
    int rc = take_keys(app, &conf.keys, err);
    app->fetch = rc == 0 ? fetch_open(app->loop, &fetch, err) : NULL;
    if (app->fetch) {
        app->strava = strava_open(app->pool, app->fetch, &conf);
    }
    OPENSSL_cleanse(&conf.keys, sizeof(conf.keys));
    return app->strava ? 0 : -1;
}

/* ---- where we are ---------------------------------------------------------------------------- */

static const char *after_scheme(const char *url)
{
    return strncmp(url, "https://", 8) == 0  ? url + 8
           : strncmp(url, "http://", 7) == 0 ? url + 7
                                             : NULL;
}

int app_public_origin(const struct config *c, struct arena *a, const char **ret, struct err *err)
{
    const char *name = "http.public_url", *url = str(c, name);
    bool given = *url != '\0';
    *ret = NULL;
    if (!given) {
        url = str(c, "strava.callback_url");
    }
    if (!*url) {
        return 0;
    }
    const char *host = after_scheme(url);
    size_t n = host ? strcspn(host, "/?#") : 0;
    bool path = host && host[n] && strcmp(host + n, "/") != 0;
    if (n == 0 || strcspn(host, "@ \t\\\"'<>%") < n || (given && path)) {
        return err_set(err, ERR_CONF, ERR_PERMANENT,
                       "%s: %s is not an address such as https://trails.example.org (a scheme, a "
                       "host, perhaps a port)",
                       config_source(c, given ? name : "strava.callback_url"),
                       given ? name : "strava.callback_url");
    }
    *ret = arena_printf(a, "%.*s", (int)(host + n - url), url);
    return 0;
}
