/* Worker threads: asking a disk, which may hang, and hashing, which takes 0.1 s. */
#include "web/work.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/statvfs.h>

int web__disk_free(struct web_disk_free *d, struct err *err)
{
    struct statvfs fs;
    if (statvfs(d->dir, &fs) != 0) {
        return err_sys(err, errno, "asking for the free space of %s", d->dir);
    }
    d->free_bytes = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
    return 0;
}

int web__derive(struct web_hash *h, struct err *err)
{
    if (PKCS5_PBKDF2_HMAC(h->secret, (int)strlen(h->secret), h->salt, sizeof(h->salt), h->rounds,
                          EVP_sha256(), sizeof(h->hash), h->hash) != 1) {
        return err_set(err, ERR_SYS, ERR_RETRY, "the secret could not be hashed");
    }
    return 0;
}
