/* Facts in, verdict out: every check of waymark doctor. */
#include "cli/doctor.h"
#include "unit/base/helper.h"

#include <errno.h>

#define GB (INT64_C(1) << 30)

static struct doctor_facts f; /* a set-up that is well, but for what a case changes */
static struct doctor_migration applied[64];
static struct doctor_instance instance[2];

static void answer(struct doctor_part *p)
{
    *p = (struct doctor_part){.answered = true};
}

static void make_database(struct doctor_db *d)
{
    struct doctor_part *part[] = {&d->connected, &d->server, &d->load,      &d->rights,
                                  &d->zones,     &d->schema, &d->told,      &d->listening,
                                  &d->same,      &d->queue,  &d->instances, &d->strava};
    for (size_t i = 0; i < COUNT_OF(part); i++)
        answer(part[i]);
    d->where = "postgresql://me@db/x";
    d->version = "15.4";
    d->version_num = 150004;
    d->encoding = "UTF8";
    d->synchronous_commit = "on";
    d->checksums = d->fsync = d->full_page_writes = d->autovacuum = d->encrypted = true;
    d->room = 97;
    d->in_use = 7;
    d->role_limit = d->base_limit = -1;
    d->role = "me";
    d->name = "x";
    d->postgis = "3.3.2";
    d->postgis_offered = "3.3.2";
    d->postgis_schema = "public";
    d->sees_geography = d->may_create_schema = d->may_create_table = d->has_schema = true;
    d->knows_zurich = d->knows_newfoundland = d->heard = true;
    d->id_direct = d->id_url = "1 2 3";
    d->applied = applied;
    for (const struct db_migration *m = db_migrations; m->version != 0; m++)
        applied[d->napplied++] = (struct doctor_migration){m->version, m->name, m->sha256};
    d->subscription_id = 120475;
    d->subscription_url = "https://t/h";
    d->subscription_s = 7200;
    d->word = "w";
    d->instance = instance;
    d->ninstances = 1;
    instance[0] = instance[1] =
        (struct doctor_instance){.host = "h", .version = WAYMARK_VERSION, .pid = 7, .beat_ms = 900};
}

static void make(void)
{
    f = (struct doctor_facts){
        .conf = {.file = {.path = "/c.toml", .readable = true, .mode = 0640},
                 .looked = true,
                 .secrets = "database.url",
                 .has_url = true,
                 .has_direct = true,
                 .has_secret = true,
                 .secret_bytes = 32,
                 .url = {.readable = true, .remote = true, .host = "db", .sslmode = "require"},
                 .direct = {.readable = true, .remote = true, .host = "d", .sslmode = "require"},
                 .http_proxies = "",
                 .admin_proxies = "",
                 .log_level = "info",
                 .http_on = true,
                 .drain_ms = 25000,
                 .connections = 4,
                 .concurrency = 2,
                 .batch_mb = 16,
                 .route_cache_mb = 48,
                 .http_connections = 1024},
        .data =
            {.dir = "/d", .place = "/d", .writable = true, .free_bytes = 9 * GB, .free_files = -1},
        .temp = {.dir = "/t",
                 .place = "/t",
                 .writable = true,
                 .free_bytes = 9 * GB,
                 .free_files = 1000000,
                 .fs = DOCTOR_FS_MEMORY,
                 .fs_name = "tmpfs"},
        .data_done = true,
        .temp_done = true,
        .limits = {.files = 4096,
                   .files_most = 4096,
                   .memory_limit = 2 * GB,
                   .memory_available = GB,
                   .tasks_left = INT64_MAX,
                   .cores = 2},
        .limits_done = true,
        .http_done = true,
        .admin = {.admin = true},
        .admin_done = true,
        .cluster_done = true,
        .strava = {.on = true,
                   .keep = true,
                   .callback_url = "https://t/h",
                   .asked = {.answered = true},
                   .callback_ms = 30},
    };
    doctor__read_ports("*:8080, unix:/run/w.sock,systemd", &f.http);
    doctor__read_ports("127.0.0.1:9090", &f.admin);
    make_database(&f.db);
}

