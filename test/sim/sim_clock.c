/* Virtual time: the monotonic clock with an offset, or a time that stands. */
#include "sim/sim.h"

static int64_t mono_us(void)
{
    return clock_mono_ns() / 1000;
}

int64_t sim_now_us(const struct sim *s)
{
    return s->clock.frozen ? s->clock.frozen_us : mono_us() + s->clock.offset_us;
}

void sim_clock_set(struct sim *s, int64_t now_us)
{
    s->clock.frozen_us = now_us;
    s->clock.offset_us = now_us - mono_us();
}

void sim_clock_advance(struct sim *s, int64_t us)
{
    s->clock.frozen_us += us;
    s->clock.offset_us += us;
}

void sim_clock_freeze(struct sim *s, bool on)
{
    int64_t now = sim_now_us(s);
    s->clock.frozen = on;
    sim_clock_set(s, now);
}

int64_t sim_real_ms_until(const struct sim *s, int64_t us)
{
    int64_t left = us - sim_now_us(s);
    if (left <= 0)
        return 0;
    return s->clock.frozen ? -1 : left / 1000 + 1;
}
