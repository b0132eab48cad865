/* Which machine and which process: so that an instance on the same machine whose process is gone is
 * known to be dead at once, without waiting for its silence. */
#include "jobs/internal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t read_small_file(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        buf[0] = '\0';
        return 0;
    }
    ssize_t n = read(fd, buf, size - 1);
    close(fd);
    buf[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

/* The boot id tells machines and reboots apart; the inode of the pid namespace tells containers
 * apart, in which the same pid means another process. */
void jobs__place(struct buf *out)
{
    char boot[64];
    size_t n = read_small_file("/proc/sys/kernel/random/boot_id", boot, sizeof(boot));
    struct span id = span_trim((struct span){boot, n});
    struct stat ns = {0};
    if (id.n == 0 || stat("/proc/self/ns/pid", &ns) != 0) {
        buf_puts(out, "unknown");
        return;
    }
    buf_put(out, id.p, id.n);
    buf_printf(out, ":%llu", (unsigned long long)ns.st_ino);
}

/* Field 22 of /proc/PID/stat (proc(5)). The second field is the command in parentheses and may
 * itself hold spaces and parentheses, so fields are counted from the last ')'. */
int64_t jobs__pid_started(int pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (read_small_file(path, text, sizeof(text)) == 0) {
        return 0;
    }
    const char *p = strrchr(text, ')');
    if (p && (strncmp(p, ") Z", 3) == 0 || strncmp(p, ") X", 3) == 0)) {
        return 0;
    }
    for (int field = 2; p && field < 22; field++) {
        p = strchr(p + 1, ' ');
    }
    if (!p) {
        return 0;
    }
    p++;
    int64_t ticks;
    return span_to_i64((struct span){p, strcspn(p, " ")}, 0, INT64_MAX, &ticks) == 0 ? ticks : 0;
}
