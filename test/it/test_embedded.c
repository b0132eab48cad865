/* No database configured: the private PostgreSQL in a data folder, started and stopped by every
 * command, shared while serve runs, and fit again after whatever happened to its owner. */
#include "it/load.h"

#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STOP_MS = 90000 };

/* The server's user must be able to get through. */
static int up(void **state)
{
    return it_up(state) != 0 ? -1 : chmod(it_home(), 0755);
}

static const char *new_dir(const char *name)
{
    return it_format("%s/%s", it_home(), name);
}

static struct it_result run(const char *dir, int status, const char *const *args)
{
    const char *env = it_format("WAYMARK_DATA_DIR=%s", dir);
    struct it_result r = it_run(NULL, IT_LIST(env), args);
    if (r.status != status)
        fail_msg("waymark %s: status %d instead of %d\n%s%s", args[0], r.status, status, r.out,
                 r.err);
    return r;
}

static struct it_proc *serve(const char *dir)
{
    const char *env = it_format("WAYMARK_DATA_DIR=%s", dir);
    return it_start(NULL, IT_LIST(env), IT_LIST("serve"));
}

/* Processes at work in that folder: the server's have it as their working directory. */
static int servers(const char *dir)
{
    int n = 0;
    DIR *proc = opendir("/proc");
    assert_non_null(proc);
    for (struct dirent *d; (d = readdir(proc)) != NULL;) {
        char path[64], cwd[4096];
        if (d->d_name[0] < '1' || d->d_name[0] > '9')
            continue;
        snprintf(path, sizeof(path), "/proc/%.20s/cwd", d->d_name);
        ssize_t len = readlink(path, cwd, sizeof(cwd) - 1);
        if (len <= 0)
            continue;
        cwd[len] = '\0';
        n += strncmp(cwd, dir, strlen(dir)) == 0 && cwd[strlen(dir)] == '/';
    }
    closedir(proc);
    return n;
}

static void nobody_left(const char *dir)
{
    for (int64_t until = it_now_ms() + 10000; servers(dir) > 0; it_pause_ms(50)) {
        if (it_now_ms() > until)
            fail_msg("%d processes of the server are left in %s", servers(dir), dir);
    }
}

static void has(const char *dir, const char *what)
{
    struct it_result r = run(dir, 0, IT_LIST("status", "--json"));
    if (strstr(r.out, what) == NULL)
        fail_msg("status has no %s: %s", what, r.out);
}

/* ---- commands ------------------------------------------------------------------------------ */

static void walk_through(const char *dir)
{
    const char *route = load_gpx("trail.gpx", "Trail", 0, 1, 0, 500);
    const char *track = load_gpx("track.gpx", "Track", 0.2, 0.5, 0.0001, 200);
    run(dir, 0, IT_LIST("migrate"));
    nobody_left(dir);
    run(dir, 0, IT_LIST("route", "import", route));
    run(dir, 0, IT_LIST("import", "--athlete", "1", track));
    has(dir, "\"activities_to_match\":1");
    run(dir, 0, IT_LIST("process"));
    nobody_left(dir);
    has(dir, "\"activities_to_match\":0");
    struct it_result r = run(dir, 0, IT_LIST("route", "list", "--json"));
    assert_null(strstr(r.out, "\"covered_m\":0,"));
    nobody_left(dir);
}

static void one_after_the_other(void **state)
{
    (void)state;
    walk_through(new_dir("plain"));
}

static void far_down(void **state)
{
    (void)state;
    static const char part[] = "a folder with a rather long name, and 'quotes' in it";
    walk_through(new_dir(it_format("%s/%s/%s", part, part, part)));
}

static void as_nobody(void **state)
{
    (void)state;
    const struct passwd *nobody = getpwnam("nobody");
    if (geteuid() != 0 || nobody == NULL) {
        print_message("skipped: not root, so everything else runs as an ordinary user already\n");
        return;
    }
    const char *dir = load_folder("theirs");
    assert_int_equal(chown(dir, nobody->pw_uid, nobody->pw_gid), 0);
    it_become(nobody->pw_uid);
    walk_through(it_format("%s/state", dir));
    struct it_result r = run(it_format("%s/forbidden", it_home()), 78, IT_LIST("status"));
    load_one_line(&r, "forbidden");
}

static void commands_while_serving(void **state)
{
    (void)state;
    const char *dir = new_dir("shared");
    struct it_proc *p = serve(dir);
    it_wait_for(p, "waymark is running", STOP_MS);
    run(dir, 0, IT_LIST("route", "import", load_gpx("trail.gpx", "Trail", 0, 1, 0, 500)));
    run(dir, 0,
        IT_LIST("import", "--athlete", "1", load_gpx("track.gpx", "T", 0.2, 0.5, 0.0001, 200)));
    run(dir, 0, IT_LIST("status", "--wait"));
    has(dir, "\"activities_to_match\":0");
    assert_true(servers(dir) > 0);
    (void)it_serve_stop(p);
    nobody_left(dir);
}

