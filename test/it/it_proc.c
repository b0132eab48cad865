/* The binary as a child: its environment, output, end, and what can be seen of it when it hangs. */
#include "it/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PROCS_MAX = 4096,
    ENV_MAX = 64,
    ARGS_MAX = 4096,
    RUN_MS = 60000,  /* far more than any run takes, sanitizers and a busy machine included */
    STOP_MS = 40000, /* more than the grace time that `serve` gives running work */
};

struct it_proc {
    pid_t pid;
    const char *program;
    char out[96], err[96];
    int64_t started_ms;
    bool ended;
    int status;
};

static struct it_proc proc[PROCS_MAX];
static unsigned nprocs;
static uid_t as_user;
static unsigned serial;

/* ---- environment --------------------------------------------------------------------------- */

static bool names_same(const char *a, const char *b)
{
    size_t n = strcspn(a, "=");
    return strncmp(a, b, n) == 0 && b[n] == '=';
}

struct environment {
    const char *v[ENV_MAX + 1];
    unsigned n;
};

static void add_env(struct environment *e, const char *pair)
{
    for (unsigned i = 0; i < e->n; i++) {
        if (names_same(e->v[i], pair))
            return; /* what the test gave came first */
    }
    assert_true(e->n < ENV_MAX);
    e->v[e->n++] = pair;
}

static void make_environment(struct environment *e, struct it_db *db, const char *const *env)
{
    /* What a run needs of ours: the sanitizers' and the coverage tool's settings. */
    static const char *const ours[] = {
        "PATH",         "LD_LIBRARY_PATH",      "ASAN_OPTIONS", "UBSAN_OPTIONS",     "LSAN_OPTIONS",
        "TSAN_OPTIONS", "ASAN_SYMBOLIZER_PATH", "GCOV_PREFIX",  "LLVM_PROFILE_FILE", NULL};
    bool database = db == NULL, http = false, admin = false;
    for (; env != NULL && *env != NULL; env++) {
        database |= names_same("POSTGRES_CONNECTION_STRING=", *env) ||
                    names_same("POSTGRES_CONNECTION_URL=", *env) ||
                    names_same("WAYMARK_DATABASE_URL=", *env);
        http |= names_same("WAYMARK_HTTP_LISTEN=", *env);
        admin |= names_same("WAYMARK_ADMIN_LISTEN=", *env);
        add_env(e, *env);
    }
    /* Several run at once, and whoever runs the tests may have one of theirs. */
    if (!http)
        add_env(e, "WAYMARK_HTTP_LISTEN=off");
    if (!admin)
        add_env(e, "WAYMARK_ADMIN_LISTEN=off");
    for (const char *const *name = ours; *name != NULL; name++) {
        if (getenv(*name) != NULL)
            add_env(e, it_format("%s=%s", *name, getenv(*name)));
    }
    add_env(e, it_format("HOME=%s", it_home()));
    add_env(e, it_format("XDG_STATE_HOME=%s/state", it_home()));
    add_env(e, it_format("XDG_CONFIG_HOME=%s/config", it_home()));
    add_env(e, "LC_ALL=C.UTF-8");
    if (!database)
        add_env(e, it_format("POSTGRES_CONNECTION_STRING=%s", db->url));
}

/* ---- start and end ------------------------------------------------------------------------- */