static void make_private(void)
{
    make();
    f.private_db = true;
    f.conf.has_url = f.conf.has_direct = false;
    f.cluster = (struct db_cluster_facts){.dir = (char *)(uintptr_t) "/d",
                                          .place = (char *)(uintptr_t) "/d",
                                          .bin = (char *)(uintptr_t) "/usr/lib/postgresql/15/bin",
                                          .writable = true,
                                          .major = 15,
                                          .postgis = DB_POSTGIS_FOUND};
}

static void expect(const char *file, int line, const char *name,
                   void (*check)(const struct doctor_facts *, struct doctor_verdict *),
                   enum doctor_status status, const char *finding, const char *remedy)
{
    struct doctor_verdict v = {0};
    check(&f, &v);
    if (v.status != status || !v.finding[0] || !strstr(v.finding, finding) ||
        !strstr(v.remedy, remedy) || (!remedy[0] && v.remedy[0]))
        fail_msg("%s:%d: %s: status %d, \"%s\", remedy \"%s\"", file, line, name, (int)v.status,
                 v.finding, v.remedy);
}
/* The set-up that is well, changed by the statements, gives this. remedy "": there is none. */
#define CASE(check, status, finding, remedy, ...)                                                  \
    do {                                                                                           \
        make();                                                                                    \
        __VA_ARGS__;                                                                               \
        expect(__FILE__, __LINE__, #check, doctor__check_##check, status, finding, remedy);        \
    } while (0)

static void unwell(struct err *e, const char *sqlstate, const char *msg)
{
    (void)err_set(e, ERR_PG, ERR_RETRY, "%s", msg);
    snprintf(e->sqlstate, sizeof(e->sqlstate), "%s", sqlstate);
}

static void test_all_is_well(void **state)
{
    (void)state;
    make();
    for (size_t i = 0; i < doctor_check_count; i++) {
        struct doctor_verdict v = {0};
        doctor_checks[i].run(&f, &v);
        bool idle = strncmp(doctor_checks[i].name, "private", 7) == 0;
        if (v.status != (idle ? DOCTOR_SKIPPED : DOCTOR_OK) || !v.finding[0] || v.remedy[0])
            fail_msg("%s: %d %s", doctor_checks[i].name, (int)v.status, v.finding);
    }
    make_private();
    expect(__FILE__, __LINE__, "programs", doctor__check_private_programs, DOCTOR_OK, "PostGIS",
           "");
    expect(__FILE__, __LINE__, "folder", doctor__check_private_folder, DOCTOR_OK, "/d", "");
    expect(__FILE__, __LINE__, "url", doctor__check_database_url, DOCTOR_SKIPPED, "private", "");
    expect(__FILE__, __LINE__, "same", doctor__check_same_database, DOCTOR_SKIPPED, "direct", "");
}

/* With nothing known each says so, and none looks at what is not there. */
static void test_nothing_is_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < doctor_check_count; i++) {
        struct doctor_verdict v = {0};
        f = (struct doctor_facts){
            .conf = {.log_level = "info", .http_proxies = "", .admin_proxies = ""},
            .data = {.dir = "/d"},
            .temp = {.dir = "/t"}};
        doctor_checks[i].run(&f, &v);
        assert_true(v.finding[0] != '\0');
    }
    CASE(memory, DOCTOR_FAIL, "in time", "", f.limits_done = false);
    CASE(data_disk, DOCTOR_FAIL, "in time", "mounted", f.data_done = false);
    CASE(http_port, DOCTOR_FAIL, "in time", "", f.http_done = false);
    make_private();
    f.cluster_done = false;
    expect(__FILE__, __LINE__, "folder", doctor__check_private_folder, DOCTOR_FAIL, "in time",
           "disk");
}

