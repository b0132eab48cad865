#include "fake/pg_cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <libpq-fe.h>
#include <linux/magic.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SKIPPED = 77, DEFAULT_CONNECTIONS = 50, START_TRIES = 600 };

struct pg_cluster {
    char dir[64]; /* short: a socket path holds 107 bytes */
    char data[80];
    char url[256];
    char text[4096];
    bool fsync;
    const char *const *env; /* or NULL */
    unsigned max_connections;
    pid_t server, janitor;
    int lifeline; /* closed when this process ends: the janitor waits for that */
    uid_t uid;
    gid_t gid;
    char user[64];
};

static void die(const char *what, const char *detail)
{
    fprintf(stderr, "pg_cluster: %s: %s\n", what, detail);
    exit(1);
}

static void pause_ms(long ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

/* ---- folders --------------------------------------------------------------------------------- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    (void)remove(path);
    return 0;
}

void pg_cluster_remove_tree(const char *path)
{
    (void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *pg_cluster_bin_dir(void)
{
    static char dir[64];
    for (int major = 30; major >= 15; major--) {
        char path[96];
        snprintf(dir, sizeof(dir), "/usr/lib/postgresql/%d/bin", major);
        snprintf(path, sizeof(path), "%s/initdb", dir);
        if (access(path, X_OK) == 0)
            return dir;
    }
    return NULL;
}

/* ---- processes ------------------------------------------------------------------------------- */

static void choose_user(struct pg_cluster *c)
{
    if (geteuid() != 0)
        return;
    const struct passwd *pw = getpwnam("postgres");
    if (pw == NULL)
        pw = getpwnam("nobody");
    if (pw == NULL)
        die("no user to run the server as", "need postgres or nobody");
    c->uid = pw->pw_uid;
    c->gid = pw->pw_gid;
    snprintf(c->user, sizeof(c->user), "%s", pw->pw_name);
}

/* In the child: becomes the server's user and dies with its parent. The death signal comes after
 * the change of user, which clears it. */
static void become(const struct pg_cluster *c, pid_t parent, int death_signal)
{
    if (c->user[0] != '\0' &&
        (initgroups(c->user, c->gid) != 0 || setgid(c->gid) != 0 || setuid(c->uid) != 0))
        _exit(126);
    if (prctl(PR_SET_PDEATHSIG, death_signal) != 0 || getppid() != parent || chdir(c->dir) != 0)
        _exit(126);
    char log[96];
    snprintf(log, sizeof(log), "%s/log", c->dir);
    int fd = open(log, O_CREAT | O_WRONLY | O_APPEND, 0600);
    if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
        _exit(126);
}

static pid_t spawn(const struct pg_cluster *c, char *argv[])
{
    char path[128];
    pid_t parent = getpid();
    snprintf(path, sizeof(path), "%s/%s", pg_cluster_bin_dir(), argv[0]);
    pid_t pid = fork();
    if (pid < 0)
        die("fork", strerror(errno));
    if (pid == 0) {
        become(c, parent, SIGQUIT);
        for (unsigned i = 0; c->env != NULL && c->env[i] != NULL; i++)
            (void)putenv((char *)(uintptr_t)c->env[i]);
        /* By its full name: initdb looks for postgres beside itself, and falls back to PATH
         * otherwise. */
        argv[0] = path;
        execv(path, argv);
        _exit(127);
    }
    return pid;
}

static int wait_for(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

static void show_log(const struct pg_cluster *c)
{
    char path[96], line[512];
    snprintf(path, sizeof(path), "%s/log", c->dir);
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        fputs(line, stderr);
    if (f != NULL)
        fclose(f);
}

/* The janitor survives us: it waits for the end of the lifeline, lets the server go (its death
 * signal has come by then) and removes the folder. */
static void start_janitor(struct pg_cluster *c)
{
    int fd[2];
    if (pipe2(fd, O_CLOEXEC) != 0)
        die("pipe", strerror(errno));
    c->janitor = fork();
    if (c->janitor < 0)
        die("fork", strerror(errno));
    if (c->janitor > 0) {
        close(fd[0]);
        c->lifeline = fd[1];
        return;
    }
    char path[96], byte;
    close(fd[1]);
    (void)setsid();
    for (int s = 1; s < 32; s++)
        (void)signal(s, SIG_IGN);
    while (read(fd[0], &byte, 1) > 0 || errno == EINTR)
        errno = 0;
    snprintf(path, sizeof(path), "%s/postmaster.pid", c->data);
    for (int i = 0; i < 500 && access(path, F_OK) == 0; i++)
        pause_ms(10);
    pg_cluster_remove_tree(c->dir);
    _exit(0);
}

static void init_data(struct pg_cluster *c)
{
    char *argv[] = {"initdb",    "-D",
                    c->data,     "-U",
                    "postgres",  "-A",
                    "trust",     "-E",
                    "UTF8",      "--locale=C.UTF-8",
                    "--no-sync", "--no-instructions",
                    NULL};
    int status = wait_for(spawn(c, argv));
    if (status != 0) {
        show_log(c);
        die("initdb failed", c->dir);
    }
}

bool pg_cluster_try(struct pg_cluster *c)
{
    char connections[48], sockets[112], fsync_arg[24];
    snprintf(connections, sizeof(connections), "max_connections=%u", c->max_connections);
    snprintf(sockets, sizeof(sockets), "unix_socket_directories=%s", c->dir);
    snprintf(fsync_arg, sizeof(fsync_arg), "fsync=%s", c->fsync ? "on" : "off");
    char *argv[] = {
        "postgres",  "-D", c->data,   "-c", "listen_addresses=",   "-c", sockets,   "-c",
        connections, "-c", fsync_arg, "-c", "shared_buffers=16MB", "-c", "jit=off", NULL};
    c->server = spawn(c, argv);
    for (int i = 0; i < START_TRIES; i++) {
        if (PQping(pg_cluster_url(c, "postgres")) == PQPING_OK)
            return true;
        if (waitpid(c->server, NULL, WNOHANG) == c->server) {
            c->server = 0;
            break;
        }
        pause_ms(20);
    }
    return false;
}

void pg_cluster_resume(struct pg_cluster *c)
{
    if (pg_cluster_try(c))
        return;
    show_log(c);
    die("the server does not start", c->dir);
}

void pg_cluster_set(struct pg_cluster *c, const char *const *env, bool fsync)
{
    c->env = env;
    c->fsync = fsync;
}

void pg_cluster_halt(struct pg_cluster *c, int signum)
{
    if (c->server <= 0)
        return;
    (void)kill(c->server, signum);
    (void)wait_for(c->server);
    c->server = 0;
}

/* Each database of a test is a thousand files: in memory they take half the time, where there is
 * plenty of it. What is about fsync lies on a disk. */
static const char *folder_for(bool fsync)
{
    static const char memory[] = "/dev/shm";
    struct statfs s;
    bool fits = !fsync && statfs(memory, &s) == 0 && s.f_type == TMPFS_MAGIC &&
                (uint64_t)s.f_bavail * (uint64_t)s.f_bsize >= (uint64_t)4 << 30 &&
                access(memory, W_OK | X_OK) == 0;
    return fits ? memory : "/tmp";
}

static struct pg_cluster *cluster_new(bool fsync, unsigned max_connections)
{
    if (pg_cluster_bin_dir() == NULL) {
        fprintf(stderr, "skipped: no PostgreSQL server programs (Debian: postgresql-15)\n");
        exit(SKIPPED);
    }
    struct pg_cluster *c = calloc(1, sizeof(*c));
    if (c == NULL)
        die("calloc", "no memory");
    c->fsync = fsync;
    c->max_connections = max_connections > 0 ? max_connections : DEFAULT_CONNECTIONS;
    choose_user(c);
    snprintf(c->dir, sizeof(c->dir), "%s/waymark-pg-XXXXXX", folder_for(fsync));
    if (mkdtemp(c->dir) == NULL)
        die("mkdtemp", strerror(errno));
    if (c->user[0] != '\0' && chown(c->dir, c->uid, c->gid) != 0)
        die("chown", strerror(errno));
    snprintf(c->data, sizeof(c->data), "%s/data", c->dir);
    start_janitor(c);
    return c;
}

struct pg_cluster *pg_cluster_start(bool fsync, unsigned max_connections)
{
    struct pg_cluster *c = cluster_new(fsync, max_connections);
    init_data(c);
    pg_cluster_resume(c);
    return c;
}

struct pg_cluster *pg_cluster_standby(const char *primary, unsigned max_connections)
{
    struct pg_cluster *c = cluster_new(false, max_connections);
    char *argv[] = {
        "pg_basebackup", "-D",        c->data, "-d", (char *)(uintptr_t)primary, "-R", "-c",
        "fast",          "--no-sync", NULL};
    if (wait_for(spawn(c, argv)) != 0) {
        show_log(c);
        die("pg_basebackup failed", primary);
    }
    pg_cluster_resume(c);
    return c;
}

struct pg_cluster *pg_cluster_free(struct pg_cluster *c)
{
    if (c == NULL)
        return NULL;
    pg_cluster_halt(c, SIGQUIT);
    close(c->lifeline);
    (void)wait_for(c->janitor);
    free(c);
    return NULL;
}

/* ---- SQL ----------------------------------------------------------------------------- */

const char *pg_cluster_url(struct pg_cluster *c, const char *dbname)
{
    snprintf(c->url, sizeof(c->url), "host=%s user=postgres dbname=%s", c->dir, dbname);
    return c->url;
}

const char *pg_cluster_dir(const struct pg_cluster *c)
{
    return c->dir;
}

const char *pg_cluster_text(struct pg_cluster *c, const char *dbname, const char *sql)
{
    PGconn *pg = PQconnectdb(pg_cluster_url(c, dbname));
    PGresult *res = PQexec(pg, sql);
    ExecStatusType status = PQresultStatus(res);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        die(sql, PQerrorMessage(pg));
    snprintf(c->text, sizeof(c->text), "%s", PQntuples(res) > 0 ? PQgetvalue(res, 0, 0) : "");
    PQclear(res);
    PQfinish(pg);
    return c->text;
}

void pg_cluster_exec(struct pg_cluster *c, const char *dbname, const char *sql)
{
    (void)pg_cluster_text(c, dbname, sql);
}

int64_t pg_cluster_i64(struct pg_cluster *c, const char *dbname, const char *sql)
{
    return strtoll(pg_cluster_text(c, dbname, sql), NULL, 10);
}

bool pg_cluster_database(struct pg_cluster *c, const char *name, bool with_postgis)
{
    char sql[128];
    snprintf(sql, sizeof(sql), "CREATE DATABASE \"%s\"", name);
    pg_cluster_exec(c, "postgres", sql);
    if (!with_postgis)
        return true;
    if (pg_cluster_i64(c, "postgres",
                       "SELECT count(*) FROM pg_available_extensions WHERE name = 'postgis'") == 0)
        return false;
    pg_cluster_exec(c, name, "CREATE EXTENSION postgis");
    return true;
}
