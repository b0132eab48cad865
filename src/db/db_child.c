/* A child process as an op: initdb and postgres. */
#include "db/cluster.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define KILL_AFTER_MS 10000

static void handle_closed(struct db__child *x)
{
    CHECK(x->handles > 0);
    if (--x->handles > 0)
        return;
    op_finish(&x->op, NULL);
    if (x->on_exit != NULL)
        x->on_exit(x);
}

static void process_closed(uv_handle_t *h)
{
    handle_closed(container_of((uv_process_t *)(void *)h, struct db__child, process));
}

static void patience_closed(uv_handle_t *h)
{
    handle_closed(container_of((uv_timer_t *)(void *)h, struct db__child, patience));
}

static void close_handles(struct db__child *x)
{
    x->running = false;
    uv_close((uv_handle_t *)&x->process, process_closed);
    uv_close((uv_handle_t *)&x->patience, patience_closed);
}

static void on_process_exit(uv_process_t *p, int64_t status, int signum)
{
    struct db__child *x = container_of(p, struct db__child, process);
    x->status = status;
    x->signal = signum;
    close_handles(x);
}

void db__child_kill(struct db__child *x, int signum)
{
    if (x->running)
        (void)uv_process_kill(&x->process, signum);
}

static void out_of_patience(uv_timer_t *t)
{
    db__child_kill(container_of(t, struct db__child, patience), SIGKILL);
}

static void on_cancel(struct op *op)
{
    struct db__child *x = container_of(op, struct db__child, op);
    db__child_kill(x, SIGQUIT);
    if (x->running)
        CHECK(uv_timer_start(&x->patience, out_of_patience, KILL_AFTER_MS, 0) == 0);
}

static const char *setpriv_path(void)
{
    static const char *const paths[] = {"/usr/bin/setpriv", "/bin/setpriv", "/usr/sbin/setpriv"};
    for (size_t i = 0; i < COUNT_OF(paths); i++)
        if (access(paths[i], X_OK) == 0)
            return paths[i];
    return NULL;
}

/* setpriv (util-linux) becomes the program itself, so the process we watch is the program, and it
 * asks for a signal when its parent dies; libuv alone can do only the change of user. SIGINT is
 * postgres's fast shutdown. */
static void build_argv(const struct db__child_how *how, const char *setpriv, char ids[2][32],
                       const char **argv)
{
    size_t n = 0;
    if (setpriv != NULL) {
        argv[n++] = setpriv;
        argv[n++] = "--pdeathsig=INT";
        if (how->switch_user) {
            snprintf(ids[0], 32, "--reuid=%ld", (long)how->uid);
            snprintf(ids[1], 32, "--regid=%ld", (long)how->gid);
            argv[n++] = ids[0];
            argv[n++] = ids[1];
            argv[n++] = how->user != NULL ? "--init-groups" : "--clear-groups";
        }
        argv[n++] = "--";
    }
    for (size_t i = 0; how->argv[i] != NULL; i++) {
        CHECK(n < 63);
        argv[n++] = how->argv[i];
    }
    argv[n] = NULL;
}

static int spawn(struct db__child *x, struct loop *l, const struct db__child_how *how, int log_fd)
{
    const char *setpriv = setpriv_path(), *argv[64];
    char ids[2][32];
    /* Our own environment may hold secrets, and PG* settings meant for clients. */
    char *env[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC", NULL};
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = log_fd},
        {.flags = UV_INHERIT_FD, .data.fd = log_fd},
    };
    build_argv(how, setpriv, ids, argv);
    const uv_process_options_t options = {
        .file = argv[0],
        .args = (char **)argv,
        .env = env,
        .cwd = "/", /* the folder we are in may be closed to the child's user */
        .exit_cb = on_process_exit,
        .stdio_count = 3,
        .stdio = stdio,
        .uid = how->uid,
        .gid = how->gid,
        /* A session of its own: Ctrl-C is for us, who then stop it in order. */
        .flags = UV_PROCESS_DETACHED |
                 (how->switch_user && setpriv == NULL ? UV_PROCESS_SETUID | UV_PROCESS_SETGID : 0),
    };
    return uv_spawn(loop_uv(l), &x->process, &options);
}

int db__child_start(struct db__child *x, struct loop *l, const struct db__child_how *how,
                    struct err *err)
{
    int fd = open(how->log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(err, errno, "opening %s", how->log);
    /* Root may have made it just now; later the user itself may be who starts the server. */
    if (how->switch_user)
        (void)!fchown(fd, how->uid, how->gid);
    op_init(&x->op, l, on_cancel);
    op_begin(&x->op);
    CHECK(uv_timer_init(loop_uv(l), &x->patience) == 0);
    x->handles = 2;
    x->status = x->signal = 0;
    int r = spawn(x, l, how, fd);
    (void)close(fd);
    x->running = true;
    if (r == 0)
        return 0;
    /* Even then the handle must be closed: the owner waits for op as if the process had run. */
    err_set_code(err, ERR_UV, ERR_RETRY, r, "starting %s: %s", how->argv[0], uv_strerror(r));
    x->status = -1;
    close_handles(x);
    return -1;
}
