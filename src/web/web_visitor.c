/* Who is logged in to the public pages, and the way there: what is signed, and what browsers keep.
 * All of it can be told by any instance, whichever began. */
#include "web/internal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

#define COOKIE "waymark_visitor"
#define WAY    "waymark_login"

/* ---- cookies --------------------------------------------------------------------------------- */

/* Behind a proxy that ends TLS and is not said to be trusted, what is configured still tells. */
static bool is_secure(const struct web *w, struct httpd_req *r)
{
    return httpd_is_https(r) || (w->conf.origin && strncmp(w->conf.origin, "https://", 8) == 0);
}

static bool token_of(struct httpd_req *r, unsigned char token[WEB_TOKEN_BYTES])
{
    return web__from_hex(httpd_cookie(r, COOKIE), token, WEB_TOKEN_BYTES);
}

bool web__visitor_hash(struct httpd_req *r, unsigned char hash[32])
{
    unsigned char token[WEB_TOKEN_BYTES];
    if (!token_of(r, token)) {
        return false;
    }
    web__sha256(token, sizeof(token), hash);
    OPENSSL_cleanse(token, sizeof(token));
    return true;
}

static void set(const struct web *w, struct httpd_req *r, const char *name,
                const unsigned char token[WEB_TOKEN_BYTES], int64_t life_s)
{
    char text[2 * WEB_TOKEN_BYTES + 1];
    web__to_hex(token, WEB_TOKEN_BYTES, text);
    httpd_set_cookie(r, name, text, life_s, is_secure(w, r));
    OPENSSL_cleanse(text, sizeof(text));
}

void web__visitor_set(const struct web *w, struct httpd_req *r,
                      const unsigned char token[WEB_TOKEN_BYTES])
{
    set(w, r, COOKIE, token, WEB_VISIT_S);
}

void web__visitor_clear(const struct web *w, struct httpd_req *r)
{
    httpd_set_cookie(r, COOKIE, "", 0, is_secure(w, r));
}

bool web__way_token(struct httpd_req *r, unsigned char token[WEB_TOKEN_BYTES])
{
    return web__from_hex(httpd_cookie(r, WAY), token, WEB_TOKEN_BYTES);
}

void web__way_set(const struct web *w, struct httpd_req *r,
                  const unsigned char token[WEB_TOKEN_BYTES])
{
    set(w, r, WAY, token, WEB_WAY_S);
}

void web__way_clear(const struct web *w, struct httpd_req *r)
{
    httpd_set_cookie(r, WAY, "", 0, is_secure(w, r));
}

/* ---- forms ----------------------------------------------------------------------------------- */

void web__visitor_csrf(struct httpd_req *r, char out[33])
{
    unsigned char token[WEB_TOKEN_BYTES] = {0};
    (void)token_of(r, token); /* without one nobody is logged in either */
    web__form_token(token, out);
}

/* A proxy may have changed Host: what is configured is what browsers see. */
static bool is_from_here(const struct web *w, struct httpd_req *r)
{
    const char *site = httpd_field(r, "Sec-Fetch-Site"), *origin = httpd_field(r, "Origin");
    if (!w->conf.origin || !origin || strcmp(origin, w->conf.origin) != 0) {
        return web__session_is_from_here(r);
    }
    return !site || strcmp(site, "same-origin") == 0;
}

bool web__visitor_is_own_form(const struct web *w, struct httpd_req *r, const char *given)
{
    char want[33];
    web__visitor_csrf(r, want);
    return is_from_here(w, r) && given && strlen(given) == 32 &&
           CRYPTO_memcmp(given, want, 32) == 0;
}

/* ---- where we are ---------------------------------------------------------------------------- */

/* The name alone, or with a port. */
static bool is_host(struct span host, const char *name)
{
    size_t n = strlen(name);
    return host.n >= n && memcmp(host.p, name, n) == 0 && (host.n == n || host.p[n] == ':');
}

/* The Host field is whatever the client says. Of others than loopback it would let somebody choose
 * where Strava sends people to. */
