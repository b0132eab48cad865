/* Pure parts of what is pushed. */
#include <openssl/rand.h>

#include "ingest/ingest.h"

enum { URL_MAX = 255 /* as Strava says */ };

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           strchr("-._~/", c) != NULL;
}

/* The router decodes paths, resolves nothing, and takes braces for parameters: a path that reads
 * the same however it is written spares everybody the question. */
static bool path_is_plain(struct span path)
{
    for (size_t i = 0; i < path.n; i++) {
        bool dots = path.p[i] == '.' && path.p[i - 1] == '/';
        if (!path.p[i] || !is_plain(path.p[i]) || dots) {
            return false;
        }
    }
    return true;
}

int ingest_callback_path(const char *url, char path[INGEST_PATH_MAX], struct err *err)
{
    size_t scheme = strncmp(url, "https://", 8) == 0 ? 8 : strncmp(url, "http://", 7) == 0 ? 7 : 0;
    const char *host = url + scheme;
    size_t n = strcspn(host, "/?#");
    const char *from = host + n;
    struct span got = {from, strcspn(from, "?#")};
    _Static_assert((int)INGEST_PATH_MAX > (int)URL_MAX, "it fits");
    if (scheme == 0 || n == 0 || memchr(host, '@', n) || strchr(from, '#')) {
        return err_set(err, ERR_CONF, ERR_PERMANENT,
                       "\"%s\" is not an address such as https://trails.example.org/webhook/ and "
                       "a long random word",
                       url);
    }
    if (strlen(url) > URL_MAX) {
        return err_set(err, ERR_CONF, ERR_PERMANENT, "\"%s\" is longer than the %d bytes allowed",
                       url, URL_MAX);
    }
    for (const char *p = url; *p; p++) {
        if (*p <= ' ' || *p == 0x7f) {
            return err_set(err, ERR_CONF, ERR_PERMANENT, "\"%s\" has a space or the like in it",
                           url);
        }
    }
    if (!path_is_plain(got)) {
        return err_set(err, ERR_CONF, ERR_PERMANENT,
                       "\"%s\": its path may have letters, digits, - _ ~ / and . within a word",
                       url);
    }
    snprintf(path, INGEST_PATH_MAX, "%.*s", (int)got.n, got.n ? got.p : "");
    if (got.n == 0) {
        memcpy(path, "/", 2);
    }
    return 0;
}

void ingest_make_word(char out[INGEST_WORD_MAX])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char random[INGEST_WORD_MAX / 2];
    CHECK(RAND_bytes(random, sizeof(random)) == 1);
    for (size_t i = 0; i < sizeof(random); i++) {
        out[2 * i] = hex[random[i] >> 4];
        out[2 * i + 1] = hex[random[i] & 15];
    }
    out[2 * sizeof(random)] = '\0';
}
