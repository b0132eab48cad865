/* waymark doctor on set-ups that are well and on such that are not: each fault is named with what
 * to do about it, none hides another, and nothing is changed. And waymark health. */
#include "it/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_MS = 15000 };

/* A server that keeps what it is told, as those of people do: without fsync doctor complains. */
static int up(void **state)
{
    if (it_up(state) != 0 || chmod(it_home(), 0755) != 0)
        return -1;
    pg_cluster_set(it_cluster(), NULL, true);
    pg_cluster_halt(it_cluster(), SIGINT);
    pg_cluster_resume(it_cluster());
    return 0;
}

/* Ports that are free anywhere, unless env says otherwise. */
static struct it_result doctor(struct it_db *db, const char *const *env)
{
    const char *all[20] = {NULL};
    unsigned n = 0;
    bool http = false, admin = false;
    for (; env != NULL && *env != NULL; env++) {
        http |= strncmp(*env, "WAYMARK_HTTP_LISTEN", 19) == 0;
        admin |= strncmp(*env, "WAYMARK_ADMIN_LISTEN", 20) == 0;
        all[n++] = *env;
    }
    if (!http)
        all[n++] = "WAYMARK_HTTP_LISTEN=127.0.0.1:0";
    if (!admin)
        all[n++] = "WAYMARK_ADMIN_LISTEN=127.0.0.1:0";
    struct it_result r = it_run(db, all, IT_LIST("doctor"));
    assert_in_range(r.ms, 0, MOST_MS);
    if (strstr(r.out, "hunter2") != NULL || strstr(r.err, "hunter2") != NULL)
        fail_msg("the password is shown: %s%s", r.out, r.err);
    return r;
}

/* A line of that status and check, with these words in it. */
static void line(const struct it_result *r, const char *status, const char *check,
                 const char *finding)
{
    const char *head = it_format("%-7s  %s  ", status, check);
    for (const char *p = r->out; p != NULL; p = strchr(p, '\n'), p += p != NULL) {
        const char *end = strchrnul(p, '\n'), *found = strstr(p, finding);
        if (strncmp(p, head, strlen(head)) == 0 && found != NULL && found < end)
            return;
    }
    print_error("%s%s", r->out, r->err); /* more than a message holds */
    fail_msg("no line \"%s\" with \"%s\"", head, finding);
}

static void status(const struct it_result *r, int want)
{
    if (r->status == want)
        return;
    print_error("%s%s", r->out, r->err);
    fail_msg("status %d instead of %d", r->status, want);
}

static void no_faults(const struct it_result *r, unsigned warnings)
{
    status(r, 0);
    if (strstr(r->out, it_format("\n0 FAIL, %u warn, ", warnings)) != NULL)
        return;
    print_error("%s%s", r->out, r->err);
    fail_msg("not %u warnings", warnings);
}

/* The scratch folder's; some machines have it in memory, which is warned of. */
static void data_disk(const struct it_result *r)
{
    line(r, it_in_memory() ? "warn" : "ok", "disk: data folder",
         it_in_memory() ? "in memory" : "GB free");
}

/* ---- private database ---------------------------------------------------------------------- */

static void nothing_there_yet(void **state)
{
    (void)state;
    const char *dir = it_format("%s/fresh/waymark", it_home());
    struct it_result r = doctor(NULL, IT_LIST(it_format("WAYMARK_DATA_DIR=%s", dir)));
    no_faults(&r, it_in_memory());
    line(&r, "ok", "private database: programs", "with PostGIS");
    line(&r, "ok", "private database: folder", "to be made");
    line(&r, "skipped", "database ", "not running");
    data_disk(&r);
    assert_int_equal(access(it_format("%s/fresh", it_home()), F_OK), -1);
}

static void private_and_running(void **state)
{
    (void)state;
    const char *dir = it_format("%s/private", it_home());
    const char *const *env = IT_LIST(it_format("WAYMARK_DATA_DIR=%s", dir));
    struct it_proc *p = it_start(NULL, env, IT_LIST("serve"));
    it_wait_for(p, "waymark is running", 90000);
    struct it_result r = doctor(NULL, env);
    no_faults(&r, it_in_memory());
    line(&r, "ok", "private database: folder", "with a database");
    line(&r, "ok", "schema", "version");
    line(&r, "ok", "instances", "1 at work");
    (void)it_serve_stop(p);
    r = doctor(NULL, env);
    no_faults(&r, it_in_memory());
    line(&r, "skipped", "database ", "not running");
}

