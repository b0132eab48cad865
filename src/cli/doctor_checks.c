/* The table of checks, and what they share. */
#include "cli/doctor.h"

#include <stdarg.h>

#define DOCTOR_ENTRY_(fn, group, name) {name, group, doctor__check_##fn},
const struct doctor_check doctor_checks[] = {DOCTOR_CHECKS(DOCTOR_ENTRY_)};
const size_t doctor_check_count = COUNT_OF(doctor_checks);

void doctor__say(struct doctor_verdict *v, enum doctor_status status, const char *remedy,
                 const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    v->status = status;
    vsnprintf(v->finding, sizeof(v->finding), fmt, args);
    snprintf(v->remedy, sizeof(v->remedy), "%s", remedy ? remedy : "");
    va_end(args);
}

bool doctor__unknown(const struct doctor_db *d, const struct doctor_part *p,
                     struct doctor_verdict *v)
{
    if (p->answered)
        return false;
    if (p->err.class != 0)
        doctor__say(v, DOCTOR_FAIL, NULL, "%s", p->err.msg);
    else
        doctor__say(v, DOCTOR_SKIPPED, NULL, "%s",
                    d->why_not ? d->why_not : "no connection to the database");
    return true;
}