/* The one that started the server goes first; the other takes it over. */
static void owner_leaves(void **state)
{
    (void)state;
    const char *dir = new_dir("left");
    struct it_proc *a = serve(dir);
    it_wait_for(a, "waymark is running", STOP_MS);
    struct it_proc *b = serve(dir);
    it_wait_for(b, "waymark is running", STOP_MS);
    (void)it_serve_stop(a);
    run(dir, 0,
        IT_LIST("import", "--athlete", "1", load_gpx("track.gpx", "T", 0.2, 0.5, 0.0001, 200)));
    run(dir, 0, IT_LIST("status", "--wait"));
    (void)it_serve_stop(b);
    nobody_left(dir);
}

/* ---- kill -9 ------------------------------------------------------------------------------- */

static void owner_killed(void **state)
{
    (void)state;
    const char *dir = new_dir("killed");
    const char *track = load_gpx("track.gpx", "T", 0.2, 0.5, 0.0001, 200);
    run(dir, 0, IT_LIST("import", "--athlete", "1", track));
    for (int i = 0; i < 3; i++) {
        struct it_proc *p = serve(dir);
        it_wait_for(p, "waymark is running", STOP_MS);
        it_signal(p, SIGKILL);
        (void)it_wait(p, STOP_MS);
        it_pause_ms(i * 400);
        has(dir, "\"activities\":1");
        nobody_left(dir);
    }
    run(dir, 0, IT_LIST("process"));
    nobody_left(dir);
}

/* While the data folder is being made, the server comes up, or the schema is. */
static void killed_while_starting(void **state)
{
    (void)state;
    uint64_t seed = load_seed();
    const char *dir = new_dir("unborn");
    for (int i = 0; i < 6; i++) {
        struct it_proc *p = serve(dir);
        it_pause_ms((int64_t)load_random(&seed, 1200));
        it_signal(p, SIGKILL);
        (void)it_wait(p, STOP_MS);
    }
    run(dir, 0, IT_LIST("migrate"));
    has(dir, "\"activities\":0");
    nobody_left(dir);
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (strncmp(e->d_name, "pgdata.tmp", 10) == 0)
            fail_msg("%s is left", e->d_name);
    }
    closedir(d);
}

/* ---- what is found ------------------------------------------------------------------------- */

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    if (f == NULL)
        fail_msg("%s: %s", path, strerror(errno));
    fputs(text, f);
    fclose(f);
}

static void leftovers(void **state)
{
    (void)state;
    const char *dir = new_dir("stale");
    run(dir, 0, IT_LIST("migrate"));
    /* As after a reboot: its number is that of somebody else now. */
    write_text(
        it_format("%s/pgdata/postmaster.pid", dir),
        it_format("%d\n%s/pgdata\n1700000000\n5432\n%s/run\n\n  1234567    99999\nready   \n",
                  (int)getpid(), dir, dir));
    has(dir, "\"activities\":0");
    write_text(it_format("%s/pgdata/postmaster.pid", dir), "");
    write_text(it_format("%s/run/.s.PGSQL.5432", dir), "");
    write_text(it_format("%s/run/.s.PGSQL.5432.lock", dir), "1\n");
    assert_int_equal(mkdir(it_format("%s/pgdata.tmp-123", dir), 0700), 0);
    write_text(it_format("%s/pgdata.tmp-123/junk", dir), "x");
    has(dir, "\"activities\":0");
    assert_int_not_equal(access(it_format("%s/pgdata.tmp-123", dir), F_OK), 0);
    nobody_left(dir);
}

static void not_ours(void **state)
{
    (void)state;
    const char *dir = load_folder("alien");
    assert_int_equal(chmod(dir, 0755), 0);
    assert_int_equal(mkdir(it_format("%s/pgdata", dir), 0755), 0);
    write_text(it_format("%s/pgdata/thesis.txt", dir), "years of work");
    struct it_result r = run(dir, 78, IT_LIST("status"));
    load_one_line(&r, "pgdata");
    assert_string_equal(it_read_file(it_format("%s/pgdata/thesis.txt", dir)), "years of work");
    r = run(load_file("plain-file", "x"), 78, IT_LIST("status"));
    load_one_line(&r, "plain-file");
    if (geteuid() == 0) {
        const char *closed = load_folder("closed");
        assert_int_equal(chmod(closed, 0700), 0);
        r = run(it_format("%s/inside", closed), 78, IT_LIST("status"));
        load_one_line(&r, "chmod o+x");
    }
    const char *old = new_dir("old");
    run(old, 0, IT_LIST("migrate"));
    write_text(it_format("%s/pgdata/PG_VERSION", old), "9\n");
    r = run(old, 78, IT_LIST("status"));
    load_one_line(&r, "9");
    nobody_left(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(one_after_the_other),    IT_TEST(far_down),     IT_TEST(as_nobody),
        IT_TEST(commands_while_serving), IT_TEST(owner_leaves), IT_TEST(owner_killed),
        IT_TEST(killed_while_starting),  IT_TEST(leftovers),    IT_TEST(not_ours),
    };
    return cmocka_run_group_tests(tests, up, it_down);
}
