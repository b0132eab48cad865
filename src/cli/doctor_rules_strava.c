/* What Strava needs: a way to us, and a subscription. */
#include "cli/doctor.h"

enum { OLD_S = 2 * 86400 + 3600 }; /* looked at every day, unless a day was missed */

static bool no_strava(const struct doctor_facts *f, struct doctor_verdict *v)
{
    if (f->conf.err.class != 0)
        doctor__say(v, DOCTOR_SKIPPED, NULL, "the configuration cannot be read");
    else if (!f->strava.on)
        doctor__say(v, DOCTOR_SKIPPED, NULL, "Strava is not configured");
    else if (!f->strava.callback_url)
        doctor__say(v, DOCTOR_SKIPPED, NULL,
                    "no strava.callback_url: changes are found by looking, not told");
    return v->finding[0] != '\0';
}

static bool not_stored(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_part *p = &f->db.strava;
    if (strcmp(p->err.sqlstate, "42P01") == 0)
        doctor__say(v, DOCTOR_SKIPPED, NULL, "the schema is older than this program");
    else
        (void)doctor__unknown(&f->db, p, v);
    return v->finding[0] != '\0';
}

void doctor__check_callback(const struct doctor_facts *f, struct doctor_verdict *v)
{
    static const char remedy[] =
        "let that name lead to http.listen of the service; a proxy in between must pass GET and "
        "POST of the path on, and no protection against robots may stand in the way";
    const struct doctor_strava *s = &f->strava;
    if (no_strava(f, v) || not_stored(f, v))
        return;
    if (!f->db.word)
        doctor__say(v, DOCTOR_SKIPPED, NULL, "the service was not started with it yet");
    else if (!s->asked.answered && s->asked.err.class == 0)
        doctor__say(v, DOCTOR_FAIL, remedy, "no answer in time");
    else if (!s->asked.answered)
        doctor__say(v, DOCTOR_FAIL, f->db.ninstances ? remedy : "start waymark serve", "%s",
                    s->asked.err.msg);
    else if (s->callback_ms > 1000)
        doctor__say(v, DOCTOR_WARN, "look at what is in between: Strava waits 2 s",
                    "answered from this machine after %lld ms", (long long)s->callback_ms);
    else
        doctor__say(v, DOCTOR_OK, NULL, "answers as Strava wants it, from this machine in %lld ms",
                    (long long)s->callback_ms);
}

void doctor__check_subscription(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_strava *s = &f->strava;
    const struct doctor_db *d = &f->db;
    if (no_strava(f, v) || not_stored(f, v))
        return;
    char age[32];
    duration_format(d->subscription_s / 60 * 60000, age);
    if (d->subscription_problem)
        doctor__say(v, DOCTOR_FAIL, "mend that, then run waymark sync subscribe", "%s",
                    d->subscription_problem);
    else if (!d->subscription_id && !s->keep)
        doctor__say(v, DOCTOR_OK, NULL, "none, as strava.subscription is off");
    else if (!d->subscription_id)
        doctor__say(v, DOCTOR_WARN, "start waymark serve, or run waymark sync subscribe",
                    "there is none yet: Strava tells us nothing");
    else if (!d->subscription_url || strcmp(d->subscription_url, s->callback_url) != 0)
        doctor__say(v, DOCTOR_WARN, "restart the service, or run waymark sync subscribe",
                    "number %lld pushes elsewhere than to strava.callback_url",
                    (long long)d->subscription_id);
    else if (d->subscription_s > OLD_S)
        doctor__say(v, DOCTOR_WARN, "waymark jobs list --kind strava.subscribe",
                    "number %lld was looked at %s ago, and should be every day",
                    (long long)d->subscription_id, age);
    else
        doctor__say(v, DOCTOR_OK, NULL, "number %lld, looked at %s ago",
                    (long long)d->subscription_id, age);
}