static void folders_that_will_not_do(void **state)
{
    (void)state;
    const char *dir = load_folder("shut");
    load_folder("shut/in");
    assert_int_equal(chmod(dir, 0700), 0);
    if (geteuid() == 0) {
        struct it_result r = doctor(NULL, IT_LIST(it_format("WAYMARK_DATA_DIR=%s/in/deep", dir)));
        status(&r, 1);
        line(&r, "FAIL", "private database: folder", "chmod o+x");
    }
    load_folder("odd");
    load_folder("odd/pgdata");
    load_file("odd/pgdata/mine.txt", "x");
    struct it_result r = doctor(NULL, IT_LIST(it_format("WAYMARK_DATA_DIR=%s/odd", it_home())));
    status(&r, 1);
    line(&r, "FAIL", "private database: folder", "not a PostgreSQL data folder");
}

/* ---- a database of one's own --------------------------------------------------------------- */

static void all_is_well(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct it_result r = doctor(db, NULL);
    no_faults(&r, 0);
    line(&r, "ok", "LISTEN and NOTIFY", "arrives");
    line(&r, "ok", "PostGIS", "PostGIS 3");
    line(&r, "ok", "durability", "stays");
    line(&r, "skipped", "disk: data folder", "");
    it_holds(db, "NOT EXISTS (SELECT FROM q.instance)");

    const char *const *env =
        IT_LIST("WAYMARK_HTTP_LISTEN=127.0.0.1:0", "WAYMARK_ADMIN_LISTEN=127.0.0.1:0");
    r = it_must(db, env, IT_LIST("doctor", "--json"), 0);
    const char *param[] = {r.out};
    PGresult *res = it_ask(db,
                           "SELECT count(*), count(*) FILTER (WHERE x->>'status' IN ('ok',"
                           " 'skipped') AND x ? 'check' AND x ? 'finding' AND x ? 'remedy')"
                           " FROM jsonb_array_elements($1::jsonb) x",
                           1, param);
    assert_string_equal(PQgetvalue(res, 0, 0), PQgetvalue(res, 0, 1));
    assert_int_equal(strlen(PQgetvalue(res, 0, 0)), 2);
}

static void empty_database(void **state)
{
    (void)state;
    struct it_db *db = it_db_bare(false);
    struct it_result r = doctor(db, NULL);
    no_faults(&r, 2);
    line(&r, "warn", "PostGIS", "waymark migrate");
    line(&r, "warn", "schema", "waymark migrate");
    it_holds(db, "NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'postgis')");
    it_holds(db, "NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace)");
}

static void no_rights(void **state)
{
    (void)state;
    struct it_db *db = it_db_new(), *bare = it_db_bare(false);
    it_exec(db, "CREATE ROLE stranger LOGIN CONNECTION LIMIT 4");
    const char *env = it_format("WAYMARK_DATABASE_URL=%s user=stranger", db->url);
    struct it_result r = doctor(db, IT_LIST(env));
    status(&r, 1);
    line(&r, "FAIL", "rights of the role", "may not use");
    line(&r, "FAIL", "schema", "permission denied");
    line(&r, "FAIL", "dead jobs", "permission denied");
    line(&r, "FAIL", "connections", "CONNECTION LIMIT");
    line(&r, "ok", "encoding", "UTF8");
    r = doctor(bare, IT_LIST(it_format("WAYMARK_DATABASE_URL=%s user=stranger", bare->url)));
    status(&r, 1);
    line(&r, "FAIL", "PostGIS", "as a superuser");
    line(&r, "FAIL", "rights of the role", "GRANT CREATE ON SCHEMA public");
    it_exec(db, "GRANT USAGE ON SCHEMA q TO stranger; GRANT ALL ON ALL TABLES IN SCHEMA q, public"
                " TO stranger; ALTER ROLE stranger CONNECTION LIMIT -1");
    r = doctor(db, IT_LIST(env));
    no_faults(&r, 1);
    line(&r, "warn", "rights of the role", "does not own");
}

