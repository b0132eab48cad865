#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

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
    if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode)) {
        return err_set(err, ERR_DATA, ERR_PERMANENT, "it is no plain file");
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

/* Opening a named pipe that nobody writes to would wait for ever; reading it then gives nothing.
 * One with a writer, such as a shell's <(...), is read to its end. */
static FILE *open_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return NULL;
    }
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    FILE *in = fdopen(fd, "rb");
    if (!in) {
        close(fd);
    }
    return in;
}

int file_read(const char *path, size_t max_bytes, struct buf *out, struct err *err)
{
    FILE *in = open_file(path);
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
