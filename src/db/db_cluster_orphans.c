/* Server processes that a killed owner left behind. A process number proves nothing (after a reboot
 * it may be anybody's): a process is ours when its program is postgres and its working folder is
 * our pgdata, which every process of a server makes it. */
#include "db/cluster.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

struct found {
    pid_t pid, parent;
};

static bool is_postgres(const char *path)
{
    const char *name = strrchr(path, '/');
    name = name != NULL ? name + 1 : path;
    /* After an upgrade of the package the kernel adds " (deleted)". */
    return strcmp(name, "postgres") == 0 || strcmp(name, "postgres (deleted)") == 0;
}

/* Where /proc/PID/exe may not be read (root without CAP_SYS_PTRACE, as in a container), the command
 * line of the postmaster still tells: -D and our pgdata, run by our server's user. */
static bool by_command_line(const struct db_cluster *c, const char *pid)
{
    char path[64], text[4096];
    struct stat st;
    snprintf(path, sizeof(path), "/proc/%.20s", pid);
    if (stat(path, &st) != 0 || st.st_uid != c->uid)
        return false;
    snprintf(path, sizeof(path), "/proc/%.20s/cmdline", pid);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    (void)fclose(f);
    text[n] = '\0';
    if (n == 0 || !is_postgres(text))
        return false;
    for (const char *p = text; p < text + n; p += strlen(p) + 1)
        if (strcmp(p, "-D") == 0 && p + 3 < text + n && strcmp(p + 3, c->data) == 0)
            return true;
    return false;
}

static bool is_ours(const struct db_cluster *c, const char *pid, const struct stat *data)
{
    char path[64], exe[4096];
    struct stat cwd;
    snprintf(path, sizeof(path), "/proc/%.20s/exe", pid);
    ssize_t n = readlink(path, exe, sizeof(exe) - 1);
    if (n < 0)
        return (errno == EACCES || errno == EPERM) && by_command_line(c, pid);
    exe[n] = '\0';
    if (!is_postgres(exe))
        return false;
    snprintf(path, sizeof(path), "/proc/%.20s/cwd", pid);
    return stat(path, &cwd) == 0 && cwd.st_dev == data->st_dev && cwd.st_ino == data->st_ino;
}

/* Field 4 of /proc/PID/stat, behind the name in parentheses, which may itself hold any character.
 */
static pid_t parent_of(const char *pid)
{
    char path[64], text[512];
    snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return 0;
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    (void)fclose(f);
    text[n] = '\0';
    const char *p = strrchr(text, ')');
    if (p == NULL || strlen(p) < 5)
        return 0;
    p += 4; /* ") S " */
    int64_t parent;
    return span_to_i64((struct span){p, strcspn(p, " ")}, 0, INT32_MAX, &parent) == 0
               ? (pid_t)parent
               : 0;
}

unsigned db__cluster_orphans(const struct db_cluster *c, int signum)
{
    struct stat data;
    struct {
        VEC(struct found);
    } all = {0};
    DIR *d = stat(c->data, &data) == 0 ? opendir("/proc") : NULL;
    for (const struct dirent *e = d != NULL ? readdir(d) : NULL; e != NULL; e = readdir(d)) {
        int64_t pid;
        if (span_to_i64(span_of(e->d_name), 2, INT32_MAX, &pid) == 0 &&
            is_ours(c, e->d_name, &data))
            *vec_push(&all) = (struct found){.pid = (pid_t)pid, .parent = parent_of(e->d_name)};
    }
    if (d != NULL)
        (void)closedir(d);
    for (size_t i = 0; signum != 0 && i < all.n; i++) {
        bool child = false;
        for (size_t j = 0; j < all.n; j++)
            child = child || all.v[i].parent == all.v[j].pid;
        /* The postmaster stops its children itself; children without one are signalled singly. */
        if (!child)
            (void)kill(all.v[i].pid, signum);
    }
    unsigned n = (unsigned)all.n;
    vec_done(&all);
    return n;
}
