/* SIGTERM in the first moments of every command: it ends soon, by a status that tells the truth,
 * and leaves nothing behind, whether the database is somebody's or our own. */
#include "it/load.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MOMENTS = 6,
    EARLY_MS = 50,
    SOON_MS = 5000,
    CLUSTER_SOON_MS = 20000, /* its server may have to end first */
    UNTIL_CAUGHT_MS = 10000,
};

/* The server's user must be able to get through. */
static int up(void **state)
{
    return it_up(state) != 0 ? -1 : chmod(it_home(), 0755);
}

static const char *const *command(unsigned i)
{
    static const char *const all[][5] = {
        {"serve"},
        {"process"},
        {"migrate"},
        {"import", "--athlete", "1", "track.gpx"},
        {"route", "import", "trail.gpx"},
        {"route", "list", "--athlete", "1"},
        {"route", "show", "--athlete=1", "north"},
        {"route", "gaps", "--athlete=1", "north"},
        {"route", "remove", "nothing"},
        {"status"},
        {"status", "--wait"},
        {"jobs", "list"},
        {"jobs", "retry", "--all"},
        {"jobs", "cron", "list"},
    };
    return i < sizeof(all) / sizeof(all[0]) ? all[i] : NULL;
}

/* It has come so far that it looks after the signal itself; before, nothing has begun and the
 * signal ends it as any program. */
static bool catches(const struct it_proc *p)
{
    char path[64], line[256];
    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)it_pid(p));
    FILE *f = fopen(path, "re");
    unsigned long long mask = 0;
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, "SigCgt:", 7) == 0)
            mask = strtoull(line + 7, NULL, 16);
    }
    if (f != NULL)
        fclose(f);
    return (mask >> (SIGTERM - 1) & 1) != 0;
}

static bool is_over(const struct it_proc *p)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)it_pid(p), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid != 0;
}

static unsigned stopped, unaware; /* by the signal; and before they looked after it */

/* Stops it some moments after its start, or after it began to catch signals. */
static void stop_early(struct it_proc *p, const char *name, bool when_caught, uint64_t *seed,
                       int64_t limit_ms)
{
    int64_t until = it_now_ms() + UNTIL_CAUGHT_MS;
    while (when_caught && !catches(p) && !is_over(p) && it_now_ms() < until)
        it_pause_ms(1);
    it_pause_ms((int64_t)load_random(seed, EARLY_MS));
    bool caught = catches(p), service = strcmp(name, "serve") == 0;
    it_signal(p, SIGTERM);
    int64_t asked = it_now_ms();
    struct it_result r = it_wait(p, limit_ms);
    int64_t took = it_now_ms() - asked;
    bool sane = r.status == 0 || (!service && r.status == 75) ||
                (!caught && r.status == 128 + SIGTERM) ||
                (r.status == 1 && strcmp(name, "route") == 0); /* there is no such route */
    if (!sane)
        fail_msg("%s, stopped %s: status %d after %lld ms\n%s", name,
                 caught ? "by itself" : "by the system", r.status, (long long)took, r.err);
    stopped += r.status == 75;
    unaware += r.status == 128 + SIGTERM;
    if (r.status == 75 && strstr(r.err, "waymark: ") == NULL)
        fail_msg("%s does not say why:\n%s", name, r.err);
}

/* Of all so far; without any the moments were badly chosen. */
static void tell(void)
{
    print_message("%u commands stopped, %u before they caught it\n", stopped, unaware);
    assert_true(stopped > 0);
}

static void files(void)
{
    (void)load_gpx("trail.gpx", "Trail", 0, 1, 0.03, 300);
    (void)load_gpx("track.gpx", "Track", 0.2, 0.5, 0.0001, 200);
}

static void on_a_server(void **state)
{
    (void)state;
    uint64_t seed = load_seed();
    struct it_db *db = it_db_scene();
    files();
    for (unsigned i = 0; command(i) != NULL; i++) {
        for (int k = 0; k < MOMENTS; k++) {
            it_exec(db, "SELECT it.walk(%u, 1, 0.1, 0.6)", 100 + i * MOMENTS + (unsigned)k);
            stop_early(it_start(db, NULL, command(i)), command(i)[0], k % 2 != 0, &seed, SOON_MS);
            it_holds(db, "NOT EXISTS (SELECT FROM q.instance) AND NOT EXISTS (SELECT FROM q.job"
                         " WHERE state = 'running') AND NOT EXISTS (SELECT FROM q.dead)");
        }
    }
    assert_true(it_eventually(db, SOON_MS,
                              "SELECT count(*) = 1 FROM pg_stat_activity WHERE"
                              " datname = current_database() AND"
                              " backend_type = 'client backend'") >= 0);
    tell();
    it_process(db);
    load_is_done(db);
    it_same_as_recomputed(db);
}

/* ---- the private server -------------------------------------------------------------------- */

/* Processes at work in that folder: the server's have it as their working directory. */
static int servers(const char *dir)
{
    int n = 0;
    DIR *proc = opendir("/proc");
    assert_non_null(proc);
    for (struct dirent *d; (d = readdir(proc)) != NULL;) {
        char path[64], cwd[4096];
        (void)snprintf(path, sizeof(path), "/proc/%.20s/cwd", d->d_name);
        ssize_t len = d->d_name[0] > '9' ? 0 : readlink(path, cwd, sizeof(cwd) - 1);
        cwd[len > 0 ? len : 0] = '\0';
        n += strncmp(cwd, dir, strlen(dir)) == 0 && cwd[strlen(dir)] == '/';
    }
    closedir(proc);
    return n;
}

static void nothing_half_made(const char *dir)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        if (strncmp(e->d_name, "pgdata.tmp", 10) == 0)
            fail_msg("%s is left in %s", e->d_name, dir);
    }
    if (d != NULL)
        closedir(d);
}

/* Each command first where there is no data folder yet, then where one is. */
static void on_our_own(void **state)
{
    (void)state;
    uint64_t seed = load_seed();
    const char *made = it_format("%s/made", it_home());
    const char *const *with_made = IT_LIST(it_format("WAYMARK_DATA_DIR=%s", made));
    files();
    it_must(NULL, with_made, IT_LIST("migrate"), 0);
    for (unsigned i = 0; command(i) != NULL; i++) {
        const char *dir = it_format("%s/fresh-%u", it_home(), i);
        const char *const *env = IT_LIST(it_format("WAYMARK_DATA_DIR=%s", dir));
        for (int k = 0; k < MOMENTS; k++) {
            bool fresh = k < MOMENTS / 2;
            struct it_proc *p = it_start(NULL, fresh ? env : with_made, command(i));
            stop_early(p, command(i)[0], k % 2 != 0, &seed, CLUSTER_SOON_MS);
            assert_int_equal(servers(fresh ? dir : made), 0);
            nothing_half_made(dir);
        }
    }
    tell();
    it_must(NULL, with_made, IT_LIST("process"), 0);
    assert_int_equal(servers(made), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(on_a_server),
        IT_TEST(on_our_own),
    };
    return cmocka_run_group_tests(tests, up, it_down);
}