static void test_configuration(void **state)
{
    (void)state;
    CASE(configuration, DOCTOR_FAIL, "c.toml:3", "config check",
         (void)err_set(&f.conf.err, ERR_CONF, ERR_PERMANENT, "c.toml:3: wrong"));
    CASE(configuration, DOCTOR_WARN, "/etc/x", "read it", f.conf.unreadable = "/etc/x");
    CASE(configuration, DOCTOR_OK, "no file", "", f.conf.file.path = NULL);
    CASE(secrets, DOCTOR_WARN, "database.url", "chmod 640 /c.toml", f.conf.file.mode = 0644);
    CASE(secrets, DOCTOR_OK, "holds none", "", f.conf.file.mode = 0644, f.conf.secrets = "");
    CASE(secrets, DOCTOR_WARN, "change", "chmod o-w", f.conf.file.mode = 0642);
    CASE(secrets, DOCTOR_SKIPPED, "Permission", "", f.conf.file.errnum = EACCES);
    CASE(secrets, DOCTOR_SKIPPED, "no configuration file", "", f.conf.file.path = NULL);
    CASE(admin_secret, DOCTOR_FAIL, "15 characters", "openssl rand", f.conf.secret_bytes = 15);
    CASE(admin_secret, DOCTOR_OK, "", "", f.conf.secret_bytes = 16);
    CASE(admin_secret, DOCTOR_OK, "none given", "", f.conf.has_secret = false);
    static const char *const weak[] = {"disable", "allow", "prefer"};
    for (size_t i = 0; i < COUNT_OF(weak); i++) {
        CASE(database_url, DOCTOR_WARN, weak[i], "sslmode=verify-full",
             snprintf(f.conf.url.sslmode, sizeof(f.conf.url.sslmode), "%s", weak[i]));
        CASE(database_url, DOCTOR_WARN, weak[i], "sslmode=verify-full",
             snprintf(f.conf.direct.sslmode, sizeof(f.conf.direct.sslmode), "%s", weak[i]));
        CASE(database_url, DOCTOR_OK, "this machine", "", f.conf.has_direct = false,
             f.conf.url.remote = false,
             snprintf(f.conf.url.sslmode, sizeof(f.conf.url.sslmode), "%s", weak[i]));
    }
    CASE(database_url, DOCTOR_FAIL, "[database] url", "postgres://", f.conf.url.readable = false);
    CASE(database_url, DOCTOR_FAIL, "direct_url", "postgres://", f.conf.direct.readable = false);
    CASE(log_level, DOCTOR_WARN, "debug", "info", f.conf.log_level = "debug");
    CASE(stop_time, DOCTOR_OK, "2m", "", f.conf.drain_ms = 120000);
    CASE(stop_time, DOCTOR_WARN, "2m", "TimeoutStopSec", f.conf.drain_ms = 120000,
         f.conf.systemd = true);
}

static void test_private_database(void **state)
{
    (void)state;
#define PRIVATE(check, status, finding, remedy, ...)                                               \
    CASE(check, status, finding, remedy, make_private(), __VA_ARGS__)
    PRIVATE(private_programs, DOCTOR_FAIL, "no PostGIS", "postgresql-15-postgis-3",
            f.cluster.postgis = DB_POSTGIS_MISSING);
    PRIVATE(private_programs, DOCTOR_WARN, "usual places", "PostGIS 3",
            f.cluster.postgis = DB_POSTGIS_UNKNOWN);
    PRIVATE(private_programs, DOCTOR_FAIL, "install them", "",
            (void)err_set(&f.cluster.no_programs, ERR_CONF, ERR_PERMANENT, "install them"));
    PRIVATE(private_folder, DOCTOR_FAIL, "may not enter", "",
            (void)err_set(&f.cluster.no_way, ERR_CONF, ERR_PERMANENT, "may not enter"));
    PRIVATE(private_folder, DOCTOR_FAIL, "belongs", "",
            (void)err_set(&f.cluster.no_user, ERR_CONF, ERR_PERMANENT, "belongs"));
    PRIVATE(private_folder, DOCTOR_FAIL, "made by 13", "",
            (void)err_set(&f.cluster.bad_data, ERR_CONF, ERR_PERMANENT, "made by 13"));
    PRIVATE(private_folder, DOCTOR_FAIL, "write in /d", "--data-dir", f.cluster.writable = false);
}

