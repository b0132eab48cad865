/* Tokens at rest: AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits. Two tokens an
 * athlete every six hours stay far below the 2^32 texts a key may seal with random nonces.
 *
 * "wm1:<id of the key>:<base64url of nonce, text, tag>". The id is an HMAC of the key, so that it
 * tells nothing of it. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "strava/internal.h"

enum {
    NONCE = 12,
    TAG = 16,
    ID_BYTES = 8,
    SEALED_MAX = NONCE + STRAVA__TOKEN + TAG,
};
static const char scheme[] = "wm1:";
static const char digits64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* ---- keys ------------------------------------------------------------------------------------ */

static int nibble_of(char c)
{
    static const char hex[] = "0123456789abcdefABCDEF";
    const char *at = c ? strchr(hex, c) : NULL;
    int v = at ? (int)(at - hex) : -1;
    return v > 15 ? v - 6 : v;
}

static int read_key(struct span hex, unsigned char key[STRAVA_KEY_BYTES])
{
    if (hex.n != 2 * STRAVA_KEY_BYTES) {
        return -1;
    }
    for (size_t i = 0; i < STRAVA_KEY_BYTES; i++) {
        int high = nibble_of(hex.p[2 * i]), low = nibble_of(hex.p[2 * i + 1]);
        if (high < 0 || low < 0) {
            return -1;
        }
        key[i] = (unsigned char)(high << 4 | low);
    }
    return 0;
}

int strava_keys_parse(const char *hex_list, struct strava_keys *ret, struct err *err)
{
    struct span rest = span_trim(span_of(hex_list));
    int rc = 0;
    ret->n = 0;
    for (bool more = rest.n > 0; more && rc == 0;) {
        const char *comma = memchr(rest.p, ',', rest.n);
        struct span one = {rest.p, comma ? (size_t)(comma - rest.p) : rest.n};
        more = comma != NULL;
        if (ret->n == STRAVA_KEYS_MAX) {
            rc = err_set(err, ERR_CONF, ERR_PERMANENT, "more than %d keys", STRAVA_KEYS_MAX);
        } else if (read_key(span_trim(one), ret->key[ret->n]) != 0) {
            rc = err_set(err, ERR_CONF, ERR_PERMANENT, "key %u is not %d hex digits", ret->n + 1,
                         2 * STRAVA_KEY_BYTES);
        } else {
            ret->n++;
        }
        rest.p += one.n + more;
        rest.n -= one.n + more;
    }
    if (rc != 0) {
        OPENSSL_cleanse(ret, sizeof(*ret));
    }
    return rc;
}

void strava__key_prefix(const unsigned char key[STRAVA_KEY_BYTES], char ret[STRAVA__KEY_PREFIX])
{
    static const unsigned char purpose[] = "waymark: id of a key of tokens";
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    _Static_assert(STRAVA__KEY_PREFIX == sizeof(scheme) + 2 * ID_BYTES + 1, "it fits");
    CHECK(HMAC(EVP_sha256(), key, STRAVA_KEY_BYTES, purpose, sizeof(purpose) - 1, mac, &n));
    ret += snprintf(ret, STRAVA__KEY_PREFIX, "%s", scheme);
    for (unsigned i = 0; i < ID_BYTES; i++) {
        ret += snprintf(ret, 3, "%02x", mac[i]);
    }
    ret[0] = ':';
    ret[1] = '\0';
}

static const unsigned char *find_key(const struct strava_keys *k, struct span stored)
{
    char prefix[STRAVA__KEY_PREFIX];
    for (unsigned i = 0; i < k->n; i++) {
        strava__key_prefix(k->key[i], prefix);
        if (stored.n >= STRAVA__KEY_PREFIX - 1 &&
            memcmp(stored.p, prefix, STRAVA__KEY_PREFIX - 1) == 0) {
            return k->key[i];
        }
    }
    return NULL;
}

/* ---- base64url, RFC 4648 section 5, without padding ------------------------------------------ */

static void put64(struct buf *out, const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i < 3 ? n - i : 3;
        unsigned bits = (unsigned)p[i] << 16 | (left > 1 ? (unsigned)p[i + 1] << 8 : 0) |
                        (left > 2 ? p[i + 2] : 0);
        for (size_t k = 0; k <= left; k++) {
            buf_putc(out, digits64[bits >> (18 - 6 * k) & 63]);
        }
    }
}

/* Bytes written; 0: it is not that, or does not fit. Bits that say nothing must be zero: there is
 * one way to write a text. */
static size_t take64(struct span s, unsigned char *out, size_t room)
{
    unsigned bits = 0;
    size_t n = 0;
    if (s.n % 4 == 1 || s.n / 4 * 3 + 2 > room) {
        return 0;
    }
    for (size_t i = 0; i < s.n; i++) {
        const char *at = s.p[i] ? strchr(digits64, s.p[i]) : NULL;
        if (!at) {
            return 0;
        }
        bits = bits << 6 | (unsigned)(at - digits64);
        if (i % 4 != 0) {
            out[n++] = (unsigned char)(bits >> (6 - 2 * (i % 4)));
            bits &= (1u << (6 - 2 * (i % 4))) - 1;
        }
    }
    return bits ? 0 : n;
}

