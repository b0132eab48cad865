/* Facts of this machine: disks, limits, ports, files. In workers. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cli/doctor_look.h"

/* ---- disk ------------------------------------------------------------------------------------ */

/* Magic numbers of statfs(2). */
static const struct {
    uint32_t type;
    enum doctor_fs fs;
    const char *name;
} file_systems[] = {
    {0x6969, DOCTOR_FS_NETWORK, "nfs"},       {0xff534d42, DOCTOR_FS_NETWORK, "cifs"},
    {0xfe534d42, DOCTOR_FS_NETWORK, "smb2"},  {0x517b, DOCTOR_FS_NETWORK, "smb"},
    {0x00c36400, DOCTOR_FS_NETWORK, "ceph"},  {0x5346414f, DOCTOR_FS_NETWORK, "afs"},
    {0x01021997, DOCTOR_FS_NETWORK, "9p"},    {0x0bd00bd0, DOCTOR_FS_NETWORK, "lustre"},
    {0x01021994, DOCTOR_FS_MEMORY, "tmpfs"},  {0x858458f6, DOCTOR_FS_MEMORY, "ramfs"},
    {0x794c7630, DOCTOR_FS_LAYER, "overlay"},
};

static void find_place(struct doctor_disk *d)
{
    struct stat st;
    snprintf(d->place, sizeof(d->place), "%s", d->dir);
    while (stat(d->place, &st) != 0 && errno == ENOENT) {
        char *slash = strrchr(d->place, '/');
        if (!slash || slash == d->place) {
            snprintf(d->place, sizeof(d->place), "/");
            return;
        }
        *slash = '\0';
    }
}

void doctor__look_at_disk(struct doctor_disk *d)
{
    struct statvfs room;
    struct statfs kind;
    if (!d->dir)
        return;
    FAULT_POINT("doctor_disk");
    find_place(d);
    if (statvfs(d->place, &room) != 0 || statfs(d->place, &kind) != 0) {
        d->errnum = errno;
        return;
    }
    d->writable = access(d->place, W_OK | X_OK) == 0;
    d->free_bytes = (int64_t)room.f_bavail * (int64_t)room.f_frsize;
    d->free_files = room.f_files == 0 ? -1 : (int64_t)room.f_favail;
    for (size_t i = 0; i < COUNT_OF(file_systems); i++) {
        if ((uint32_t)kind.f_type == file_systems[i].type) {
            d->fs = file_systems[i].fs;
            snprintf(d->fs_name, sizeof(d->fs_name), "%s", file_systems[i].name);
        }
    }
}

/* ---- limits ---------------------------------------------------------------------------------- */

/* The beginning of a small file of the kernel's; "" when there is none. */
static char *slurp(const char *path, char *out, size_t n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t k = fd >= 0 ? read(fd, out, n - 1) : -1;
    if (fd >= 0)
        (void)close(fd);
    out[k > 0 ? k : 0] = '\0';
    return out;
}

/* The first number in text; fallback for "max" and for nothing. */
static int64_t number(const char *text, int64_t fallback)
{
    int64_t v = fallback;
    struct span s = {text, strcspn(text, " \n")};
    return span_to_i64(span_trim(s), 0, INT64_MAX, &v) == 0 ? v : fallback;
}

/* "MemAvailable:  123 kB" */
static int64_t of_meminfo(const char *text, const char *name)
{
    const char *p = strstr(text, name);
    if (!p)
        return 0;
    p += strlen(name);
    p += strspn(p, " ");
    return number(p, 0) * 1024;
}

static int64_t cgroup_value(const char *group, const char *file, int64_t fallback)
{
    char path[1400], text[64];
    snprintf(path, sizeof(path), "/sys/fs/cgroup%s/%s", group, file);
    return number(slurp(path, text, sizeof(text)), fallback);
}

/* "200000 100000": so many microseconds in a period of so many. */
static double cgroup_cores(const char *group)
{
    char path[1400], text[64];
    snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.max", group);
    slurp(path, text, sizeof(text));
    const char *space = strchr(text, ' ');
    int64_t quota = number(text, 0), period = space ? number(space + 1, 0) : 0;
    return quota > 0 && period > 0 ? (double)quota / (double)period : 0;
}

