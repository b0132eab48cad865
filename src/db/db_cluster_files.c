/* Paths, programs, users and files of the embedded cluster. Small file operations, at start-up
 * only. */
#include "db/cluster.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_MAX_BYTES (10 * 1024 * 1024)
#define SOCKET_MAX    100
#define OLDEST_MAJOR  15
#define NEWEST_MAJOR  40
#define MAX_GROUPS    64

static char *path_of(const char *dir, const char *name)
{
    struct buf b = {0};
    buf_printf(&b, "%s/%s", dir, name);
    return b.p;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    (void)remove(path);
    return 0;
}

void db__remove_tree(const char *path)
{
    (void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- programs -------------------------------------------------------------------------------- */

static bool has_programs(const char *bin)
{
    char *initdb = path_of(bin, "initdb"), *postgres = path_of(bin, "postgres");
    bool ok = access(initdb, X_OK) == 0 && access(postgres, X_OK) == 0;
    mem_free(initdb);
    mem_free(postgres);
    return ok;
}

static char *bin_of_major(int major)
{
    struct buf b = {0};
    buf_printf(&b, "/usr/lib/postgresql/%d/bin", major);
    if (has_programs(b.p))
        return b.p;
    buf_done(&b);
    return NULL;
}

/* Where the programs really are: what lies in PATH is often a link, and the real path tells the
 * version. */
static char *real_bin(const char *bin)
{
    char *postgres = path_of(bin, "postgres");
    char *real = realpath(postgres, NULL);
    mem_free(postgres);
    if (real == NULL)
        return mem_strdup(bin);
    *strrchr(real, '/') = '\0';
    char *copy = mem_strdup(real);
    free(real);
    return copy;
}

static char *bin_in_path(void)
{
    const char *path = getenv("PATH");
    while (path != NULL && *path != '\0') {
        size_t n = strcspn(path, ":");
        struct buf b = {0};
        buf_put(&b, path, n);
        char *found = n > 0 && path[0] == '/' && has_programs(b.p) ? real_bin(b.p) : NULL;
        buf_done(&b);
        if (found != NULL)
            return found;
        path += n;
        path += *path == ':';
    }
    return NULL;
}

/* "15" of pgdata/PG_VERSION; 0 when there is none. */
int db__cluster_data_major(const struct db_cluster *c)
{
    char text[16] = "";
    int64_t major;
    char *path = path_of(c->data, "PG_VERSION");
    FILE *f = fopen(path, "re");
    mem_free(path);
    if (f == NULL)
        return 0;
    if (fgets(text, sizeof(text), f) == NULL)
        text[0] = '\0';
    (void)fclose(f);
    return span_to_i64(span_trim(span_of(text)), 1, 1000, &major) == 0 ? (int)major : 0;
}

/* Existing data decide which version: a newer one would refuse them. */
int db__cluster_find_programs(struct db_cluster *c, const char *given, struct err *err)
{
    if (given != NULL) {
        if (has_programs(given)) {
            c->bin = real_bin(given);
            return 0;
        }
        return err_set(err, ERR_CONF, ERR_PERMANENT, "no initdb and postgres in %s", given);
    }
    int major = db__cluster_data_major(c);
    if (major > 0)
        c->bin = bin_of_major(major);
    for (int i = NEWEST_MAJOR; c->bin == NULL && major == 0 && i >= OLDEST_MAJOR; i--)
        c->bin = bin_of_major(i);
    if (c->bin == NULL)
        c->bin = bin_in_path();
    if (c->bin != NULL)
        return 0;
    if (major > 0)
        return err_set(err, ERR_CONF, ERR_PERMANENT,
                       "%s was made by PostgreSQL %d, whose server programs are not installed: "
                       "install them (Debian: "
                       "postgresql-%d and postgresql-%d-postgis-3)",
                       c->data, major, major, major);
    return err_set(err, ERR_CONF, ERR_PERMANENT,
                   "no PostgreSQL server programs (initdb, postgres) found: install them (Debian: "
                   "postgresql-15-postgis-3), or set [database] url to a server");
}

/* ---- users and folders ----------------------------------------------------------------------- */

/* As root the server runs as whoever owns existing data, else as postgres, else as nobody. */
int db__cluster_choose_user(struct db_cluster *c, struct err *err)
{
    struct stat st;
    c->uid = geteuid();
    c->gid = getegid();
    /* As root even an empty folder tells who is to have it: the service's user, with systemd. */
    bool exists = stat(c->data, &st) == 0 || (c->uid == 0 && stat(c->dir, &st) == 0);
    if (c->uid != 0) {
        if (!exists || st.st_uid == c->uid)
            return 0;
        return err_set(err, ERR_CONF, ERR_PERMANENT,
                       "%s belongs to user %ld and we run as %ld: run as its owner", c->data,
                       (long)st.st_uid, (long)c->uid);
    }
    const struct passwd *pw = exists && st.st_uid != 0 ? getpwuid(st.st_uid) : getpwnam("postgres");
    if (pw == NULL && !(exists && st.st_uid != 0))
        pw = getpwnam("nobody");
    if (pw == NULL && !(exists && st.st_uid != 0))
        return err_set(err, ERR_CONF, ERR_PERMANENT,
                       "PostgreSQL does not run as root and there is no user postgres or nobody: "
                       "create one, or run "
                       "waymark as an ordinary user");
    c->switch_user = true;
    c->uid = pw != NULL ? pw->pw_uid : st.st_uid;
    c->gid = pw != NULL ? pw->pw_gid : st.st_gid;
    c->user = pw != NULL ? mem_strdup(pw->pw_name) : NULL;
    return 0;
}

static bool may_search(const struct db_cluster *c, const struct stat *st)
{
    gid_t groups[MAX_GROUPS] = {c->gid};
    int n = MAX_GROUPS;
    if (st->st_uid == c->uid)
        return (st->st_mode & S_IXUSR) != 0;
    if (c->user == NULL || getgrouplist(c->user, c->gid, groups, &n) < 0)
        n = 1;
    for (int i = 0; i < n; i++)
        if (groups[i] == st->st_gid)
            return (st->st_mode & S_IXGRP) != 0;
    return (st->st_mode & S_IXOTH) != 0;
}

/* Every folder on the way to dir must be open to the server's user. */
int db__cluster_check_parents(const struct db_cluster *c, struct err *err)
{
    char path[4096];
    struct stat st;
    if (!c->switch_user)
        return 0;
    for (size_t n = 1; n <= strlen(c->dir); n++) {
        if (c->dir[n] != '/' && c->dir[n] != '\0')
            continue;
        snprintf(path, sizeof(path), "%.*s", (int)n, c->dir);
        if (stat(path, &st) != 0)
            return err_sys(err, errno, "%s", path);
        if (!may_search(c, &st))
            return err_set(err, ERR_CONF, ERR_PERMANENT,
                           "user %s, as whom PostgreSQL runs, may not enter %s: run chmod o+x %s, "
                           "or choose another "
                           "data folder",
                           c->user != NULL ? c->user : "?", path, path);
    }
    return 0;
}

static int cannot_write(struct err *err, const char *path, int errnum)
{
    return err_set_code(err, ERR_CONF, ERR_PERMANENT, errnum,
                        "cannot make %s: %s: choose a writable data folder", path,
                        strerror(errnum));
}

static int make_dir(const char *path, mode_t mode, struct err *err)
{
    struct stat st;
    if (mkdir(path, mode) == 0 || (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)))
        return 0;
    if (errno == EEXIST)
        errno = ENOTDIR;
    return cannot_write(err, path, errno);
}

static int make_parents(const char *dir, struct err *err)
{
    char path[4096];
    for (size_t n = 1; dir[n] != '\0'; n++) {
        if (dir[n] != '/')
            continue;
        snprintf(path, sizeof(path), "%.*s", (int)n, dir);
        if (make_dir(path, 0755, err) < 0)
            return -1;
    }
    return 0;
}

/* For the server's user alone, and never through a link that somebody else put there first. */
static int make_private_dir(const struct db_cluster *c, const char *path, struct err *err)
{
    struct stat st;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return cannot_write(err, path, errno);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "%s", path);
    int r = fstat(fd, &st);
    bool ours = r == 0 && (st.st_uid == c->uid || st.st_uid == geteuid());
    if (ours)
        r = fchown(fd, c->uid, c->gid) != 0 || fchmod(fd, 0700) != 0;
    int errnum = errno;
    (void)close(fd);
    if (!ours)
        return err_set(err, ERR_CONF, ERR_PERMANENT, "%s belongs to somebody else: remove it",
                       path);
    return r == 0 ? 0 : err_sys(err, errnum, "%s", path);
}