static void test_connection(void **state)
{
    (void)state;
    static const char *const row[][2] = {{"28P01", "password"}, {"28000", "pg_hba"},
                                         {"3D000", "createdb"}, {"53300", "max_connections"},
                                         {"57P03", "wait"},     {"08001", "start the server"}};
    for (size_t i = 0; i < COUNT_OF(row); i++)
        CASE(connection, DOCTOR_FAIL, "cannot", row[i][1], f.db.connected.answered = false,
             unwell(&f.db.connected.err, row[i][0], "cannot"));
    CASE(connection, DOCTOR_FAIL, "find", "host", f.db.connected.answered = false,
         (void)err_set(&f.db.connected.err, ERR_UV, ERR_RETRY, "cannot find"));
    CASE(connection, DOCTOR_FAIL, "older", "", f.db.connected.answered = false,
         (void)err_set(&f.db.connected.err, ERR_CONF, ERR_PERMANENT, "older"));
    CASE(connection, DOCTOR_SKIPPED, "not running", "", f.db.connected.answered = false,
         f.db.why_not = "not running");
    CASE(schema, DOCTOR_SKIPPED, "no connection", "", f.db.rights.answered = false);
    CASE(encoding, DOCTOR_FAIL, "timeout", "", f.db.server.answered = false,
         unwell(&f.db.server.err, "57014", "timeout"));
    CASE(server, DOCTOR_FAIL, "14.1", "15", f.db.version_num = 140001, f.db.version = "14.1");
    CASE(server, DOCTOR_FAIL, "standby", "primary", f.db.standby = true);
    CASE(server, DOCTOR_FAIL, "read only", "default_transaction_read_only", f.db.read_only = true);
    CASE(encryption, DOCTOR_WARN, "not encrypted", "ssl = on", f.db.encrypted = false);
    CASE(encryption, DOCTOR_OK, "this machine", "", f.db.encrypted = false,
         f.conf.direct.remote = false);
    CASE(same_database, DOCTOR_FAIL, "different", "same", f.db.id_url = "1 2 4");
    CASE(same_database, DOCTOR_FAIL, "cannot", "password", f.db.same.answered = false,
         unwell(&f.db.same.err, "28P01", "cannot"));
    CASE(same_database, DOCTOR_SKIPPED, "direct_url", "", f.conf.has_direct = false);
    CASE(notify, DOCTOR_FAIL, "direct_url", "itself", f.db.heard = false);
    CASE(notify, DOCTOR_FAIL, "[database] url", "besides url", f.db.heard = false,
         f.conf.has_direct = false);
    CASE(notify, DOCTOR_FAIL, "listen", "", f.db.heard = false, f.db.listening.answered = false,
         unwell(&f.db.listening.err, "53300", "no connection to listen with"));
}

static void test_contents(void **state)
{
    (void)state;
    CASE(role, DOCTOR_FAIL, "q.job", "GRANT", f.db.not_usable = 3, f.db.not_usable_one = "q.job");
    CASE(role, DOCTOR_WARN, "own", "OWNER TO", f.db.not_owned = 3, f.db.not_owned_one = "q.job");
    CASE(role, DOCTOR_FAIL, "tables", "GRANT CREATE ON SCHEMA", f.db.may_create_table = false,
         f.db.has_schema = false);
    CASE(role, DOCTOR_WARN, "tables", "GRANT CREATE ON SCHEMA", f.db.may_create_table = false);
    CASE(role, DOCTOR_FAIL, "schemas", "GRANT CREATE ON DATABASE", f.db.may_create_schema = false,
         f.db.has_schema = false);
    CASE(role, DOCTOR_OK, "", "", f.db.may_create_schema = false);
    CASE(role, DOCTOR_OK, "superuser", "", f.db.superuser = true, f.db.may_create_table = false);
    CASE(postgis, DOCTOR_FAIL, "schema gis", "search_path", f.db.sees_geography = false,
         f.db.postgis_schema = "gis");
    CASE(postgis, DOCTOR_FAIL, "2.5", "UPDATE", f.db.postgis = "2.5.1");
    CASE(postgis, DOCTOR_FAIL, "no PostGIS", "postgresql-15-postgis-3", f.db.postgis = NULL,
         f.db.postgis_offered = NULL);
    CASE(postgis, DOCTOR_WARN, "not in this database", "migrate", f.db.postgis = NULL,
         f.db.superuser = true);
    CASE(postgis, DOCTOR_WARN, "not in this database", "migrate", f.db.postgis = NULL,
         f.db.postgis_trusted = true);
    CASE(postgis, DOCTOR_FAIL, "may not create", "superuser", f.db.postgis = NULL);
    CASE(schema, DOCTOR_WARN, "no Waymark schema", "migrate", f.db.has_schema = false);
    CASE(schema, DOCTOR_WARN, "1 migration is missing", "migrate", f.db.napplied--);
    CASE(schema, DOCTOR_WARN, "2 migrations are missing", "migrate", f.db.napplied -= 2);
    CASE(schema, DOCTOR_FAIL, "newer", "upgrade",
         applied[f.db.napplied++] = (struct doctor_migration){999, "x", "y"});
    CASE(schema, DOCTOR_FAIL, "0001_", "unmodified", applied[0].sha256 = "other");
    CASE(encoding, DOCTOR_FAIL, "LATIN1", "UTF8", f.db.encoding = "LATIN1");
    CASE(checksums, DOCTOR_OK, "off", "", f.db.checksums = false);
}

