/* When a number of calls will have been made, honestly: by what the windows leave for background
 * work. */
#include <math.h>
#include <time.h>

#include "cli/cmd_sync.h"

enum { QUARTER_S = 900, DAY_S = 86400, WINDOWS_MAX = 100000 };

/* Of SQL_jobs_cmd_rates. */
enum { NAME, CAP15 = 2, CAPDAY = 4, BACKGROUND = 6, LEFT15_S, LEFTDAY_S, RESERVE, PAUSED_S };

int cli__sync_rate_row(const struct db_unit *u, unsigned call)
{
    for (int i = 0; i < db_rows(u, call); i++) {
        if (span_is(db_get_span(u, call, i, NAME), STRAVA_RATE)) {
            return i;
        }
    }
    return -1;
}

struct sync_budget cli__sync_budget(const struct db_unit *u, unsigned call, int row)
{
    if (row < 0) {
        return (struct sync_budget){.left15 = INT32_MAX,
                                    .leftday = INT32_MAX,
                                    .cap15 = INT32_MAX,
                                    .capday = INT32_MAX,
                                    .end15_s = QUARTER_S,
                                    .endday_s = DAY_S};
    }
    double reserve = db_get_f64(u, call, row, RESERVE);
    int64_t cap15 = db_get_i64(u, call, row, CAP15), capday = db_get_i64(u, call, row, CAPDAY);
    struct sync_budget b = {
        .cap15 = cap15 - llround((double)cap15 * reserve),
        .capday = capday - llround((double)capday * reserve),
        .end15_s = db_get_f64(u, call, row, LEFT15_S),
        .endday_s = db_get_f64(u, call, row, LEFTDAY_S),
        .paused_s = db_get_f64(u, call, row, PAUSED_S),
    };
    b.left15 = db_get_i64(u, call, row, BACKGROUND);
    b.leftday = b.capday - db_get_i64(u, call, row, CAPDAY - 1);
    b.leftday = b.leftday > 0 ? b.leftday : 0;
    return b;
}

double cli__sync_wait_s(const struct sync_budget *b)
{
    double wait = b->leftday <= 0 ? b->endday_s : b->left15 <= 0 ? b->end15_s : 0;
    return wait > b->paused_s ? wait : b->paused_s;
}

/* The windows go on to that moment. */
static void roll(struct sync_budget *b, double t)
{
    while (t >= b->end15_s) {
        b->end15_s += QUARTER_S;
        b->left15 = b->cap15;
    }
    while (t >= b->endday_s) {
        b->endday_s += DAY_S;
        b->leftday = b->capday;
    }
}

double cli__sync_eta_s(const struct sync_budget *budget, int64_t calls, double call_s)
{
    struct sync_budget b = *budget;
    double t = b.paused_s;
    if (calls > 0 && (b.cap15 <= 0 || b.capday <= 0)) {
        return (double)INFINITY;
    }
    for (int i = 0; calls > 0 && i < WINDOWS_MAX; i++) {
        roll(&b, t);
        int64_t fits = call_s > 0 ? (int64_t)((b.end15_s - t) / call_s) : calls;
        int64_t n = calls < b.left15 ? calls : b.left15;
        n = n < b.leftday ? n : b.leftday;
        n = n < fits ? n : fits;
        calls -= n;
        b.left15 -= n;
        b.leftday -= n;
        t = calls == 0 ? t + (double)n * call_s : b.leftday <= 0 ? b.endday_s : b.end15_s;
    }
    return calls > 0 ? (double)INFINITY : t;
}

static const char *in_words(struct arena *a, double seconds)
{
    return seconds < 90       ? arena_printf(a, "%.0f s", ceil(seconds))
           : seconds < 5400   ? arena_printf(a, "%.0f min", ceil(seconds / 60))
           : seconds < 172800 ? arena_printf(a, "%.0f h", ceil(seconds / 3600))
                              : arena_printf(a, "%.0f days", ceil(seconds / 86400));
}

const char *cli__sync_note(struct arena *a, const struct sync_budget *b, int64_t calls,
                           double call_s, bool at_least, int64_t now_s)
{
    double wait = cli__sync_wait_s(b), eta = cli__sync_eta_s(b, calls, call_s);
    const char *left =
        !isfinite(eta)
            ? "no calls are allowed"
            : arena_printf(a, "%s %s left", at_least ? "at least" : "about", in_words(a, eta));
    if (wait <= 3) { /* the moment between two windows is nobody's news */
        return left;
    }
    time_t then = (time_t)(now_s + (int64_t)ceil(wait));
    struct tm tm;
    char clock[32] = "";
    if (localtime_r(&then, &tm)) {
        (void)strftime(clock, sizeof(clock), wait < 43200 ? "%H:%M" : "%a %H:%M", &tm);
    }
    return arena_printf(a, "%s, goes on at %s; %s",
                        b->paused_s >= wait ? "calls are paused" : "quota used up", clock, left);
}
