/* Runs a command against a PostgreSQL server and prints what it cost, as one line of shell
 * assignments: wall_s=  cpu_s= (the command)  server_s= (CPU of the server's processes, those that
 * ended meanwhile included) rss_kb= pss_kb= (largest sum at one moment over the command and the
 * backends it opened) hwm_kb= (sum over the same processes of each one's own peak of resident
 * memory)  backends= (how many)
 *
 * usage: measure [-m] POSTMASTER_PID COMMAND [ARG]...
 *
 * -m samples memory, which itself costs some CPU. A backend's resident memory counts every page of
 * shared_buffers that it has touched, so a sum over backends counts those pages once for each; PSS
 * divides each page by how many processes map it. Exits with the command's status. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_BACKENDS = 256, FAST_MS = 5, SLOW_MS = 50, FAST_FOR_MS = 3000 };

struct backend {
    int pid;
    bool old; /* was there before the command: none of its own */
    long hwm_kb;
};
struct watch {
    int postmaster, command;
    struct backend backend[MAX_BACKENDS];
    size_t n;
    long hwm_kb, rss_kb, pss_kb;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static size_t read_proc(int pid, const char *name, char *buf, size_t size)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);
    if (fd >= 0) {
        close(fd);
    }
    buf[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

/* The kB after a label such as "Rss:"; 0 if it is not there (the process is gone, or not ours to
 * see). */
static long kb_of(const char *text, const char *label)
{
    const char *p = strstr(text, label);
    return p ? strtol(p + strlen(label), NULL, 10) : 0;
}

/* Fields of /proc/PID/stat from the third (proc(5)); the second may itself hold spaces and
 * parentheses. */
static bool stat_fields(int pid, int *parent, long *own_ticks, long *childrens_ticks)
{
    char text[1024], state;
    long utime, stime, cutime, cstime;
    if (read_proc(pid, "stat", text, sizeof(text)) == 0) {
        return false;
    }
    const char *p = strrchr(text, ')');
    if (!p || sscanf(p + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld %ld %ld", &state,
                     parent, &utime, &stime, &cutime, &cstime) != 6) {
        return false;
    }
    *own_ticks = utime + stime;
    *childrens_ticks = cutime + cstime;
    return true;
}

/* Calls fn for every process whose parent is the postmaster. */
static void each_backend(struct watch *w, void (*fn)(struct watch *w, int pid, long ticks))
{
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d));) {
        int pid = isdigit((unsigned char)e->d_name[0]) ? (int)strtol(e->d_name, NULL, 10) : 0,
            parent;
        long own, childrens;
        if (pid > 0 && stat_fields(pid, &parent, &own, &childrens) && parent == w->postmaster) {
            fn(w, pid, own);
        }
    }
    if (d) {
        closedir(d);
    }
}

static long ticks_seen;

static void add_ticks(struct watch *w, int pid, long ticks)
{
    (void)w;
    (void)pid;
    ticks_seen += ticks;
}

/* CPU of the postmaster, of its children that live, and of those it has buried. */
static double server_s(struct watch *w)
{
    int parent;
    long own = 0, childrens = 0;
    (void)stat_fields(w->postmaster, &parent, &own, &childrens);
    ticks_seen = own + childrens;
    each_backend(w, add_ticks);
    return (double)ticks_seen / (double)sysconf(_SC_CLK_TCK);
}

static struct backend *backend_of(struct watch *w, int pid)
{
    for (size_t i = 0; i < w->n; i++) {
        if (w->backend[i].pid == pid) {
            return &w->backend[i];
        }
    }
    if (w->n == MAX_BACKENDS) {
        return NULL;
    }
    w->backend[w->n] = (struct backend){.pid = pid};
    return &w->backend[w->n++];
}

static void mark_old(struct watch *w, int pid, long ticks)
{
    (void)ticks;
    struct backend *b = backend_of(w, pid);
    if (b) {
        b->old = true;
    }
}

