#include "base/base.h"

#include <errno.h>
#include <sys/stat.h>

static int read_all(FILE *in, size_t max_bytes, struct buf *out, struct err *err)
{
    static const size_t step = 1 << 16;
    struct stat st;
    if (fstat(fileno(in), &st) != 0) {
        return err_sys(err, errno, "reading it");
    }
    if (S_ISDIR(st.st_mode)) {
        return err_set(err, ERR_DATA, ERR_PERMANENT, "it is a folder");
    }
    if (st.st_size > 0 && (size_t)st.st_size > max_bytes) {
        return err_set(err, ERR_DATA, ERR_PERMANENT, "%lld bytes: at most %zu are read",
                       (long long)st.st_size, max_bytes);
    }
    char *chunk = mem_alloc(step);
    int rc = 0;
    for (size_t n; rc == 0 && (n = fread(chunk, 1, step, in)) > 0;) {
        buf_put(out, chunk, n);
        if (out->n > max_bytes) { /* it grew, or is no plain file */
            rc = err_set(err, ERR_DATA, ERR_PERMANENT, "at most %zu bytes are read", max_bytes);
        }
    }
    if (rc == 0 && ferror(in)) {
        rc = err_sys(err, errno, "reading it");
    }
    mem_free(chunk);
    return rc;
}

int file_read(const char *path, size_t max_bytes, struct buf *out, struct err *err)
{
    FILE *in = fopen(path, "rbe");
    if (!in) {
        return err_sys(err, errno, "opening it");
    }
    int rc = read_all(in, max_bytes, out, err);
    fclose(in);
    if (rc == 0 && out->n >= 2 && (unsigned char)out->p[0] == 0x1f &&
        (unsigned char)out->p[1] == 0x8b) {
        rc = err_set(err, ERR_DATA, ERR_PERMANENT,
                     "it is compressed with gzip: unpack it first (gunzip -k)");
    }
    return rc;
}