static void other_schemas(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "CREATE TEMP TABLE kept AS TABLE schema_migration");
    it_exec(db, "DELETE FROM schema_migration"
                " WHERE version = (SELECT max(version) FROM schema_migration)");
    struct it_result r = doctor(db, NULL);
    no_faults(&r, 1);
    line(&r, "warn", "schema", "1 migration is missing: waymark migrate");
    it_exec(db, "INSERT INTO schema_migration TABLE kept ON CONFLICT DO NOTHING;"
                "INSERT INTO schema_migration (version, name, sha256) VALUES (999, 'x', 'y')");
    r = doctor(db, NULL);
    status(&r, 1);
    line(&r, "FAIL", "schema", "migration 999: upgrade waymark");
    it_exec(db, "DELETE FROM schema_migration WHERE version = 999;"
                "UPDATE schema_migration SET sha256 = 'other' WHERE version = 2");
    r = doctor(db, NULL);
    status(&r, 1);
    line(&r, "FAIL", "schema", "0002_queue");
}

static void settings_of_a_database(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "ALTER DATABASE %s SET synchronous_commit = off", db->name);
    it_exec(db, "ALTER DATABASE %s SET idle_session_timeout = '1min'", db->name);
    struct it_result r = doctor(db, NULL);
    no_faults(&r, 2);
    line(&r, "warn", "durability", "synchronous_commit");
    line(&r, "warn", "timeouts of the server", "idle_session_timeout is 1m");
    it_exec(db, "ALTER DATABASE %s RESET ALL", db->name);
    it_exec(db, "ALTER DATABASE %s SET default_transaction_read_only = on", db->name);
    r = doctor(db, NULL);
    status(&r, 1);
    line(&r, "FAIL", "database server", "read only");
}

static void the_queue(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db,
            "INSERT INTO q.dead (id, queue, kind, prio, attempt, max_attempts, crashes, payload,"
            " created_at, reason) VALUES (1, 'trails', 'match', 0, 1, 5, 0, '{}', now(), 'x');"
            "INSERT INTO q.halted (lane, job) VALUES ('lane-of-7', 1);"
            "INSERT INTO q.pause (queue) VALUES ('races');"
            "SELECT q.add('[{\"queue\": \"lost\", \"kind\": \"match\"}]');"
            "INSERT INTO q.instance (host, place, pid, pid_started, version, queue, slots,"
            " beat_at) VALUES ('elsewhere', 'p', 7, 1, '0.0.1', 'trails', 1,"
            " now() - interval '50 s')");
    struct it_result r = doctor(db, NULL);
    no_faults(&r, 4);
    line(&r, "warn", "dead jobs", "waymark jobs list --state dead");
    line(&r, "warn", "lanes", "lane-of-7");
    line(&r, "warn", "queues", "lost");
    line(&r, "warn", "instances", "elsewhere (pid 7)");
    line(&r, "ok", "pauses", "in force in races");
    it_exec(db, "UPDATE q.instance SET beat_at = now()");
    r = doctor(db, NULL);
    line(&r, "warn", "instances", "version 0.0.1");
}

/* ---- no way to it -------------------------------------------------------------------------- */

static void database_down(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    pg_cluster_halt(it_cluster(), SIGINT);
    struct it_result r = doctor(db, IT_LIST("WAYMARK_DATA_DIR=/tmp"));
    status(&r, 1);
    line(&r, "FAIL", "database ", "start the server");
    line(&r, "skipped", "database server", "no connection");
    data_disk(&r);
    line(&r, "ok", "open files", "");
    pg_cluster_resume(it_cluster());
    PQreset(db->pg);
}

static void wrong_password(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    const char *path = it_format("%s/data/pg_hba.conf", pg_cluster_dir(it_cluster()));
    const char *text = it_format("local all locked scram-sha-256\n%s", it_read_file(path));
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    it_exec(db, "CREATE ROLE locked LOGIN PASSWORD 'right'");
    it_exec(db, "SELECT pg_reload_conf()");
    it_pause_ms(300);
    const char *host = pg_cluster_dir(it_cluster());
    struct it_result r = doctor(
        db, IT_LIST(it_format("WAYMARK_DATABASE_URL=postgres://locked:hunter2hunter2@/%s?host=%s",
                              db->name, host)));
    status(&r, 1);
    line(&r, "FAIL", "database ", "password authentication failed");
    line(&r, "FAIL", "database ", "correct user and password");
    r = doctor(
        db, IT_LIST(it_format("WAYMARK_DATABASE_URL=host=%s user=postgres dbname=nowhere", host)));
    status(&r, 1);
    line(&r, "FAIL", "database ", "createdb");
    r = doctor(db, IT_LIST("WAYMARK_DATABASE_URL=postgres://a:hunter2hunter2@[::1/x"));
    status(&r, 1);
    line(&r, "FAIL", "database url", "cannot be read");
}