static void add_memory(int pid, long *hwm_kb, long *rss_kb, long *pss_kb)
{
    char text[8192];
    if (read_proc(pid, "status", text, sizeof(text)) > 0) {
        long hwm = kb_of(text, "VmHWM:");
        *hwm_kb = hwm > *hwm_kb ? hwm : *hwm_kb;
    }
    if (read_proc(pid, "smaps_rollup", text, sizeof(text)) > 0) {
        *rss_kb += kb_of(text, "\nRss:");
        *pss_kb += kb_of(text, "\nPss:");
    }
}

static long rss_now, pss_now;

static void sample_backend(struct watch *w, int pid, long ticks)
{
    char cmdline[256];
    (void)ticks;
    struct backend *b = backend_of(w, pid);
    /* "postgres: USER DATABASE [local] ..." is a client's; autovacuum and the like are nobody's. */
    if (b && !b->old && read_proc(pid, "cmdline", cmdline, sizeof(cmdline)) > 0 &&
        strstr(cmdline, "[local]")) {
        add_memory(pid, &b->hwm_kb, &rss_now, &pss_now);
    }
}

static void sample(struct watch *w)
{
    rss_now = pss_now = 0;
    add_memory(w->command, &w->hwm_kb, &rss_now, &pss_now);
    each_backend(w, sample_backend);
    w->rss_kb = rss_now > w->rss_kb ? rss_now : w->rss_kb;
    w->pss_kb = pss_now > w->pss_kb ? pss_now : w->pss_kb;
}

static int start(char *const argv[])
{
    int pid = fork();
    if (pid == 0) {
        execvp(argv[0], argv);
        fprintf(stderr, "measure: %s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    return pid;
}

static int wait_for(struct watch *w, bool memory, struct rusage *usage)
{
    int status = 0;
    int64_t started = now_ms();
    while (memory && wait4(w->command, &status, WNOHANG, usage) == 0) {
        sample(w);
        long ms = now_ms() - started < FAST_FOR_MS ? FAST_MS : SLOW_MS;
        nanosleep(&(struct timespec){0, ms * 1000000}, NULL);
    }
    if (!memory) {
        while (wait4(w->command, &status, 0, usage) < 0 && errno == EINTR) {
        }
    }
    return status;
}

static void report(const struct watch *w, double wall_s, double server, const struct rusage *u)
{
    long hwm_kb = w->hwm_kb;
    unsigned backends = 0;
    for (size_t i = 0; i < w->n; i++) {
        hwm_kb += w->backend[i].hwm_kb;
        backends += w->backend[i].hwm_kb > 0;
    }
    double cpu_s = (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
                   (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
    printf("wall_s=%.4f cpu_s=%.4f server_s=%.2f rss_kb=%ld pss_kb=%ld hwm_kb=%ld backends=%u\n",
           wall_s, cpu_s, server, w->rss_kb, w->pss_kb, hwm_kb, backends);
}

int main(int argc, char **argv)
{
    bool memory = argc > 1 && strcmp(argv[1], "-m") == 0;
    int first = memory ? 2 : 1;
    if (argc < first + 2) {
        fprintf(stderr, "usage: measure [-m] POSTMASTER_PID COMMAND [ARG]...\n");
        return 2;
    }
    struct watch *w = calloc(1, sizeof(*w));
    struct rusage usage;
    struct timespec a, b;
    if (!w) {
        return 1;
    }
    w->postmaster = (int)strtol(argv[first], NULL, 10);
    each_backend(w, mark_old);
    double before = server_s(w);
    clock_gettime(CLOCK_MONOTONIC, &a);
    w->command = start(argv + first + 1);
    int status = w->command < 0 ? 1 : wait_for(w, memory, &usage);
    clock_gettime(CLOCK_MONOTONIC, &b);
    double wall_s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
    report(w, wall_s, server_s(w) - before, &usage);
    free(w);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