static void narrow(int64_t *v, int64_t to)
{
    if (to < *v)
        *v = to;
}

/* Ours and every group around it, version 2; in a container ours looks like the root. */
static void look_at_groups(struct doctor_limits *l)
{
    char text[2048], group[1024] = "";
    const char *own = strstr(slurp("/proc/self/cgroup", text, sizeof(text)), "0::/");
    if (own)
        snprintf(group, sizeof(group), "%.*s", (int)strcspn(own + 3, "\n"), own + 3);
    for (size_t n = strlen(group); n > 0 && group[n - 1] == '/'; n--)
        group[n - 1] = '\0';
    for (;;) {
        narrow(&l->memory_limit, cgroup_value(group, "memory.max", INT64_MAX));
        int64_t tasks = cgroup_value(group, "pids.max", INT64_MAX);
        if (tasks != INT64_MAX)
            narrow(&l->tasks_left, tasks - cgroup_value(group, "pids.current", 0));
        double cores = cgroup_cores(group);
        if (cores > 0 && cores < l->cores)
            l->cores = cores;
        char *slash = strrchr(group, '/');
        if (!slash)
            break;
        *slash = '\0';
    }
    narrow(&l->memory_limit, cgroup_value("", "memory/memory.limit_in_bytes", INT64_MAX)); /* v1 */
}

void doctor__look_at_limits(struct doctor_limits *l)
{
    char text[4096];
    struct rlimit files;
    cpu_set_t set;
    *l = (struct doctor_limits){.files = INT64_MAX, .files_most = INT64_MAX};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        l->files = files.rlim_cur == RLIM_INFINITY ? INT64_MAX : (int64_t)files.rlim_cur;
        l->files_most = files.rlim_max == RLIM_INFINITY ? INT64_MAX : (int64_t)files.rlim_max;
    }
    slurp("/proc/meminfo", text, sizeof(text));
    l->memory_limit = of_meminfo(text, "MemTotal:");
    l->memory_available = of_meminfo(text, "MemAvailable:");
    l->tasks_left = INT64_MAX;
    l->cores = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    l->container = access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0;
    look_at_groups(l);
}

/* ---- ports ----------------------------------------------------------------------------------- */

union name {
    struct sockaddr_storage any;
    struct sockaddr sa;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un un;
};

static enum doctor_scope scope_v4(uint32_t ip)
{
    if (ip == 0)
        return DOCTOR_SCOPE_ANY;
    if (ip >> 24 == 127)
        return DOCTOR_SCOPE_LOOPBACK;
    /* RFC 1918, RFC 6598, RFC 3927, RFC 5737 */
    bool private = ip >> 24 == 10 || ip >> 20 == 0xac1 || ip >> 16 == 0xc0a8 ||
                   ip >> 22 == 0x64400000u >> 22 || ip >> 16 == 0xa9fe || ip >> 8 == 0xc00002 ||
                   ip >> 8 == 0xc63364 || ip >> 8 == 0xcb0071;
    return private ? DOCTOR_SCOPE_PRIVATE : DOCTOR_SCOPE_PUBLIC;
}

enum doctor_scope doctor__scope(const struct sockaddr_storage *at)
{
    const union name u = {.any = *at};
    const struct in6_addr *six = &u.v6.sin6_addr;
    if (at->ss_family == AF_INET)
        return scope_v4(ntohl(u.v4.sin_addr.s_addr));
    if (at->ss_family != AF_INET6 || IN6_IS_ADDR_LOOPBACK(six))
        return DOCTOR_SCOPE_LOOPBACK;
    if (IN6_IS_ADDR_UNSPECIFIED(six))
        return DOCTOR_SCOPE_ANY;
    /* RFC 4193, RFC 4291, RFC 3849 */
    static const uint8_t examples[] = {0x20, 0x01, 0x0d, 0xb8};
    bool private = memcmp(six->s6_addr, examples, sizeof(examples)) == 0 ||
                   (six->s6_addr[0] & 0xfe) == 0xfc || IN6_IS_ADDR_LINKLOCAL(six);
    return private ? DOCTOR_SCOPE_PRIVATE : DOCTOR_SCOPE_PUBLIC;
}