/* Nobody answers at all: the whole still ends in time. */
static void silence(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    struct it_result r = doctor(
        db,
        IT_LIST(it_format("WAYMARK_DATABASE_URL=postgres://a@127.0.0.1:%d/x", ntohs(at.sin_port)),
                "WAYMARK_DATA_DIR=/tmp",
                it_format("WAYMARK_ADMIN_LISTEN=127.0.0.1:%d", ntohs(at.sin_port))));
    status(&r, 1);
    line(&r, "FAIL", "database ", "no answer within");
    line(&r, "FAIL", "admin.listen", "in use");
    data_disk(&r);
    close(fd);
}

/* ---- configuration ------------------------------------------------------------------------- */

static void unreadable_configuration(void **state)
{
    (void)state;
    const char *path = load_file("bad.toml", "[log]\nlevel = \"loud\"\n");
    struct it_result r = it_run(NULL, NULL, IT_LIST("doctor", "--config", path));
    status(&r, 78);
    line(&r, "FAIL", "configuration", "bad.toml:2: [log] level");
    line(&r, "ok", "disk: temporary files", "GB free");
    line(&r, "skipped", "http.listen", "cannot be read");
    line(&r, "skipped", "database ", "cannot be read");
    r = it_run(NULL, NULL, IT_LIST("doctor", "--config", "/nonexistent/c.toml"));
    status(&r, 78);
    struct it_db *db = it_db_new();
    r = it_run(db, NULL, IT_LIST("doctor", "--config", path));
    status(&r, 78);
    line(&r, "ok", "schema", "version");
}

static void secrets(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    const char *text = it_format("[database]\nurl = \"%s password=hunter2hunter2\"\n"
                                 "[admin]\nlisten = \"127.0.0.1:0\"\nsecret = \"short\"\n"
                                 "[http]\nlisten = \"off\"\n[log]\nlevel = \"debug\"\n"
                                 "[processor]\ndrain = \"3m\"\n",
                                 db->url);
    const char *path = load_file("open.toml", text);
    assert_int_equal(chmod(path, 0644), 0);
    struct it_result r =
        it_run(NULL, IT_LIST("INVOCATION_ID=1"), IT_LIST("doctor", "--config", path));
    status(&r, 1);
    line(&r, "warn", "secrets in files", "database.url, admin.secret");
    line(&r, "FAIL", "admin secret", "5 characters");
    line(&r, "warn", "log level", "debug");
    line(&r, "warn", "time to stop", "TimeoutStopSec");
    line(&r, "skipped", "http.listen", "off");
    line(&r, "ok", "schema", "version");
    assert_null(strstr(r.out, "hunter2"));
    assert_int_equal(chmod(path, 0600), 0);
    r = it_run(NULL, NULL, IT_LIST("doctor", "--config", path));
    line(&r, "ok", "secrets in files", "0600");
    load_file("secret.txt", "a-secret-that-is-long-enough\n");
    path = load_file("apart.toml", "[admin]\nsecret_file = \"secret.txt\"\n");
    assert_int_equal(chmod(path, 0644), 0);
    r = it_run(db, NULL, IT_LIST("doctor", "--config", path));
    line(&r, "ok", "secrets in files", "holds none");
    line(&r, "ok", "admin secret", "long enough");
}

static void weak_encryption(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct it_result r =
        doctor(db, IT_LIST("WAYMARK_DATABASE_URL=postgres://a@nowhere.invalid/x?sslmode=prefer"));
    status(&r, 1);
    line(&r, "warn", "database url", "sslmode=prefer to nowhere.invalid");
    line(&r, "FAIL", "database ", "cannot find the database host");
}

/* ---- machine ------------------------------------------------------------------------------- */

