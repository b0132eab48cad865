/* What web/ does in worker threads. */
#pragma once

#include "base/base.h"

/* Bytes of the file system of dir that are free for those who are not root. */
struct web_disk_free {
    const char *dir;
    int64_t free_bytes;
};
int web__disk_free(struct web_disk_free *d, struct err *err) MUST_CHECK;

/* PBKDF2 with HMAC-SHA256 (RFC 8018, 5.2): slow on purpose. */
enum { WEB_SALT_BYTES = 16, WEB_HASH_BYTES = 32, WEB_ROUNDS = 200000, WEB_SECRET_MAX = 200 };
struct web_hash {
    char secret[WEB_SECRET_MAX + 1];
    unsigned char salt[WEB_SALT_BYTES];
    int rounds;
    unsigned char hash[WEB_HASH_BYTES]; /* result */
};
int web__derive(struct web_hash *h, struct err *err) MUST_CHECK;