static bool has_public_interface(void)
{
    struct ifaddrs *list = NULL;
    bool found = false;
    if (getifaddrs(&list) != 0)
        return false;
    for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
        union name u = {0};
        if (!i->ifa_addr ||
            (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
            continue;
        memcpy(&u, i->ifa_addr, i->ifa_addr->sa_family == AF_INET ? sizeof(u.v4) : sizeof(u.v6));
        found |= doctor__scope(&u.any) == DOCTOR_SCOPE_PUBLIC;
    }
    freeifaddrs(list);
    return found;
}

/* Bound as the service does, but not listened on: nobody can connect in between. */
static int try_bind(const union name *name)
{
    int on = 1, off = 0;
    bool six = name->sa.sa_family == AF_INET6;
    bool any = six && IN6_IS_ADDR_UNSPECIFIED(&name->v6.sin6_addr);
    int fd = socket(name->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int e = 0;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        (six && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, any ? &off : &on, sizeof(on)) < 0) ||
        bind(fd, &name->sa, six ? sizeof(name->v6) : sizeof(name->v4)) < 0)
        e = errno;
    (void)close(fd);
    return e;
}

static void look_at_tcp(struct doctor_port *p)
{
    union name name = {.any = p->at};
    if (name.sa.sa_family == AF_INET && name.v4.sin_port == 0)
        return;
    p->errnum = try_bind(&name);
    if (p->scope == DOCTOR_SCOPE_ANY && p->text[0] != '[' &&
        (p->errnum == EAFNOSUPPORT || p->errnum == EADDRNOTAVAIL)) {
        union name four = {.v4 = {.sin_family = AF_INET, .sin_port = name.v6.sin6_port}};
        p->errnum = try_bind(&four);
    }
    p->somebody = p->errnum == EADDRINUSE;
}

static void look_at_unix(struct doctor_port *p)
{
    union name name = {.any = p->at};
    struct stat st;
    char folder[sizeof(name.un.sun_path)];
    const char *slash = strrchr(name.un.sun_path, '/');
    snprintf(folder, sizeof(folder), "%.*s", (int)(slash - name.un.sun_path), name.un.sun_path);
    if (access(folder[0] ? folder : "/", W_OK | X_OK) != 0) {
        p->errnum = errno;
    } else if (lstat(name.un.sun_path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
        p->errnum = EEXIST;
    } else {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        p->somebody = fd >= 0 && (connect(fd, &name.sa, sizeof(name.un)) == 0 || errno == EAGAIN);
        p->errnum = p->somebody ? EADDRINUSE : 0;
        if (fd >= 0)
            (void)close(fd);
    }
}

/* "version":"1.2.3" of an answer, if it tells. */
static void take_version(struct doctor_port *p, const char *body)
{
    const char *at = strstr(body, "\"version\"");
    at = at ? strchr(at + strlen("\"version\""), '"') : NULL;
    if (at)
        snprintf(p->version, sizeof(p->version), "%.*s", (int)strcspn(at + 1, "\"\r\n"), at + 1);
}

void doctor__look_at_ports(struct doctor_ports *p)
{
    p->public_interface = has_public_interface();
    for (size_t i = 0; i < p->n; i++) {
        struct doctor_port *x = &p->port[i];
        struct cli_reply reply;
        struct err err;
        if (x->kind == DOCTOR_PORT_TCP)
            look_at_tcp(x);
        else if (x->kind == DOCTOR_PORT_UNIX)
            look_at_unix(x);
        if (p->admin && x->somebody &&
            cli__ask(&x->at, x->text, "/healthz", DOCTOR_ASK_MS, &reply, &err) == 0) {
            x->answers = reply.status == 200;
            take_version(x, reply.body);
        }
    }
}

/* ---- a file ---------------------------------------------------------------------------------- */

void doctor__look_at_file(struct doctor_file *f)
{
    struct stat st;
    if (!f->path)
        return;
    if (stat(f->path, &st) != 0) {
        f->errnum = errno;
        return;
    }
    f->mode = st.st_mode & 07777;
    f->owner = (long)st.st_uid;
    f->readable = access(f->path, R_OK) == 0;
}
