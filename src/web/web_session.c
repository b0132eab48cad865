/* Who asks: a cookie with a random token, whose hash is in web.session. Forms carry a token derived
 * from it, which a page of somebody else's cannot know. */
#include "web/internal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#define COOKIE "waymark_admin"

bool web__from_hex(const char *text, unsigned char *out, size_t n)
{
    if (!text || strlen(text) != 2 * n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned v = 0;
        for (size_t k = 0; k < 2; k++) {
            char ch = text[2 * i + k];
            unsigned digit = ch >= '0' && ch <= '9'   ? (unsigned)(ch - '0')
                             : ch >= 'a' && ch <= 'f' ? (unsigned)(ch - 'a' + 10)
                                                      : 16;
            if (digit > 15) {
                return false;
            }
            v = v * 16 + digit;
        }
        out[i] = (unsigned char)v;
    }
    return true;
}

void web__to_hex(const unsigned char *p, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++) {
        snprintf(out + 2 * i, 3, "%02x", p[i]);
    }
}

static bool token_of(struct httpd_req *r, unsigned char token[WEB_TOKEN_BYTES])
{
    return web__from_hex(httpd_cookie(r, COOKIE), token, WEB_TOKEN_BYTES);
}

void web__sha256(const unsigned char *p, size_t n, unsigned char hash[32])
{
    CHECK(EVP_Digest(p, n, hash, NULL, EVP_sha256(), NULL) == 1);
}

void web__session_hash(const struct web *w, const unsigned char token[WEB_TOKEN_BYTES],
                       unsigned char hash[32])
{
    struct buf both = {0};
    buf_put(&both, token, WEB_TOKEN_BYTES);
    buf_puts(&both, w->conf.admin_secret ? w->conf.admin_secret : "");
    web__sha256((const unsigned char *)both.p, both.n, hash);
    OPENSSL_cleanse(both.p, both.n);
    buf_done(&both);
}

bool web__session_token(const struct web *w, struct httpd_req *r, unsigned char hash[32])
{
    unsigned char token[WEB_TOKEN_BYTES];
    if (!token_of(r, token)) {
        return false;
    }
    web__session_hash(w, token, hash);
    return true;
}

void web__session_csrf(struct httpd_req *r, char out[33])
{
    unsigned char token[WEB_TOKEN_BYTES] = {0};
    (void)token_of(r, token); /* without one there is no session either */
    web__form_token(token, out);
}

void web__form_token(const unsigned char token[WEB_TOKEN_BYTES], char out[33])
{
    static const unsigned char purpose[] = "form";
    unsigned char mac[32];
    unsigned n = sizeof(mac);
    CHECK(HMAC(EVP_sha256(), token, WEB_TOKEN_BYTES, purpose, sizeof(purpose) - 1, mac, &n) !=
          NULL);
    web__to_hex(mac, 16, out);
}

/* Browsers say where a form comes from (Fetch Metadata; Origin, RFC 6454): if they do, it must be
 * here. */
bool web__session_is_from_here(struct httpd_req *r)
{
    const char *site = httpd_field(r, "Sec-Fetch-Site"), *origin = httpd_field(r, "Origin");
    if (site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0) {
        return false;
    }
    if (!origin) {
        return true;
    }
    const char *host = strstr(origin, "://");
    return host && span_eq(span_of(host + 3), httpd_host(r));
}

bool web__session_is_own_form(struct httpd_req *r, const char *given)
{
    char want[33];
    web__session_csrf(r, want);
    return web__session_is_from_here(r) && given && strlen(given) == 32 &&
           CRYPTO_memcmp(given, want, 32) == 0;
}

void web__session_set(struct httpd_req *r, const unsigned char token[WEB_TOKEN_BYTES])
{
    char text[2 * WEB_TOKEN_BYTES + 1];
    web__to_hex(token, WEB_TOKEN_BYTES, text);
    httpd_set_cookie(r, COOKIE, text, WEB_SESSION_S, httpd_is_https(r));
}

void web__session_clear(struct httpd_req *r)
{
    httpd_set_cookie(r, COOKIE, "", 0, httpd_is_https(r));
}

/* A browser reads "//x" and "/\\x" as a host, and drops tabs and line ends on the way. */
const char *web__own_page(const char *path)
{
    if (!path || strncmp(path, "/admin", 6) != 0 || !strchr("/?", path[6]) ||
        strlen(path) > WEB_PATH_MAX || strstr(path, "//")) {
        return "/admin";
    }
    for (const char *p = path; *p; p++) {
        if ((unsigned char)*p <= ' ' || *p == '\\' || *p == 0x7f) {
            return "/admin";
        }
    }
    return path;
}