static void full_disk(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    const char *dir = load_folder("small");
    if (mount("tmpfs", dir, "tmpfs", 0, "size=64k,nr_inodes=50") != 0) {
        print_message("skipped: cannot mount (%s)\n", strerror(errno));
        return;
    }
    struct it_result r =
        doctor(db, IT_LIST(it_format("WAYMARK_DATA_DIR=%s/sub", dir), it_format("TMPDIR=%s", dir)));
    assert_int_equal(umount(dir), 0);
    status(&r, 1);
    line(&r, "FAIL", "disk: data folder", "only 0 MB are free");
    line(&r, "FAIL", "disk: temporary files", "only 0 MB are free");
    line(&r, "ok", "schema", "version");
}

#ifdef WAYMARK_FAULTS
/* As on a mount whose server has gone: no thread comes back from there. */
static void hanging_disk(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct it_result r =
        doctor(db, IT_LIST("WAYMARK_DATA_DIR=/tmp", "WAYMARK_FAULT=doctor_disk:1+:sleep:40000"));
    status(&r, 1);
    line(&r, "FAIL", "disk: data folder", "in time");
    line(&r, "FAIL", "disk: temporary files", "in time");
    line(&r, "ok", "schema", "version");
    line(&r, "ok", "http.listen", "free");
}
#endif

