/* Text and addresses: cut to size, put in header fields, told without their secret part. */
#include "alert/internal.h"

#include <openssl/evp.h>

/* ---- text ------------------------------------------------------------------------------------ */

static bool begins_character(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

const char *alert__cut(struct arena *a, const char *s, size_t max)
{
    static const char more[] = "...";
    size_t n = strlen(s);
    if (n <= max) {
        return s;
    }
    n = max - (sizeof(more) - 1);
    while (n > 0 && !begins_character(s[n])) {
        n--;
    }
    return arena_printf(a, "%.*s%s", (int)n, s, more);
}

/* ---- header fields --------------------------------------------------------------------------- */

/* An encoded word has at most 75 characters, 12 of which are not text. */
enum { WORD_BYTES = 45 };

const char *alert__header(struct arena *a, const char *text)
{
    bool plain = !strstr(text, "=?");
    for (const char *p = text; *p; p++) {
        plain = plain && (unsigned char)*p < 0x80;
    }
    if (plain) {
        return text;
    }
    struct buf out = {0};
    while (*text) {
        unsigned char b64[WORD_BYTES / 3 * 4 + 1];
        size_t n = strnlen(text, WORD_BYTES);
        while (n > 1 && !begins_character(text[n])) {
            n--;
        }
        (void)EVP_EncodeBlock(b64, (const unsigned char *)text, (int)n);
        buf_printf(&out, "%s=?UTF-8?B?%s?=", out.n ? " " : "", (const char *)b64);
        text += n;
    }
    const char *ret = arena_span_dup(a, buf_span(&out));
    buf_done(&out);
    return ret;
}

int64_t alert__pause_ms(int attempt)
{
    int64_t ms = 30000;
    for (int i = 1; i < attempt && i < 6; i++) {
        ms *= 4;
    }
    const int64_t most = 4 * 3600 * 1000LL;
    return ms < most ? ms : most;
}

/* ---- addresses ------------------------------------------------------------------------------- */

/* Where the host of an http or https URL begins; NULL: it is none. */
static const char *host_of(const char *url)
{
    return strncmp(url, "https://", 8) == 0  ? url + 8
           : strncmp(url, "http://", 7) == 0 ? url + 7
                                             : NULL;
}

int alert_check_url(const char *url, struct err *err)
{
    const char *host = host_of(url);
    size_t n = host ? strcspn(host, "/?#") : 0;
    const char *wrong = NULL;
    if (!host) {
        wrong = "it begins with neither https:// nor http://";
    } else if (n == 0 || host[0] == ':') {
        wrong = "it has no host";
    } else if (memchr(host, '@', n)) {
        wrong = "it has a user in it";
    }
    for (const char *p = url; *p && !wrong; p++) {
        if (*p <= ' ' || *p == 0x7f || strchr("#\\\"<>", *p)) {
            wrong = "it holds a character that must be percent-encoded";
        }
    }
    return !wrong ? 0
                  : err_set(err, ERR_CONF, ERR_PERMANENT, "not an address to write to: %s", wrong);
}

const char *alert_origin(const char *url, struct arena *a)
{
    const char *host = host_of(url);
    if (!host) {
        return "";
    }
    struct span at = {host, strcspn(host, "/?#")};
    for (size_t i = 0; i < at.n; i++) {
        if (host[i] == '@') { /* refused by alert_check_url; never told in any case */
            at = (struct span){host + i + 1, (size_t)(at.p + at.n - host) - i - 1};
        }
    }
    return arena_printf(a, "%.*s%.*s", (int)(host - url), url, (int)at.n, at.p);
}
