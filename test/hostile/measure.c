/* Who asks as one should, and what the process takes meanwhile. */
#include "hostile/hostile.h"

#include <dirent.h>

enum { ANSWER_MS = 2000, STARVED_MS = 500 };

/* A line of the text format of Prometheus: name, perhaps labels, a number. */
static bool is_sample(const char *line, size_t n)
{
    char copy[512], *end;
    if (n == 0 || n >= sizeof(copy))
        return false;
    memcpy(copy, line, n);
    copy[n] = '\0';
    size_t name = strspn(copy, "abcdefghijklmnopqrstuvwxyz_0123456789");
    char *value = copy + name;
    if (*value == '{') {
        value = strrchr(copy, '}');
        if (value == NULL)
            return false;
        value++;
    }
    if (name == 0 || *value != ' ')
        return false;
    (void)strtod(value + 1, &end);
    return end > value + 1 && *end == '\0';
}

static const char *wrong_metric(const char *body)
{
    for (const char *line = body; *line != '\0';) {
        size_t n = strcspn(line, "\n");
        if (line[n] == '\0' || (strncmp(line, "# HELP ", 7) != 0 &&
                                strncmp(line, "# TYPE ", 7) != 0 && !is_sample(line, n)))
            return line;
        line += n + 1;
    }
    return NULL;
}

static void ask(struct hostile_watch *w, unsigned what, char *answer, size_t size, int64_t late_ms)
{
    static const char *const path[] = {"/healthz", "/readyz", "/metrics"};
    const int64_t start = it_now_ms();
    int fd = hostile_connect(w->s, HOSTILE_ADMIN, "127.0.0.1");
    size_t n = 0;
    if (fd >= 0 && hostile_say(fd, "GET %s HTTP/1.1\r\nHost: admin\r\n\r\n", path[what]))
        n = hostile_read_answer(fd, answer, size, 10000);
    hostile_close(fd);
    const int64_t took = it_now_ms() - start;
    w->worst_ms[what] = took > w->worst_ms[what] ? took : w->worst_ms[what];
    if (n == 0 || hostile_status(answer) != 200) {
        hostile_problem(w->s, "%s after %lld ms: %.600s", path[what], (long long)took,
                        n > 0 ? answer : "no answer");
    } else if (what == 0 && took > ANSWER_MS && late_ms < STARVED_MS) {
        hostile_problem(w->s, "%s took %lld ms", path[what], (long long)took);
    }
}

void *hostile_well_behaved(void *watch)
{
    struct hostile_watch *w = watch;
    static char answer[4 * HOSTILE_ANSWER_MAX];
    while (!atomic_load(&w->s->over)) {
        const int64_t slept_from = it_now_ms();
        it_pause_ms(1000);
        const int64_t late = it_now_ms() - slept_from - 1000;
        w->worst_late_ms = late > w->worst_late_ms ? late : w->worst_late_ms;
        for (unsigned what = 0; what < 3; what++)
            ask(w, what, answer, sizeof(answer), late);
        const char *body = strstr(answer, "\r\n\r\n");
        const char *wrong = body != NULL ? wrong_metric(body + 4) : NULL;
        if (wrong != NULL)
            hostile_problem(w->s, "a line of /metrics: %.200s", wrong);
        w->rounds++;
    }
    return NULL;
}

int64_t hostile_rss_kb(pid_t pid)
{
    char path[64], line[256];
    long long kb = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0)
            kb = strtoll(line + 6, NULL, 10);
    }
    fclose(f);
    return kb;
}

unsigned hostile_files(pid_t pid)
{
    char path[64];
    unsigned n = 0;
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}
