/* Verdicts for people and for programs. */
#include "cli/doctor.h"

#include <unistd.h>

static const char *const status_name[] = {"ok", "warn", "FAIL", "skipped"};
static const char *const group_name[] = {"configuration", "database", "disk",  "limits",
                                         "ports",         "queue",    "strava"};

static void print_json(const struct doctor_verdict *v)
{
    static const char *const name[] = {"ok", "warn", "fail", "skipped"};
    struct buf out = {0};
    struct json_out j = {.buf = &out};
    jo_begin_array(&j, NULL);
    for (size_t i = 0; i < doctor_check_count; i++) {
        jo_begin_object(&j, NULL);
        jo_str(&j, "check", doctor_checks[i].name);
        jo_str(&j, "group", group_name[doctor_checks[i].group]);
        jo_str(&j, "status", name[v[i].status]);
        jo_str(&j, "finding", v[i].finding);
        jo_str(&j, "remedy", v[i].remedy[0] ? v[i].remedy : NULL);
        jo_end_object(&j);
    }
    jo_end_array(&j);
    puts(out.p);
    buf_done(&out);
}

/* How many checks after this one were skipped for the same reason. */
static size_t same_after(const struct doctor_verdict *v, size_t i)
{
    size_t n = 0;
    while (v[i].status == DOCTOR_SKIPPED && i + n + 1 < doctor_check_count &&
           v[i + n + 1].status == DOCTOR_SKIPPED && strcmp(v[i].finding, v[i + n + 1].finding) == 0)
        n++;
    return n;
}

static void print_line(struct doctor_verdict *v, const char *name, int width, size_t more,
                       bool colour)
{
    static const char *const paint[] = {"\033[32m", "\033[33m", "\033[1;31m", "\033[2m"};
    printf("%s%-7s%s  %-*s  %s%s%s", colour ? paint[v->status] : "", status_name[v->status],
           colour ? "\033[0m" : "", width, name, text_tame(v->finding), v->remedy[0] ? ": " : "",
           text_tame(v->remedy));
    if (more > 0)
        printf(" (and %zu more check%s)", more, more == 1 ? "" : "s");
    putchar('\n');
}

void doctor__print(const struct cli *c, struct doctor_verdict *v)
{
    size_t count[COUNT_OF(status_name)] = {0};
    const char *no_colour = getenv("NO_COLOR");
    bool colour = isatty(STDOUT_FILENO) == 1 && !(no_colour && *no_colour);
    int width = 0;
    if (c->json) {
        print_json(v);
        return;
    }
    for (size_t i = 0; i < doctor_check_count; i++) {
        int n = (int)strlen(doctor_checks[i].name);
        width = n > width ? n : width;
    }
    for (size_t i = 0; i < doctor_check_count; i++)
        count[v[i].status]++;
    for (size_t i = 0; i < doctor_check_count; i++) {
        size_t more = same_after(v, i);
        print_line(&v[i], doctor_checks[i].name, width, more, colour);
        i += more;
    }
    printf("\n%zu FAIL, %zu warn, %zu ok, %zu skipped\n", count[DOCTOR_FAIL], count[DOCTOR_WARN],
           count[DOCTOR_OK], count[DOCTOR_SKIPPED]);
}
