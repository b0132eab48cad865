/* The cluster, databases and queries. */
#include "it/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

enum { OPEN_MAX_DBS = 16 };

static struct pg_cluster *cluster;
static char home[64];
static unsigned serial;
static char **kept;
static size_t nkept;
static PGresult **result;
static size_t nresults;
static struct it_db database[OPEN_MAX_DBS];
static unsigned ndatabases;

struct pg_cluster *it_cluster(void)
{
    return cluster;
}

const char *it_home(void)
{
    return home;
}

/* Room for one more, doubled at powers of two. */
static void *room(void *list, size_t n)
{
    if (n == 0 || (n & (n - 1)) == 0)
        list = realloc(list, (n > 0 ? 2 * n : 1) * sizeof(void *));
    assert_non_null(list);
    return list;
}

char *it_keep(char *p)
{
    assert_non_null(p);
    kept = room(kept, nkept);
    kept[nkept++] = p;
    return p;
}

static PGresult *keep_result(PGresult *res)
{
    result = room(result, nresults);
    result[nresults++] = res;
    return res;
}

char *it__vformat(const char *fmt, va_list args)
{
    char *text = NULL;
    assert_true(vasprintf(&text, fmt, args) >= 0);
    return it_keep(text);
}

char *it_format(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = it__vformat(fmt, args);
    va_end(args);
    return text;
}

