#include "cli/internal.h"

#include <unistd.h>

enum { BAR_CELLS = 30, PLAIN_LINE_MS = 5000, REDRAW_MS = 100 };

void cli_progress_start(struct cli_progress *p, const struct cli *c, const char *what)
{
    *p = (struct cli_progress){
        .what = what,
        .off = c->quiet,
        .tty = isatty(STDERR_FILENO) == 1,
        .started_ms = clock_mono_ms(),
        .last_ms = clock_mono_ms(),
    };
}

static void draw_bar(struct cli_progress *p, uint64_t done, uint64_t total, double share)
{
    char cells[BAR_CELLS * 3 + 1] = "";
    size_t n = 0;
    for (int i = 0; i < BAR_CELLS; i++) {
        const char *cell = share * BAR_CELLS >= i + 1 ? "█" : "░";
        memcpy(cells + n, cell, 3);
        n += 3;
    }
    cells[n] = '\0';
    double seconds = (double)(clock_mono_ms() - p->started_ms) / 1000;
    char left[200] = "";
    if (p->note) {
        snprintf(left, sizeof(left), ", %s", p->note);
    } else if (share > 0.02 && share < 1 && seconds > 1) {
        snprintf(left, sizeof(left), ", %.0f s left", seconds / share - seconds);
    }
    fprintf(stderr, "\r%s %s %3.0f %% %llu of %llu%s\033[K", p->what, cells, share * 100,
            (unsigned long long)done, (unsigned long long)total, left);
    fflush(stderr);
    p->drawn = true;
}

void cli_progress_set(struct cli_progress *p, uint64_t done, uint64_t total)
{
    if (p->off || total == 0) {
        return;
    }
    double share = done >= total ? 1 : (double)done / (double)total;
    int64_t since = clock_mono_ms() - p->last_ms;
    bool end = share >= 1 && p->last_share < 1;
    if (p->tty && (since >= REDRAW_MS || end)) {
        draw_bar(p, done, total, share);
        p->last_ms = clock_mono_ms();
    } else if (!p->tty && total > 1 && (since >= PLAIN_LINE_MS || end)) {
        fprintf(stderr, "%s: %llu of %llu (%.0f %%)%s%s\n", p->what, (unsigned long long)done,
                (unsigned long long)total, share * 100, p->note ? ", " : "",
                p->note ? p->note : "");
        p->last_ms = clock_mono_ms();
    }
    p->last_share = share;
}

void cli_progress_clear(struct cli_progress *p)
{
    if (p->drawn) {
        fputs("\r\033[K", stderr);
        p->drawn = false;
    }
}

void cli_progress_end(struct cli_progress *p)
{
    if (p->drawn) {
        fputc('\n', stderr);
        p->drawn = false;
    }
}