const char *web__origin_of(const struct web *w, struct httpd_req *r)
{
    struct span host = httpd_host(r);
    if (w->conf.origin) {
        return w->conf.origin;
    }
    if (!is_host(host, "localhost") && !is_host(host, "127.0.0.1") && !is_host(host, "[::1]")) {
        return NULL;
    }
    return arena_printf(httpd_arena(r), "%s://%.*s", httpd_is_https(r) ? "https" : "http",
                        (int)host.n, host.p);
}

/* ---- how often ------------------------------------------------------------------------------- */

enum {
    BEGUN_MS = 600000,
    BEGUN_MAX = 30, /* from one address: a household, or a class with one teacher */
    /* From this machine, where a proxy that is not trusted may stand for all. */
    BEGUN_MAX_NEAR = 600,
};

static bool is_near(const char *address)
{
    return strcmp(address, "unix") == 0 || strcmp(address, "::1") == 0 ||
           strncmp(address, "127.", 4) == 0;
}

static unsigned short *place_of(struct web_begun *b, const char *address)
{
    unsigned char mac[32];
    unsigned n = sizeof(mac);
    CHECK(HMAC(EVP_sha256(), b->key, sizeof(b->key), (const unsigned char *)address,
               strlen(address), mac, &n) != NULL);
    return &b->n[(mac[0] | mac[1] << 8) % WEB_BEGUN_PLACES];
}

bool web__may_begin(struct web *w, const char *address, int64_t now_ms)
{
    struct web_begun *b = &w->begun;
    if (b->until_ms == 0 || now_ms >= b->until_ms) {
        memset(b->n, 0, sizeof(b->n));
        b->near = 0;
        CHECK(RAND_bytes(b->key, sizeof(b->key)) == 1);
        b->until_ms = now_ms + BEGUN_MS;
    }
    bool near = is_near(address);
    unsigned most = near ? BEGUN_MAX_NEAR : BEGUN_MAX;
    unsigned short *count = near ? &b->near : place_of(b, address);
    *count += *count <= most;
    return *count <= most;
}

/* ---- the state ------------------------------------------------------------------------------- */

enum { EXPIRES = 8, NONCE = 16, MAC = 32, SIGNED = EXPIRES + NONCE };

static void sign(const unsigned char key[32], const unsigned char cookie[WEB_TOKEN_BYTES],
                 const unsigned char *state, unsigned char mac[MAC])
{
    struct buf text = {0};
    unsigned n = MAC;
    buf_puts(&text, "login");
    buf_put(&text, state, SIGNED);
    buf_put(&text, cookie, WEB_TOKEN_BYTES);
    CHECK(HMAC(EVP_sha256(), key, 32, (const unsigned char *)text.p, text.n, mac, &n) != NULL);
    buf_done(&text);
}

void web__state_make(const unsigned char key[32], const unsigned char cookie[WEB_TOKEN_BYTES],
                     int64_t now_s, char out[WEB_STATE_HEX + 1])
{
    unsigned char state[SIGNED + MAC];
    _Static_assert(2 * sizeof(state) == WEB_STATE_HEX, "a state has that many letters");
    uint64_t until = (uint64_t)(now_s + WEB_WAY_S);
    for (unsigned i = 0; i < EXPIRES; i++) {
        state[i] = (unsigned char)(until >> (8 * (EXPIRES - 1 - i)));
    }
    CHECK(RAND_bytes(state + EXPIRES, NONCE) == 1);
    sign(key, cookie, state, state + SIGNED);
    web__to_hex(state, sizeof(state), out);
}

enum web_state web__state_read(const unsigned char key[32],
                               const unsigned char cookie[WEB_TOKEN_BYTES], const char *text,
                               int64_t now_s, unsigned char nonce[16])
{
    unsigned char state[SIGNED + MAC], mac[MAC];
    if (!web__from_hex(text, state, sizeof(state))) {
        return WEB_STATE_FOREIGN;
    }
    sign(key, cookie, state, mac);
    if (CRYPTO_memcmp(mac, state + SIGNED, MAC) != 0) {
        return WEB_STATE_FOREIGN;
    }
    uint64_t until = 0;
    for (unsigned i = 0; i < EXPIRES; i++) {
        until = until << 8 | state[i];
    }
    memcpy(nonce, state + EXPIRES, NONCE);
    return now_s < (int64_t)until ? WEB_STATE_OK : WEB_STATE_EXPIRED;
}