static void test_settings(void **state)
{
    (void)state;
    CASE(durability, DOCTOR_FAIL, "fsync", "fsync = on", f.db.fsync = false);
    CASE(durability, DOCTOR_WARN, "full_page", "= on", f.db.full_page_writes = false);
    CASE(durability, DOCTOR_WARN, "synchronous", "= on", f.db.synchronous_commit = "off");
    CASE(connections, DOCTOR_WARN, "97", "max_connections", f.db.in_use = 95);
    CASE(connections, DOCTOR_OK, "", "", f.db.in_use = 94);
    CASE(connections, DOCTOR_WARN, "97", "max_connections", f.db.in_use = 92, f.db.ninstances = 0);
    CASE(connections, DOCTOR_FAIL, "has 5", "max_connections", f.db.room = 5);
    CASE(connections, DOCTOR_FAIL, "role may have 5", "LIMIT", f.db.role_limit = 5);
    CASE(connections, DOCTOR_FAIL, "database may have 3", "LIMIT", f.db.base_limit = 3);
    CASE(timeouts, DOCTOR_WARN, "5m", "idle_session_timeout", f.db.idle_session_ms = 300000);
    CASE(timeouts, DOCTOR_WARN, "10s", "transaction_timeout", f.db.transaction_ms = 10000);
    CASE(timeouts, DOCTOR_WARN, "1s", "lock_timeout", f.db.lock_ms = 1000);
    CASE(timeouts, DOCTOR_OK, "", "", f.db.idle_session_ms = 3600000);
    CASE(clocks, DOCTOR_OK, "1.5 s ahead", "", f.db.clock_ms = 1500);
    CASE(clocks, DOCTOR_WARN, "2.5 s behind", "NTP", f.db.clock_ms = -2500);
    CASE(clocks, DOCTOR_FAIL, "40.0 s ahead", "NTP", f.db.clock_ms = 40000);
    CASE(zones, DOCTOR_FAIL, "Europe/Zurich", "tzdata", f.db.knows_zurich = false);
    CASE(zones, DOCTOR_FAIL, "St_Johns", "tzdata", f.db.knows_newfoundland = false);
    CASE(old_transactions, DOCTOR_OK, "none", "", f.db.oldest_s = 3600);
    CASE(old_transactions, DOCTOR_WARN, "2 h 3 min (pid 42)", "pg_terminate_backend(42)",
         f.db.oldest_s = 7380, f.db.oldest_pid = 42);
    CASE(vacuum, DOCTOR_WARN, "off", "autovacuum = on", f.db.autovacuum = false);
    CASE(vacuum, DOCTOR_WARN, "20000 dead", "VACUUM q.job", f.db.job_dead = 20000);
    CASE(vacuum, DOCTOR_OK, "", "", f.db.job_dead = 20000, f.db.job_live = 5000);
    CASE(notify_queue, DOCTOR_WARN, "30 %", "session", f.db.notify_share = 0.3);
    CASE(notify_queue, DOCTOR_FAIL, "95 %", "session", f.db.notify_share = 0.95);
}