static void few_files(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct rlimit was;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    const struct rlimit few = {256, was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    struct it_result r = doctor(db, NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    no_faults(&r, 0);
    line(&r, "ok", "open files", "256 allowed, raised to the");
}

static void ports(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    struct it_result r =
        doctor(db, IT_LIST(it_format("WAYMARK_HTTP_LISTEN=*:%d", ntohs(at.sin_port)),
                           "WAYMARK_ADMIN_LISTEN=0.0.0.0:0"));
    close(fd);
    status(&r, 1);
    line(&r, "FAIL", "http.listen", "Address already in use: stop what listens there");
    /* FAIL where this machine has an address of the Internet. */
    assert_non_null(strstr(r.out, "0.0.0.0:0: metrics and queue pages can be reached from"));
    r = doctor(db, IT_LIST(it_format("WAYMARK_HTTP_LISTEN=unix:%s/none/h.sock", it_home()),
                           "WAYMARK_ADMIN_LISTEN=192.0.2.1:9090"));
    status(&r, 1);
    line(&r, "FAIL", "http.listen", "create its folder");
    line(&r, "FAIL", "admin.listen", "no interface of this machine");
    load_file("file.sock", "");
    r = doctor(db, IT_LIST(it_format("WAYMARK_HTTP_LISTEN=unix:%s/file.sock", it_home()),
                           "WAYMARK_ADMIN_LISTEN=everywhere"));
    status(&r, 1);
    line(&r, "FAIL", "http.listen", "no socket");
    line(&r, "FAIL", "admin.listen", "must be address:port");
    r = doctor(db, IT_LIST(it_format("WAYMARK_HTTP_LISTEN=unix:%s/h.sock, systemd", it_home())));
    no_faults(&r, 0);
    line(&r, "ok", "http.listen", "h.sock: free, systemd");
    assert_int_equal(access(it_format("%s/h.sock", it_home()), F_OK), -1);
}

/* ---- health -------------------------------------------------------------------------------- */

static pid_t helper; /* 0: there is none */

/* Of a test that failed. */
static int down(void **state)
{
    if (helper > 0)
        (void)kill(helper, SIGKILL);
    return it_down(state);
}

/* Answers each connection with that text, or with silence when it is NULL; slowly: a byte at a time
 * and never to the end. Returns its pid. */
static pid_t answering(int fd, const char *text, bool slowly)
{
    helper = fork();
    assert_true(helper >= 0);
    if (helper > 0)
        return helper;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* Not the lifeline of the cluster, among others. */
    if (dup2(fd, 0) != 0)
        _exit(1);
    fd = 0;
    (void)close_range(3, ~0U, 0);
    for (;;) {
        char asked[1024];
        int c = accept(fd, NULL, NULL);
        if (c < 0)
            _exit(1);
        if (text == NULL)
            continue;
        if (recv(c, asked, sizeof(asked), 0) < 0)
            _exit(1);
        for (const char *p = text; slowly && *p != '\0' && send(c, p, 1, MSG_NOSIGNAL) == 1; p++)
            usleep(200000);
        if (!slowly)
            (void)send(c, text, strlen(text), MSG_NOSIGNAL);
        shutdown(c, SHUT_RDWR);
        close(c);
    }
}

static void gone(pid_t pid)
{
    helper = 0;
    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

struct ear {
    int fd;
    const char *env;
};

static struct ear tcp_ear(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    struct ear e = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_int_equal(bind(e.fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(e.fd, 8), 0);
    assert_int_equal(getsockname(e.fd, (struct sockaddr *)&at, &n), 0);
    e.env = it_format("WAYMARK_ADMIN_LISTEN=systemd, *:%d", ntohs(at.sin_port));
    return e;
}

static struct ear unix_ear(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct ear e = {.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    snprintf(at.sun_path, sizeof(at.sun_path), "%s/admin.sock", it_home());
    (void)unlink(at.sun_path);
    assert_int_equal(bind(e.fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(e.fd, 8), 0);
    e.env = it_format("WAYMARK_ADMIN_LISTEN=unix:%s", at.sun_path);
    return e;
}

static void health(const struct ear *e, const char *text, bool slowly, int want, const char *said)
{
    pid_t pid = answering(e->fd, text, slowly);
    struct it_result r = it_run(NULL, IT_LIST(e->env), IT_LIST("health"));
    gone(pid);
    status(&r, want);
    assert_in_range(r.ms, 0, 5000);
    if (strstr(want == 0 ? r.out : r.err, said) == NULL)
        fail_msg("no \"%s\": %s%s", said, r.out, r.err);
    if (want != 0 &&
        (strncmp(r.err, "waymark: ", 9) != 0 || strchr(r.err, '\n') != r.err + strlen(r.err) - 1))
        fail_msg("not one line: %s", r.err);
}

static void healths(void **state)
{
    (void)state;
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
    const struct ear tcp = tcp_ear(), local = unix_ear();
    health(&tcp, ok, false, 0, "well");
    health(&local, ok, false, 0, "well");
    health(&tcp, "HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\nno room\r\n", false, 1,
           "503: no room");
    health(&local, "HTTP/1.0 404 Not Found\r\n\r\n", false, 1, "404");
    health(&tcp, NULL, false, 1, "no answer in time");
    health(&local, ok, true, 1, "no answer in time");
    health(&tcp, "SSH-2.0-x\r\n\r\n", false, 1, "does not speak HTTP");
    health(&tcp, "", false, 1, "does not speak HTTP");
    pid_t pid = answering(tcp.fd, ok, false);
    struct it_db *db = it_db_new();
    struct it_result r = it_must(NULL, IT_LIST(tcp.env), IT_LIST("health", "--ready", "--json"), 0);
    assert_string_equal(r.out, "{\"well\":true}\n");
    /* A service that is up is no fault. */
    r = doctor(db, IT_LIST(tcp.env, "WAYMARK_ADMIN_TRUSTED_PROXIES=127.0.0.1"));
    no_faults(&r, 1);
    line(&r, "ok", "admin.listen", "Waymark answers");
    line(&r, "warn", "reach of admin.listen", "other machines");
    gone(pid);
    close(tcp.fd);
    close(local.fd);
    r = it_must(NULL, IT_LIST(tcp.env), IT_LIST("health"), 1);
    assert_non_null(strstr(r.err, "Connection refused"));
    it_must(NULL, IT_LIST(local.env), IT_LIST("health"), 1);
    it_must(NULL, IT_LIST("WAYMARK_ADMIN_LISTEN=off"), IT_LIST("health"), 1);
    it_must(NULL, IT_LIST("WAYMARK_ADMIN_LISTEN=rubbish"), IT_LIST("health"), 78);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(nothing_there_yet),
        IT_TEST(private_and_running),
        IT_TEST(folders_that_will_not_do),
        IT_TEST(all_is_well),
        IT_TEST(empty_database),
        IT_TEST(no_rights),
        IT_TEST(other_schemas),
        IT_TEST(settings_of_a_database),
        IT_TEST(the_queue),
        IT_TEST(database_down),
        IT_TEST(wrong_password),
        IT_TEST(silence),
        IT_TEST(unreadable_configuration),
        IT_TEST(secrets),
        IT_TEST(weak_encryption),
        IT_TEST(full_disk),
#ifdef WAYMARK_FAULTS
        IT_TEST(hanging_disk),
#endif
        IT_TEST(few_files),
        IT_TEST(ports),
        IT_TEST(healths),
    };
    return cmocka_run_group_tests(tests, up, down);
}
