/* Opening, and addresses. */
#include "strava/strava.h"

#include <openssl/crypto.h>

#include "strava/internal.h"

struct strava *strava_open(struct db_pool *pool, struct fetch *fetch,
                           const struct strava_conf *conf)
{
    CHECK(conf->client_id && conf->client_secret && conf->api_url && conf->oauth_url &&
          conf->scopes);
    struct strava *s = mem_alloc(sizeof(*s));
    s->pool = pool;
    s->loop = db_pool_loop(pool);
    s->fetch = fetch;
    s->conf = *conf;
    return s;
}

struct strava *strava_free(struct strava *s)
{
    if (s) {
        OPENSSL_cleanse(&s->conf, sizeof(s->conf));
        mem_free(s);
    }
    return NULL;
}

const struct strava_conf *strava_conf_of(const struct strava *s)
{
    return &s->conf;
}

struct fetch *strava_fetch_of(struct strava *s)
{
    return s->fetch;
}

/* ---- the consent page ------------------------------------------------------------------------ */

static void put_query(struct buf *out, const char *name, const char *value)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789-._~";
    buf_printf(out, "%s%s=", strchr(out->p, '?') ? "&" : "?", name);
    for (; *value; value++) {
        if (strchr(plain, *value)) {
            buf_putc(out, *value);
        } else {
            buf_printf(out, "%%%02X", (unsigned)(unsigned char)*value);
        }
    }
}

void strava_authorize_url(const struct strava *s, const char *redirect_uri, const char *state,
                          bool force, struct buf *out)
{
    struct buf url = {0};
    buf_printf(&url, "%s/oauth/authorize", s->conf.oauth_url);
    put_query(&url, "client_id", s->conf.client_id);
    put_query(&url, "redirect_uri", redirect_uri);
    put_query(&url, "response_type", "code");
    put_query(&url, "approval_prompt", force ? "force" : "auto");
    put_query(&url, "scope", s->conf.scopes);
    put_query(&url, "state", state);
    buf_put(out, url.p, url.n);
    buf_done(&url);
}

/* ---- requests -------------------------------------------------------------------------------- */

void strava__oauth_init(struct strava *s, struct fetch_req *r, struct arena *a, const char *path)
{
    fetch_init(r, s->fetch, a, FETCH_POST, arena_printf(a, "%s%s", s->conf.oauth_url, path));
    fetch_limits(r, STRAVA__OAUTH_MS, STRAVA__OAUTH_BODY);
}

void strava__oauth_token(struct strava *s, struct fetch_req *r, struct arena *a,
                         const char *grant_type)
{
    strava__oauth_init(s, r, a, "/oauth/token");
    fetch_form(r, "client_id", s->conf.client_id);
    fetch_form(r, "client_secret", s->conf.client_secret);
    fetch_form(r, "grant_type", grant_type);
}

void strava__oauth_done(struct fetch_req *r)
{
    if (r->body.p) {
        OPENSSL_cleanse(r->body.p, r->body.n);
    }
    fetch_done(r);
}

int strava__bad_client(enum err_class class, struct err *err)
{
    return err_set(err, ERR_CONF, class,
                   "Strava does not know this application: strava.client_id or "
                   "strava.client_secret is not what https://www.strava.com/settings/api says");
}