static void test_host(void **state)
{
    (void)state;
    CASE(data_disk, DOCTOR_WARN, "512 MB", "free", f.data.free_bytes = GB / 2);
    CASE(data_disk, DOCTOR_FAIL, "128 MB", "free", f.data.free_bytes = GB / 8);
    CASE(data_disk, DOCTOR_WARN, "500 inodes", "remove", f.data.free_files = 500);
    CASE(data_disk, DOCTOR_FAIL, "5 inodes", "remove", f.data.free_files = 5);
    CASE(data_disk, DOCTOR_FAIL, "write", "--data-dir", f.data.writable = false);
    CASE(data_disk, DOCTOR_FAIL, "Stale", "mounted", f.data.errnum = ESTALE);
    CASE(data_disk, DOCTOR_WARN, "network", "this machine", f.data.fs = DOCTOR_FS_NETWORK);
    CASE(data_disk, DOCTOR_WARN, "memory", "disk", f.data.fs = DOCTOR_FS_MEMORY);
    CASE(data_disk, DOCTOR_OK, "", "", f.data.fs = DOCTOR_FS_LAYER);
    CASE(data_disk, DOCTOR_WARN, "container", "volume", f.data.fs = DOCTOR_FS_LAYER,
         f.limits.container = true);
    CASE(data_disk, DOCTOR_SKIPPED, "database", "", f.data.dir = NULL);
    CASE(temp_disk, DOCTOR_WARN, "network", "TMPDIR", f.temp.fs = DOCTOR_FS_NETWORK);
    CASE(temp_disk, DOCTOR_FAIL, "128 MB", "free", f.temp.free_bytes = GB / 8);
    CASE(files, DOCTOR_OK, "1000 allowed, raised to the 1092", "", f.limits.files = 1000);
    CASE(files, DOCTOR_WARN, "1000 allowed", "ulimit -n 1092", f.limits.files = 1000,
         f.limits.files_most = 1001);
    CASE(files, DOCTOR_WARN, "1000 allowed", "by root", f.limits.files = 1000,
         f.limits.files_most = 1000);
    CASE(files, DOCTOR_FAIL, "64 allowed", "LimitNOFILE=1092", f.limits.files = 64);
    CASE(files, DOCTOR_OK, "", "", f.limits.files = 80, f.conf.http_on = false);
    CASE(files, DOCTOR_OK, "no limit", "", f.limits.files = INT64_MAX);
    CASE(memory, DOCTOR_FAIL, "needs up to 140 MB", "route_cache_mb",
         f.limits.memory_limit = GB / 8);
    CASE(memory, DOCTOR_WARN, "free now", "route_cache_mb", f.limits.memory_available = GB / 8);
    CASE(memory, DOCTOR_FAIL, "needs up to 340 MB", "route_cache_mb", f.private_db = true,
         f.limits.memory_limit = GB / 4);
    CASE(memory, DOCTOR_SKIPPED, "", "", f.limits.memory_limit = 0);
    CASE(cores, DOCTOR_WARN, "5 batches", "concurrency", f.conf.concurrency = 5);
    CASE(cores, DOCTOR_WARN, "0.5 cores", "concurrency", f.limits.cores = 0.5);
    CASE(tasks, DOCTOR_FAIL, "5 more", "pids.max", f.limits.tasks_left = 5);
    CASE(tasks, DOCTOR_OK, "50 more", "", f.limits.tasks_left = 50);
}

static void listen_at(struct doctor_ports *p, const char *list)
{
    memset(p, 0, sizeof(*p));
    p->admin = p == &f.admin;
    doctor__read_ports(list, p);
}

