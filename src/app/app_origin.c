/* Where people reach us. */
#include "app/app.h"

static const char *str(const struct config *c, const char *name)
{
    const char *v = config_str(c, name);
    return v ? v : "";
}

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
