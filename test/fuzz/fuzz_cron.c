/* What is taken has values in every field and none outside it, says the same when written out, and
 * can be looked at; what is refused says why in one line. */
#include <string.h>

#include "jobs/jobs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_field(struct buf *out, uint64_t bits)
{
    const char *comma = out->n ? " " : "";
    for (unsigned k = 0; k < 64; k++) {
        if (bits >> k & 1) {
            buf_printf(out, "%s%u", comma, k);
            comma = ",";
        }
    }
}

static void check_taken(const struct jobs_cron *c)
{
    CHECK(c->minutes && c->minutes >> 60 == 0);
    CHECK(c->hours && c->hours >> 24 == 0);
    CHECK(c->days && !(c->days & 1) && c->days >> 32 == 0);
    CHECK(c->months && !(c->months & 1) && c->months >> 13 == 0);
    CHECK(c->weekdays && c->weekdays >> 7 == 0);
    CHECK(c->any_hour == (c->hours == (1 << 24) - 1));
    struct buf spec = {0};
    write_field(&spec, c->minutes);
    write_field(&spec, c->hours);
    write_field(&spec, c->days);
    write_field(&spec, c->months);
    write_field(&spec, c->weekdays);
    struct jobs_cron again;
    if (spec.n <= 256) { /* a long list may not fit */
        {
            CHECK(jobs_cron_parse(buf_span(&spec), &again, NULL) == 0);
        }
        CHECK(again.minutes == c->minutes && again.hours == c->hours && again.days == c->days);
        CHECK(again.months == c->months && again.weekdays == c->weekdays && again.any_day);
    }
    buf_done(&spec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jobs_cron c;
    struct err err = {0};
    if (jobs_cron_parse((struct span){(const char *)data, size}, &c, &err) == 0) {
        check_taken(&c);
        struct buf out = {0};
        buf_puts(&out, "");
        unsigned lines = jobs_cron_lint(&c, "Europe/Zurich", &out);
        for (const char *p = out.p; (p = strchr(p, '\n')); p++) {
            CHECK(lines-- > 0);
        }
        CHECK(lines == 0);
        buf_done(&out);
    } else {
        CHECK(err.class == ERR_PERMANENT && err.msg[0] && !strchr(err.msg, '\n'));
    }
    return 0;
}