static void test_ports(void **state)
{
    (void)state;
    CASE(http_port, DOCTOR_SKIPPED, "off", "", listen_at(&f.http, "off"));
    CASE(http_port, DOCTOR_FAIL, "must be", "", listen_at(&f.http, "nowhere"));
    CASE(http_port, DOCTOR_FAIL, "in use", "stop", f.http.port[0].errnum = EADDRINUSE,
         f.http.port[0].somebody = true);
    CASE(http_port, DOCTOR_OK, "running Waymark", "", f.http.port[0].errnum = EADDRINUSE,
         f.http.port[0].somebody = true, f.admin.port[0].answers = true);
    CASE(http_port, DOCTOR_FAIL, "denied", "CAP_NET_BIND", f.http.port[0].errnum = EACCES);
    CASE(http_port, DOCTOR_FAIL, "No such file", "create", f.http.port[1].errnum = ENOENT);
    CASE(http_port, DOCTOR_WARN, "2 more", "",
         listen_at(&f.http, "*:1,*:2,*:3,*:4,*:5,*:6,*:7,*:8,*:9,*:10"));
    CASE(http_port, DOCTOR_SKIPPED, "configuration", "",
         (void)err_set(&f.conf.err, ERR_CONF, ERR_PERMANENT, "x"));
    CASE(admin_port, DOCTOR_FAIL, "in use", "stop", f.admin.port[0].errnum = EADDRINUSE,
         f.admin.port[0].somebody = true);
    CASE(admin_port, DOCTOR_OK, "Waymark 9.9 answers", "", f.admin.port[0].errnum = EADDRINUSE,
         f.admin.port[0].somebody = f.admin.port[0].answers = true,
         snprintf(f.admin.port[0].version, sizeof(f.admin.port[0].version), "9.9"));
    CASE(proxies, DOCTOR_OK, "with a proxy in front", "", (void)0);
    CASE(proxies, DOCTOR_OK, "::1", "", f.conf.http_proxies = "::1");
    CASE(admin_reach, DOCTOR_OK, "", "", listen_at(&f.admin, "unix:/run/a,[::1]:9090,127.9.9.9:1"));
    CASE(admin_reach, DOCTOR_WARN, "other machines", "127.0.0.1", listen_at(&f.admin, "*:9090"));
    CASE(admin_reach, DOCTOR_FAIL, "Internet", "127.0.0.1", listen_at(&f.admin, "*:9090"),
         f.admin.public_interface = true);
    CASE(admin_reach, DOCTOR_WARN, "other machines", "127.0.0.1", listen_at(&f.admin, "*:9090"),
         f.admin.public_interface = true, f.conf.admin_proxies = "10.0.0.1");
    CASE(admin_reach, DOCTOR_WARN, "192.168.1.1:9", "proxy", listen_at(&f.admin, "192.168.1.1:9"));
    CASE(admin_reach, DOCTOR_FAIL, "8.8.8.8:9", "proxy", listen_at(&f.admin, "[::1]:9,8.8.8.8:9"));
}

static void test_scopes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum doctor_scope scope;
    } row[] = {
        {"127.0.0.1:1", DOCTOR_SCOPE_LOOPBACK},
        {"localhost:1", DOCTOR_SCOPE_LOOPBACK},
        {"[::1]:1", DOCTOR_SCOPE_LOOPBACK},
        {"unix:/x", DOCTOR_SCOPE_LOOPBACK},
        {"*:1", DOCTOR_SCOPE_ANY},
        {"0.0.0.0:1", DOCTOR_SCOPE_ANY},
        {"[::]:1", DOCTOR_SCOPE_ANY},
        {"10.1.2.3:1", DOCTOR_SCOPE_PRIVATE},
        {"172.16.0.1:1", DOCTOR_SCOPE_PRIVATE},
        {"172.31.255.1:1", DOCTOR_SCOPE_PRIVATE},
        {"172.32.0.1:1", DOCTOR_SCOPE_PUBLIC},
        {"192.168.0.1:1", DOCTOR_SCOPE_PRIVATE},
        {"100.64.0.1:1", DOCTOR_SCOPE_PRIVATE},
        {"100.128.0.1:1", DOCTOR_SCOPE_PUBLIC},
        {"169.254.1.1:1", DOCTOR_SCOPE_PRIVATE},
        {"[fd00::1]:1", DOCTOR_SCOPE_PRIVATE},
        {"[fe80::1]:1", DOCTOR_SCOPE_PRIVATE},
        {"[2001:db8::1]:1", DOCTOR_SCOPE_PRIVATE},
        {"203.0.113.9:1", DOCTOR_SCOPE_PRIVATE},
        {"[2606:4700::1]:1", DOCTOR_SCOPE_PUBLIC},
        {"9.9.9.9:1", DOCTOR_SCOPE_PUBLIC},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct doctor_ports p = {0};
        doctor__read_ports(row[i].text, &p);
        assert_int_equal(p.n, 1);
        if (p.port[0].kind == DOCTOR_PORT_BAD || p.port[0].scope != row[i].scope)
            fail_msg("%s: %d %s", row[i].text, (int)p.port[0].scope, p.port[0].bad.msg);
    }
}