static int make_folders(struct db_cluster *c, struct err *err)
{
    struct stat st;
    char *log_dir = path_of(c->dir, "log");
    int r = make_parents(c->dir, err);
    if (r == 0)
        r = make_dir(c->dir, c->switch_user ? 0711 : 0700, err);
    /* Our own folder: the server's user must get through it, and sees nothing on the way. */
    if (r == 0 && c->switch_user && stat(c->dir, &st) == 0 && st.st_uid == geteuid() &&
        !(st.st_mode & S_IXOTH))
        (void)chmod(c->dir, (st.st_mode & 07777) | S_IXGRP | S_IXOTH);
    if (r == 0 && access(c->dir, W_OK) != 0)
        r = cannot_write(err, c->data, errno);
    if (r == 0)
        r = db__cluster_check_parents(c, err);
    if (r == 0)
        r = make_dir(log_dir, 0700, err);
    mem_free(log_dir);
    return r == 0 ? make_private_dir(c, c->run, err) : r;
}

/* A socket address holds 107 bytes; the folder of a long path lies under /tmp then, under a name of
 * its own. */
static char *socket_dir(const char *dir)
{
    char *run = path_of(dir, "run");
    if (strlen(run) + strlen("/.s.PGSQL.5432.lock") <= SOCKET_MAX && strchr(run, ',') == NULL)
        return run;
    uint64_t h = 14695981039346656037u;
    for (const char *p = dir; *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * 1099511628211u;
    struct buf b = {0};
    buf_printf(&b, "/tmp/waymark-%016llx", (unsigned long long)h);
    mem_free(run);
    return b.p;
}

static char *url_for(const struct db_cluster *c, const char *dbname)
{
    struct buf b = {0};
    buf_puts(&b, "host='");
    for (const char *p = c->run; *p != '\0'; p++) {
        if (*p == '\'' || *p == '\\')
            buf_putc(&b, '\\');
        buf_putc(&b, *p);
    }
    buf_printf(&b, "' port=5432 user=waymark dbname=%s sslmode=disable gssencmode=disable", dbname);
    return b.p;
}

static int fill_conf(struct db_conf *conf, struct db__dsn **dsn, char *url, struct err *err)
{
    const struct db_conf from = {.url = url, .max_conns = 1, .application_name = "waymark cluster"};
    db__conf_copy(conf, &from);
    *dsn = db__dsn_new(url, err);
    return *dsn != NULL ? 0 : -1;
}

int db__cluster_name(struct db_cluster *c, const struct db_cluster_conf *conf, struct err *err)
{
    if (conf->dir == NULL || conf->dir[0] != '/' || strlen(conf->dir) > 3000)
        return err_set(err, ERR_CONF, ERR_PERMANENT,
                       "the data folder must be an absolute path, this is \"%s\"",
                       conf->dir != NULL ? conf->dir : "");
    c->dir = mem_strdup(conf->dir);
    for (size_t n = strlen(c->dir); n > 1 && c->dir[n - 1] == '/'; n--)
        c->dir[n - 1] = '\0';
    c->data = path_of(c->dir, "pgdata");
    c->run = socket_dir(c->dir);
    c->log = path_of(c->dir, "log/postgres.log");
    c->max_connections = conf->max_connections > 0 ? conf->max_connections : 30;
    c->shared_buffers_mb = conf->shared_buffers_mb > 0 ? conf->shared_buffers_mb : 32;
    c->url = url_for(c, "waymark");
    return 0;
}

int db__cluster_prepare(struct db_cluster *c, const struct db_cluster_conf *conf, struct err *err)
{
    if (db__cluster_name(c, conf, err) < 0)
        return -1;
    char *admin = url_for(c, "postgres");
    int r = fill_conf(&c->conf, &c->dsn, c->url, err);
    if (r == 0)
        r = fill_conf(&c->admin_conf, &c->admin_dsn, admin, err);
    mem_free(admin);
    if (r == 0)
        r = db__cluster_choose_user(c, err);
    if (r == 0)
        r = make_folders(c, err);
    return r == 0 ? db__cluster_find_programs(c, conf->bin_dir, err) : r;
}

int db__cluster_lock(struct db_cluster *c, struct err *err)
{
    if (c->lock_fd < 0) {
        char *path = path_of(c->dir, "owner.lock");
        c->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        int errnum = errno;
        if (c->lock_fd < 0)
            err_set_code(err, ERR_CONF, ERR_PERMANENT, errnum, "cannot open %s: %s", path,
                         strerror(errnum));
        mem_free(path);
        if (c->lock_fd < 0)
            return -1;
    }
    if (flock(c->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 1;
    if (errno == EWOULDBLOCK || errno == EINTR)
        return 0;
    return err_sys(err, errno, "locking %s/owner.lock", c->dir);
}

/* ---- pgdata ---------------------------------------------------------------------------------- */

static bool is_empty(const char *path)
{
    DIR *d = opendir(path);
    bool empty = true;
    if (d == NULL)
        return false;
    for (const struct dirent *e = readdir(d); e != NULL && empty; e = readdir(d))
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    (void)closedir(d);
    return empty;
}

/* The major version that "/usr/lib/postgresql/NN/bin" names; 0 elsewhere: then the server itself
 * says what is wrong. */
int db__cluster_bin_major(const char *bin)
{
    static const char prefix[] = "/usr/lib/postgresql/";
    int64_t major;
    if (strncmp(bin, prefix, sizeof(prefix) - 1) != 0)
        return 0;
    const char *p = bin + sizeof(prefix) - 1;
    return span_to_i64((struct span){p, strcspn(p, "/")}, 1, 1000, &major) == 0 ? (int)major : 0;
}

int db__cluster_inspect(struct db_cluster *c, struct err *err)
{
    struct stat st;
    int major = db__cluster_data_major(c), programs = db__cluster_bin_major(c->bin);
    if (major > 0 && programs > 0 && major != programs)
        return err_set(err, ERR_CONF, ERR_PERMANENT,
                       "%s was made by PostgreSQL %d, but %s is version %d: install postgresql-%d, "
                       "or move the data with "
                       "pg_upgradecluster or pg_dump",
                       c->data, major, c->bin, programs, major);
    if (major > 0)
        return 1;
    /* initdb's folder may take the place of an empty one, but of nothing else. */
    if (lstat(c->data, &st) != 0 || (S_ISDIR(st.st_mode) && is_empty(c->data)))
        return 0;
    return err_set(err, ERR_CONF, ERR_PERMANENT,
                   "%s exists but is not a PostgreSQL data folder (no PG_VERSION in it): move it "
                   "away, or restore it from "
                   "a backup",
                   c->data);
}

char *db__cluster_new_data(struct db_cluster *c, struct err *err)
{
    struct buf b = {0};
    buf_printf(&b, "%s.tmp-%ld", c->data, (long)getpid());
    db__remove_tree(b.p);
    if (make_private_dir(c, b.p, err) == 0)
        return b.p;
    buf_done(&b);
    return NULL;
}

int db__cluster_adopt_data(struct db_cluster *c, const char *tmp, struct err *err)
{
    if (rename(tmp, c->data) != 0)
        return err_sys(err, errno, "renaming %s to %s", tmp, c->data);
    /* initdb has synced the files; the new name is ours to sync. */
    int fd = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
    return 0;
}

void db__cluster_clean(struct db_cluster *c)
{
    static const char prefix[] = "pgdata.tmp-";
    const char *const stale[][2] = {
        {c->data, "postmaster.pid"}, {c->run, ".s.PGSQL.5432"}, {c->run, ".s.PGSQL.5432.lock"}};
    DIR *d = opendir(c->dir);
    for (const struct dirent *e = d != NULL ? readdir(d) : NULL; e != NULL; e = readdir(d)) {
        if (strncmp(e->d_name, prefix, sizeof(prefix) - 1) != 0)
            continue;
        char *path = path_of(c->dir, e->d_name);
        log_info("removing a half-made data folder", L_S("path", path));
        db__remove_tree(path);
        mem_free(path);
    }
    if (d != NULL)
        (void)closedir(d);
    for (size_t i = 0; i < COUNT_OF(stale); i++) {
        char *path = path_of(stale[i][0], stale[i][1]);
        (void)unlink(path);
        mem_free(path);
    }
}

/* ---- log ----------------------------------------------------------------------------- */

void db__cluster_rotate_log(struct db_cluster *c)
{
    struct stat st;
    c->log_start = 0;
    if (stat(c->log, &st) != 0)
        return;
    if (st.st_size <= LOG_MAX_BYTES) {
        c->log_start = st.st_size;
        return;
    }
    struct buf old = {0};
    buf_printf(&old, "%s.1", c->log);
    (void)rename(c->log, old.p);
    buf_done(&old);
}

char *db__cluster_log_reason(const struct db_cluster *c, char out[300])
{
    static const char *const marks[] = {"FATAL:", "PANIC:", "error:", "DETAIL:"};
    char line[300];
    bool marked = false;
    snprintf(out, 300, "no message in %s", c->log);
    FILE *f = fopen(c->log, "re");
    if (f == NULL || fseeko(f, c->log_start, SEEK_SET) != 0) {
        if (f != NULL)
            (void)fclose(f);
        return out;
    }
    while (fgets(line, sizeof(line), f) != NULL) {
        struct span s = span_trim(span_of(line));
        const char *mark = NULL;
        for (size_t i = 0; i < COUNT_OF(marks) && mark == NULL; i++)
            mark = strstr(line, marks[i]);
        if (s.n == 0 || (marked && mark == NULL))
            continue;
        if (mark != NULL)
            s = span_trim(span_of(mark));
        marked = marked || mark != NULL;
        snprintf(out, 300, "%.*s", (int)s.n, s.p);
    }
    (void)fclose(f);
    return out;
}