static void become(const struct it_proc *p, pid_t parent, const struct environment *e,
                   const char *const *argv)
{
    int in = open("/dev/null", O_RDONLY);
    int out = open(p->out, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    int err = open(p->err, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0600);
    if (in < 0 || out < 0 || err < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0 ||
        chdir(it_home()) != 0)
        _exit(126);
    if (as_user != 0 &&
        (setgroups(0, NULL) != 0 || setgid((gid_t)as_user) != 0 || setuid(as_user) != 0))
        _exit(126);
    /* After the change of user, which clears it. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(126);
    (void)close_range(3, ~0U, 0);
    execve(p->program, (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)e->v);
    _exit(127);
}

struct it_proc *it_start(struct it_db *db, const char *const *env, const char *const *args)
{
    return it_start_program(WAYMARK_BINARY, db, env, args);
}

struct it_proc *it_start_program(const char *program, struct it_db *db, const char *const *env,
                                 const char *const *args)
{
    assert_true(nprocs < PROCS_MAX);
    struct it_proc *p = &proc[nprocs];
    struct environment e = {.n = 0};
    const char *name = strrchr(program, '/');
    const char *argv[ARGS_MAX + 2] = {name != NULL ? name + 1 : program};
    for (unsigned i = 0; args[i] != NULL; i++) {
        assert_true(i < ARGS_MAX);
        argv[i + 1] = args[i];
    }
    make_environment(&e, db, env);
    memset(p, 0, sizeof(*p));
    p->program = as_user != 0 ? it_for_others(program) : program;
    snprintf(p->out, sizeof(p->out), "%s/out.%u", it_home(), ++serial);
    snprintf(p->err, sizeof(p->err), "%s/err.%u", it_home(), serial);
    p->started_ms = it_now_ms();
    pid_t parent = getpid();
    p->pid = fork();
    assert_true(p->pid >= 0);
    if (p->pid == 0)
        become(p, parent, &e, argv);
    nprocs++;
    return p;
}

void it_become(uid_t uid)
{
    as_user = uid;
}

pid_t it_pid(const struct it_proc *p)
{
    return p->pid;
}

void it_signal(struct it_proc *p, int signum)
{
    assert_int_equal(kill(p->pid, signum), 0);
}

static bool has_ended(struct it_proc *p)
{
    int status;
    if (!p->ended && waitpid(p->pid, &status, WNOHANG) == p->pid) {
        p->ended = true;
        p->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return p->ended;
}

bool it__secret_in_output(void)
{
    bool found = false;
    for (unsigned i = 0; i < nprocs; i++) {
        const char *const path[] = {proc[i].out, proc[i].err};
        for (unsigned k = 0; k < 2; k++) {
            if (access(path[k], R_OK) == 0)
                found |= it__secret_in("what it wrote", it_read_file(path[k]));
        }
    }
    return found;
}

void it__end_processes(void)
{
    as_user = 0;
    while (nprocs > 0) {
        struct it_proc *p = &proc[--nprocs];
        if (!has_ended(p)) {
            (void)kill(p->pid, SIGKILL);
            (void)waitpid(p->pid, NULL, 0);
        }
    }
}

/* ---- evidence ------------------------------------------------------------------------------ */

static const char *text_of(const char *path)
{
    return access(path, R_OK) == 0 ? it_read_file(path) : "";
}

static void show_file(const char *path)
{
    char line[512];
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        fprintf(stderr, "    %s", line);
    if (f != NULL)
        fclose(f);
}

static void show_threads(pid_t pid)
{
    static const char *const what[] = {"comm", "wchan", "syscall", "stack", NULL};
    char path[128];
    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    for (struct dirent *d; dir != NULL && (d = readdir(dir)) != NULL;) {
        for (unsigned i = 0; d->d_name[0] != '.' && what[i] != NULL; i++) {
            snprintf(path, sizeof(path), "/proc/%d/task/%.20s/%s", (int)pid, d->d_name, what[i]);
            fprintf(stderr, "  thread %s %s:\n", d->d_name, what[i]);
            show_file(path);
            fputc('\n', stderr);
        }
    }
    if (dir != NULL)
        closedir(dir);
}

static void show_backtrace(pid_t pid)
{
    char number[16];
    snprintf(number, sizeof(number), "%d", (int)pid);
    pid_t gdb = fork();
    if (gdb == 0) {
        (void)dup2(2, 1);
        (void)alarm(30);
        execlp("gdb", "gdb", "-p", number, "-batch", "-nx", "-ex", "thread apply all bt 20",
               (char *)NULL);
        _exit(127);
    }
    int status = 0;
    if (gdb < 0 || waitpid(gdb, &status, 0) != gdb || status != 0)
        show_threads(pid);
}

static void show(struct it_proc *p)
{
    fprintf(stderr, "after %lld ms\n---- standard output\n%s\n---- standard error\n%s\n",
            (long long)(it_now_ms() - p->started_ms), text_of(p->out), text_of(p->err));
    if (!p->ended)
        show_backtrace(p->pid);
}

/* ---- waiting ------------------------------------------------------------------------------- */

struct it_result it_wait(struct it_proc *p, int64_t limit_ms)
{
    const int64_t until = it_now_ms() + limit_ms;
    while (!has_ended(p)) {
        if (it_now_ms() > until) {
            show(p);
            fail_msg("it does not end");
        }
        it_pause_ms(3);
    }
    struct it_result r = {
        .status = p->status,
        .out = text_of(p->out),
        .err = text_of(p->err),
        .ms = it_now_ms() - p->started_ms,
    };
    if (strstr(r.err, "Sanitizer") != NULL || strstr(r.err, "runtime error:") != NULL) {
        show(p);
        fail_msg("a sanitizer reports");
    }
    return r;
}

void it_wait_for(struct it_proc *p, const char *text, int64_t limit_ms)
{
    const int64_t until = it_now_ms() + limit_ms;
    while (!it_said(p, text)) {
        if (has_ended(p) || it_now_ms() > until) {
            show(p);
            fail_msg("it does not say \"%s\"", text);
        }
        it_pause_ms(10);
    }
}

/* Asked so often that the texts cannot be kept. */
static bool file_has(const char *path, const char *text)
{
    bool found = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0)
        return false; /* not begun yet */
    assert_int_equal(fstat(fd, &st), 0);
    char *all = malloc((size_t)st.st_size + 1);
    assert_non_null(all);
    ssize_t n = read(fd, all, (size_t)st.st_size);
    found = n > 0 && memmem(all, (size_t)n, text, strlen(text)) != NULL;
    free(all);
    close(fd);
    return found;
}

bool it_said(const struct it_proc *p, const char *text)
{
    return file_has(p->err, text) || file_has(p->out, text);
}

const char *it_errors(const struct it_proc *p)
{
    return text_of(p->err);
}

const char *it_output(const struct it_proc *p)
{
    return text_of(p->out);
}

const char *it_binary(void)
{
    return WAYMARK_BINARY;
}

bool it_ended(struct it_proc *p)
{
    return has_ended(p);
}

struct it_result it_run(struct it_db *db, const char *const *env, const char *const *args)
{
    return it_wait(it_start(db, env, args), RUN_MS);
}

struct it_result it_must(struct it_db *db, const char *const *env, const char *const *args,
                         int status)
{
    struct it_result r = it_run(db, env, args);
    if (r.status != status) {
        fail_msg("waymark %s ended with %d instead of %d\n---- standard output\n%s\n---- standard "
                 "error\n%s",
                 args[0], r.status, status, r.out, r.err);
    }
    return r;
}

void it_process(struct it_db *db)
{
    it_must(db, NULL, IT_LIST("process", "--quiet"), 0);
    it_holds(db, "NOT EXISTS (SELECT FROM q.job) AND NOT EXISTS (SELECT FROM q.dead)");
    it_holds(db, "NOT EXISTS (SELECT FROM q.instance)");
    it_holds(db, "NOT EXISTS (SELECT FROM processing WHERE NOT processed)");
}

struct it_proc *it_serve(struct it_db *db, const char *const *env)
{
    struct it_proc *p = it_start(db, env, IT_LIST("serve"));
    it_wait_for(p, "waymark is running", RUN_MS);
    /* Up is not yet listening: that is another connection. */
    if (it_eventually(db, 10000,
                      "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = "
                      "current_database() AND query ILIKE 'LISTEN%'") < 0) {
        show(p);
        fail_msg("it does not listen");
    }
    return p;
}

struct it_result it_serve_stop(struct it_proc *p)
{
    it_signal(p, SIGTERM);
    struct it_result r = it_wait(p, STOP_MS);
    if (r.status != 0)
        fail_msg("serve ended with %d\n%s", r.status, r.err);
    return r;
}

const char *it_address(struct it_proc *p, const char *listener)
{
    const char *mark = it_format("listener=%s address=", listener);
    it_wait_for(p, mark, RUN_MS);
    const char *at = strstr(it_read_file(p->err), mark) + strlen(mark);
    return it_format("%.*s", (int)strcspn(at, " \n"), at);
}