static void test_queue(void **state)
{
    (void)state;
    CASE(instances, DOCTOR_OK, "0 at work", "", f.db.ninstances = 0);
    CASE(instances, DOCTOR_WARN, "version 0.0", "restart", f.db.ninstances = 2,
         instance[1].version = "0.0");
    CASE(instances, DOCTOR_WARN, "for 60 s", "log", instance[0].beat_ms = 60000);
    CASE(instances, DOCTOR_WARN, "drains", "--undo", instance[0].draining = true);
    CASE(unserved, DOCTOR_WARN, "trails", "waymark serve", f.db.unserved = "trails");
    CASE(dead_jobs, DOCTOR_WARN, "3 failed", "jobs list --state dead", f.db.dead = 3);
    CASE(lanes, DOCTOR_WARN, "athlete:1", "retry", f.db.halted = 1, f.db.halted_one = "athlete:1");
    CASE(schedules, DOCTOR_WARN, "weekly: no zone", "cron list", f.db.cron_problems = 1,
         f.db.cron_problem = "weekly: no zone");
    CASE(pauses, DOCTOR_OK, "in force in races", "", f.db.pauses = 1, f.db.paused = "races");
}

static void not_asked(const char *msg)
{
    f.strava.asked.answered = false;
    if (msg)
        (void)err_set(&f.strava.asked.err, ERR_HTTP, ERR_RETRY, "%s", msg);
}

static void test_strava(void **state)
{
    (void)state;
    CASE(callback, DOCTOR_SKIPPED, "not configured", "", f.strava.on = false);
    CASE(callback, DOCTOR_SKIPPED, "looking", "", f.strava.callback_url = NULL);
    CASE(callback, DOCTOR_SKIPPED, "not started", "", f.db.word = NULL);
    CASE(callback, DOCTOR_SKIPPED, "older", "", f.db.strava.answered = false,
         unwell(&f.db.strava.err, "42P01", "no table"));
    CASE(callback, DOCTOR_FAIL, "in time", "proxy", not_asked(NULL));
    CASE(callback, DOCTOR_FAIL, "404", "proxy", not_asked("answered 404"));
    CASE(callback, DOCTOR_FAIL, "refused", "waymark serve", not_asked("refused"),
         f.db.ninstances = 0);
    CASE(callback, DOCTOR_WARN, "1900 ms", "2 s", f.strava.callback_ms = 1900);
    CASE(subscription, DOCTOR_SKIPPED, "not configured", "", f.strava.on = false);
    CASE(subscription, DOCTOR_SKIPPED, "looking", "", f.strava.callback_url = NULL);
    CASE(subscription, DOCTOR_FAIL, "not verifiable", "sync subscribe",
         f.db.subscription_problem = "not verifiable");
    CASE(subscription, DOCTOR_WARN, "none yet", "sync subscribe", f.db.subscription_id = 0);
    CASE(subscription, DOCTOR_OK, "off", "", f.db.subscription_id = 0, f.strava.keep = false);
    CASE(subscription, DOCTOR_WARN, "elsewhere", "sync subscribe",
         f.db.subscription_url = "https://t/other");
    CASE(subscription, DOCTOR_WARN, "elsewhere", "restart", f.db.subscription_url = NULL);
    CASE(subscription, DOCTOR_WARN, "72h", "jobs list", f.db.subscription_s = 3 * 86400);
    CASE(subscription, DOCTOR_OK, "120475, looked at 2h ago", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_is_well),   cmocka_unit_test(test_nothing_is_known),
        cmocka_unit_test(test_configuration), cmocka_unit_test(test_private_database),
        cmocka_unit_test(test_connection),    cmocka_unit_test(test_contents),
        cmocka_unit_test(test_settings),      cmocka_unit_test(test_host),
        cmocka_unit_test(test_ports),         cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_queue),         cmocka_unit_test(test_strava),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
