#include "base/internal.h"

#ifdef WAYMARK_FAULTS

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

enum { RULES_MAX = 16, TEXT_MAX = 1024 };
enum action { ACT_KILL, ACT_STOP, ACT_ABORT, ACT_EXIT, ACT_SLEEP, ACTIONS };
static const char *const action_name[ACTIONS] = {"kill", "stop", "abort", "exit", "sleep"};

struct rule {
    const char *point;
    int64_t nth;
    bool and_later;
    enum action action;
    int64_t arg;
    atomic_llong passed;
};
static struct rule rule[RULES_MAX];
static size_t nrules;
static char rules_text[TEXT_MAX];

static void say(const char *what, const char *detail)
{
    char text[256];
    int n = snprintf(text, sizeof(text), "fault: %s %s\n", what, detail);
    (void)!write(STDERR_FILENO, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

/* A rule that is not understood would make a test that tests nothing. */
static void refuse(const char *text)
{
    say("not understood:", text);
    abort();
}

static char *cut(char **rest, char at)
{
    char *word = *rest, *end = strchr(word, at);
    *rest = end ? end + 1 : word + strlen(word);
    if (end) {
        *end = '\0';
    }
    return word;
}

static void read_rule(char *text)
{
    char *rest = text;
    struct rule *r = &rule[nrules];
    r->point = cut(&rest, ':');
    char *nth = cut(&rest, ':');
    size_t n = strlen(nth);
    r->and_later = n > 0 && nth[n - 1] == '+';
    struct span digits = {nth, r->and_later ? n - 1 : n};
    const char *action = cut(&rest, ':');
    while (r->action < ACTIONS && strcmp(action, action_name[r->action]) != 0) {
        r->action++;
    }
    if (nrules == RULES_MAX - 1 || r->action == ACTIONS ||
        span_to_i64(digits, 1, INT64_MAX, &r->nth) != 0 ||
        (*rest && span_to_i64(span_of(rest), 0, INT32_MAX, &r->arg) != 0)) {
        refuse(action);
    }
    nrules++;
}

static void read_rules(void)
{
    const char *given = getenv("WAYMARK_FAULT");
    size_t n = given ? strlen(given) : 0;
    if (n >= sizeof(rules_text)) {
        refuse("too long");
    }
    if (n > 0) {
        memcpy(rules_text, given, n + 1);
    }
    for (char *rest = rules_text; *rest;) {
        read_rule(cut(&rest, ','));
    }
}

static void act(const struct rule *r)
{
    const struct timespec pause = {r->arg / 1000, r->arg % 1000 * 1000000};
    say(r->point, action_name[r->action]);
    switch (r->action) {
    case ACT_KILL:
        (void)raise(SIGKILL);
        break;
    case ACT_STOP:
        (void)kill(getpid(), SIGSTOP); /* all threads, before this one goes on */
        break;
    case ACT_EXIT:
        _exit((int)r->arg); /* banned-ok: to end without any goodbye is its purpose */
    case ACT_SLEEP:
        (void)nanosleep(&pause, NULL); /* banned-ok: to block is its purpose */
        break;
    default:
        abort();
    }
}

void fault_passed(const char *name)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CHECK(pthread_once(&once, read_rules) == 0);
    for (size_t i = 0; i < nrules; i++) {
        if (strcmp(rule[i].point, name) != 0) {
            continue;
        }
        int64_t nth = atomic_fetch_add(&rule[i].passed, 1) + 1;
        if (nth == rule[i].nth || (rule[i].and_later && nth > rule[i].nth)) {
            act(&rule[i]);
        }
    }
}

#endif
