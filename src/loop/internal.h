/* Shared by the files of loop/ only. */
#pragma once

#include <pthread.h>

#include "loop/loop.h"

struct loop {
    uv_loop_t uv;
    pthread_t thread; /* the one that makes and runs the loop */

    /* Drained by `check`, once a turn; `idle` is active while something is queued, so that the turn
     * does not block. */
    uv_check_t check;
    uv_idle_t idle;
    struct ready *first, *last;

    unsigned flows;

    unsigned work_max, work_running;
    struct work *work_first, *work_last;
    unsigned work_queued;
};

/* Everything but the run function of work is for the loop thread only. */
void loop__check_thread(const struct loop *l);
/* One shot, ms from now rather than from the start of the turn. */
void loop__timer_start(uv_timer_t *timer, uv_timer_cb fn, int64_t ms);
/* "cancelled", as every provider reports it. */
void loop__cancelled(struct err *err);