/* ---- sealing --------------------------------------------------------------------------------- */

static void start_cipher(EVP_CIPHER_CTX *c, const unsigned char *key, const unsigned char *nonce,
                         int64_t athlete_id, enum strava__kind kind, int seal)
{
    char aad[80];
    int n = snprintf(aad, sizeof(aad), "%sstrava:%s:%lld", scheme,
                     kind == STRAVA__ACCESS ? "access" : "refresh", (long long)athlete_id);
    int done;
    CHECK(c && EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce, seal) == 1);
    CHECK(EVP_CipherUpdate(c, NULL, &done, (const unsigned char *)aad, n) == 1);
}

void strava__seal(const struct strava_keys *k, int64_t athlete_id, enum strava__kind kind,
                  const char *token, struct buf *out)
{
    unsigned char sealed[SEALED_MAX];
    char prefix[STRAVA__KEY_PREFIX];
    size_t len = strlen(token);
    int n, rest;
    CHECK(len < STRAVA__TOKEN);
    if (k->n == 0) {
        buf_puts(out, token);
        return;
    }
    CHECK(RAND_bytes(sealed, NONCE) == 1);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    start_cipher(c, k->key[0], sealed, athlete_id, kind, 1);
    CHECK(EVP_CipherUpdate(c, sealed + NONCE, &n, (const unsigned char *)token, (int)len) == 1);
    CHECK(n == (int)len && EVP_CipherFinal_ex(c, sealed + NONCE + n, &rest) == 1 && rest == 0);
    CHECK(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG, sealed + NONCE + n) == 1);
    EVP_CIPHER_CTX_free(c);
    strava__key_prefix(k->key[0], prefix);
    buf_puts(out, prefix);
    put64(out, sealed, NONCE + len + TAG);
}

static bool open_sealed(const unsigned char *key, int64_t athlete_id, enum strava__kind kind,
                        struct span text, char token[STRAVA__TOKEN])
{
    unsigned char sealed[SEALED_MAX + 2];
    unsigned char *plain = (unsigned char *)token;
    size_t n = take64(text, sealed, sizeof(sealed));
    int len = (int)n - NONCE - TAG, done, rest;
    if (len <= 0 || len >= STRAVA__TOKEN) {
        return false;
    }
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    start_cipher(c, key, sealed, athlete_id, kind, 0);
    CHECK(EVP_CipherUpdate(c, plain, &done, sealed + NONCE, len) == 1 && done == len);
    CHECK(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG, sealed + NONCE + len) == 1);
    bool ok = EVP_CipherFinal_ex(c, plain + len, &rest) == 1;
    EVP_CIPHER_CTX_free(c);
    token[len] = '\0';
    if (!ok || strlen(token) != (size_t)len) {
        OPENSSL_cleanse(token, STRAVA__TOKEN);
        return false;
    }
    return true;
}

int strava__unseal(const struct strava_keys *k, int64_t athlete_id, enum strava__kind kind,
                   struct span stored, char token[STRAVA__TOKEN], struct err *err)
{
    const char *what = kind == STRAVA__ACCESS ? "access" : "refresh";
    size_t start = strlen(scheme);
    token[0] = '\0';
    if (stored.n < start || memcmp(stored.p, scheme, start) != 0) {
        if (stored.n == 0 || stored.n >= STRAVA__TOKEN || memchr(stored.p, '\0', stored.n)) {
            return err_set(err, ERR_DATA, ERR_PERMANENT,
                           "the %s token of athlete %lld is none: it has %zu bytes", what,
                           (long long)athlete_id, stored.n);
        }
        memcpy(token, stored.p, stored.n);
        token[stored.n] = '\0';
        return 0;
    }
    const unsigned char *key = find_key(k, stored);
    if (!key) {
        return err_set(
            err, ERR_CONF, ERR_RETRY,
            "the %s token of athlete %lld is encrypted with a key that data.key does not "
            "have: add that key after the others, or let the athlete log in again",
            what, (long long)athlete_id);
    }
    struct span text = {stored.p + STRAVA__KEY_PREFIX - 1, stored.n - (STRAVA__KEY_PREFIX - 1)};
    if (!open_sealed(key, athlete_id, kind, text, token)) {
        return err_set(err, ERR_DATA, ERR_PERMANENT,
                       "the %s token of athlete %lld was changed in the database, or is another "
                       "athlete's: the athlete must log in again",
                       what, (long long)athlete_id);
    }
    return 0;
}

bool strava__is_sealed_of(const struct strava_keys *k, int64_t athlete_id, enum strava__kind kind,
                          struct span stored, const char *token)
{
    char plain[STRAVA__TOKEN];
    bool same =
        strava__unseal(k, athlete_id, kind, stored, plain, NULL) == 0 && strcmp(plain, token) == 0;
    OPENSSL_cleanse(plain, sizeof(plain));
    return same;
}