int64_t it_now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void it_pause_ms(int64_t ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

static void copy_file(const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
    struct stat st;
    if (in >= 0)
        out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    if (out < 0 || fstat(in, &st) != 0)
        fail_msg("copying %s to %s: %s", from, to, strerror(errno));
    for (off_t left = st.st_size; left > 0;) {
        ssize_t n = sendfile(out, in, NULL, (size_t)left);
        if (n <= 0)
            fail_msg("copying %s to %s: %s", from, to, strerror(errno));
        left -= n;
    }
    (void)close(in);
    (void)close(out);
}

const char *it_for_others(const char *path)
{
    if (geteuid() != 0)
        return path;
    const char *name = strrchr(path, '/');
    const char *copy = it_format("%s/for-others%s", home, name);
    (void)chmod(home, 0755);
    (void)mkdir(it_format("%s/for-others", home), 0755);
    if (access(copy, F_OK) != 0)
        copy_file(path, copy);
    return copy;
}

bool it_in_memory(void)
{
    struct statfs fs;
    assert_int_equal(statfs(home, &fs), 0);
    return fs.f_type == TMPFS_MAGIC;
}

char *it_read_file(const char *path)
{
    FILE *f = fopen(path, "re");
    if (f == NULL)
        fail_msg("%s: %s", path, strerror(errno));
    size_t n = 0, cap = 65536;
    char *text = malloc(cap + 1);
    assert_non_null(text);
    for (size_t got; (got = fread(text + n, 1, cap - n, f)) > 0;) {
        n += got;
        if (n == cap) {
            cap *= 2;
            text = realloc(text, cap + 1);
            assert_non_null(text);
        }
    }
    fclose(f);
    text[n] = '\0';
    return it_keep(text);
}

/* ---- up and down --------------------------------------------------------------------------- */

int it_up_bare(void **state)
{
    (void)state;
    snprintf(home, sizeof(home), "/tmp/waymark-it-XXXXXX");
    return mkdtemp(home) == NULL ? -1 : 0;
}

static int up(unsigned max_connections)
{
    if (it_up_bare(NULL) < 0)
        return -1;
    cluster = pg_cluster_start(false, max_connections);
    return 0;
}

int it_up(void **state)
{
    (void)state;
    return up(0);
}

int it_up_large(void **state)
{
    (void)state;
    return up(300);
}

int it_after(void **state)
{
    (void)state;
    PGconn *pg[OPEN_MAX_DBS];
    for (unsigned i = 0; i < ndatabases; i++)
        pg[i] = database[i].pg;
    bool leaked = it__secrets_leaked(pg, ndatabases);
    it__end_processes();
    it__forget_json();
    while (nresults > 0)
        PQclear(result[--nresults]);
    while (ndatabases > 0)
        PQfinish(database[--ndatabases].pg);
    while (nkept > 0)
        free(kept[--nkept]);
    return leaked ? -1 : 0;
}

int it_down(void **state)
{
    (void)it_after(state);
    cluster = pg_cluster_free(cluster);
    pg_cluster_remove_tree(home);
    free(kept);
    free(result);
    kept = NULL;
    result = NULL;
    return 0;
}

/* ---- databases ----------------------------------------------------------------------------- */

static void quiet(void *arg, const PGresult *res)
{
    (void)arg;
    (void)res; /* NOTICEs of what tests do on purpose */
}

static struct it_db *open_database(const char *name)
{
    assert_true(ndatabases < OPEN_MAX_DBS);
    struct it_db *db = &database[ndatabases];
    snprintf(db->name, sizeof(db->name), "%s", name);
    snprintf(db->url, sizeof(db->url), "%s", pg_cluster_url(cluster, name));
    db->pg = PQconnectdb(db->url);
    if (PQstatus(db->pg) != CONNECTION_OK)
        fail_msg("%s: %s", name, PQerrorMessage(db->pg));
    (void)PQsetNoticeReceiver(db->pg, quiet, NULL);
    ndatabases++;
    return db;
}

static struct it_db *named_database(const char *name)
{
    if (!pg_cluster_database(cluster, name, true)) {
        print_message("skipped: the server has no PostGIS (Debian: postgresql-15-postgis-3)\n");
        exit(77);
    }
    return open_database(name);
}

struct it_db *it_db_bare(bool with_postgis)
{
    const char *name = it_format("it_%u", ++serial);
    if (with_postgis)
        return named_database(name);
    (void)pg_cluster_database(cluster, name, false);
    return open_database(name);
}

static struct it_db *create_database(const char *name, const char *from)
{
    /* A template must have no sessions; those of the process that filled it may take a moment to
     * go. */
    for (int64_t until = it_now_ms() + 5000; it_now_ms() < until; it_pause_ms(20)) {
        if (pg_cluster_i64(
                cluster, "postgres",
                it_format("SELECT count(*) FROM pg_stat_activity WHERE datname = '%s'", from)) == 0)
            break;
    }
    pg_cluster_exec(cluster, "postgres", it_format("CREATE DATABASE %s TEMPLATE %s", name, from));
    return open_database(name);
}

static void close_last_database(void)
{
    PQfinish(database[--ndatabases].pg);
}

/* Made once a program; a test's database is a copy of it. */
static const char *template_with(const char *name, void (*fill)(struct it_db *db))
{
    static const char *made[4];
    unsigned i = 0;
    while (made[i] != NULL && strcmp(made[i], name) != 0)
        i++;
    if (made[i] != NULL)
        return name;
    made[i] = name; /* should filling it fail, the others need not try */
    fill(name[0] == 'm' ? named_database(name) : create_database(name, "migrated"));
    close_last_database();
    return name;
}

static void fill_migrated(struct it_db *db)
{
    it_must(db, NULL, IT_LIST("migrate"), 0);
    it_helpers(db);
}

static void fill_scene(struct it_db *db)
{
    it_exec(db, "SELECT it.scene()");
    it_process(db);
}

struct it_db *it_db_new(void)
{
    return create_database(it_format("it_%u", ++serial), template_with("migrated", fill_migrated));
}

struct it_db *it_db_scene(void)
{
    (void)template_with("migrated", fill_migrated);
    return create_database(it_format("it_%u", ++serial), template_with("scene", fill_scene));
}

struct it_db *it_db_again(void)
{
    static bool made;
    if (!made) {
        (void)create_database("again", template_with("migrated", fill_migrated));
        made = true;
        return &database[ndatabases - 1];
    }
    struct it_db *db = open_database("again");
    it_exec(db, "TRUNCATE athletes, routes CASCADE; TRUNCATE q.job, q.done, q.dead, q.instance;"
                "UPDATE route_epoch SET epoch = 1");
    return db;
}

void it_helpers(struct it_db *db)
{
    it_script(db, it_read_file(WAYMARK_SOURCE_DIR "/test/it/data/helpers.sql"));
}

/* ---- queries ------------------------------------------------------------------------------- */

static PGresult *checked(struct it_db *db, PGresult *res, const char *sql)
{
    ExecStatusType status = PQresultStatus(keep_result(res));
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        fail_msg("%s\n%s", PQerrorMessage(db->pg), sql);
    return res;
}

void it_script(struct it_db *db, const char *sql)
{
    (void)checked(db, PQexec(db->pg, sql), sql);
}

PGresult *it_ask(struct it_db *db, const char *sql, int nparams, const char *const *param)
{
    return checked(db, PQexecParams(db->pg, sql, nparams, NULL, param, NULL, NULL, 0), sql);
}

static PGresult *vquery(struct it_db *db, const char *fmt, va_list args) IT_PRINTF(2, 0);
static PGresult *vquery(struct it_db *db, const char *fmt, va_list args)
{
    return it_ask(db, it__vformat(fmt, args), 0, NULL);
}

PGresult *it_query(struct it_db *db, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    PGresult *res = vquery(db, fmt, args);
    va_end(args);
    return res;
}

void it_exec(struct it_db *db, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    it_script(db, it__vformat(fmt, args));
    va_end(args);
}

static char *vtext(struct it_db *db, const char *fmt, va_list args) IT_PRINTF(2, 0);
static char *vtext(struct it_db *db, const char *fmt, va_list args)
{
    PGresult *res = vquery(db, fmt, args);
    assert_int_equal(PQntuples(res), 1);
    return PQgetvalue(res, 0, 0);
}

char *it_text(struct it_db *db, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = vtext(db, fmt, args);
    va_end(args);
    return text;
}

int64_t it_i64(struct it_db *db, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int64_t n = strtoll(vtext(db, fmt, args), NULL, 10);
    va_end(args);
    return n;
}

double it_f64(struct it_db *db, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    double x = strtod(vtext(db, fmt, args), NULL);
    va_end(args);
    return x;
}

void it_holds_at(struct it_db *db, const char *file, int line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *condition = it__vformat(fmt, args);
    va_end(args);
    if (strcmp(it_text(db, "SELECT coalesce((%s)::text, 'null')", condition), "true") == 0)
        return;
    print_error("does not hold: %s\ntables:\n%s\n", condition, it_tables(db));
    _fail(file, line);
}

int64_t it_eventually(struct it_db *db, int64_t limit_ms, const char *sql)
{
    const int64_t start = it_now_ms();
    for (;;) {
        PGresult *res = PQexec(db->pg, sql);
        bool is_true = PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1 &&
                       strcmp(PQgetvalue(res, 0, 0), "t") == 0;
        PQclear(res);
        if (is_true)
            return it_now_ms() - start;
        if (it_now_ms() - start > limit_ms)
            return -1;
        it_pause_ms(10);
    }
}

const char *it_try(struct it_db *db, const char *sql)
{
    PGresult *res = keep_result(PQexec(db->pg, sql));
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    return state != NULL ? state : "00000";
}
