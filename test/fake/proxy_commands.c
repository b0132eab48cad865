/* What tests tell a proxy to do. */
#include "fake/proxy_internal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void copy_name(char out[NAME_MAX_], const char *name)
{
    if (snprintf(out, NAME_MAX_, "%s", name ? name : "") >= NAME_MAX_)
        proxy__die("a name is too long");
}

void proxy__lock(struct proxy *p)
{
    (void)pthread_mutex_lock(&p->lock);
}

void proxy__unlock(struct proxy *p)
{
    (void)!write(p->wake[1], "", 1); /* the thread looks at everything anew */
    (void)pthread_mutex_unlock(&p->lock);
}

static struct setting *setting_of(struct proxy *p, const char *app)
{
    char name[NAME_MAX_];
    copy_name(name, app);
    for (unsigned i = 0; i < p->nsettings; i++)
        if (strcmp(p->setting[i].app, name) == 0)
            return &p->setting[i];
    if (p->nsettings == SETTINGS_MAX)
        proxy__die("too many settings");
    struct setting *s = &p->setting[p->nsettings++];
    *s = (struct setting){0};
    memcpy(s->app, name, sizeof(name));
    return s;
}

void proxy_pass(struct proxy *p)
{
    proxy__lock(p);
    p->nsettings = 0;
    p->trigger.armed = false;
    proxy__unlock(p);
}

void proxy_cut(struct proxy *p, const char *app)
{
    char name[NAME_MAX_];
    copy_name(name, app);
    proxy__lock(p);
    for (struct conn *c = p->conns; c != NULL; c = c->next)
        if (proxy__concerns(name, c))
            proxy__kill_conn(c);
    proxy__unlock(p);
}

void proxy_refuse(struct proxy *p, const char *app)
{
    proxy__lock(p);
    setting_of(p, app)->refuse = true;
    proxy__unlock(p);
}

void proxy_delay(struct proxy *p, const char *app, enum proxy_way way, int64_t ms)
{
    proxy__lock(p);
    for (int i = UP; i <= DOWN; i++)
        if ((int)way & 1 << i)
            setting_of(p, app)->delay_ms[i] = ms;
    proxy__unlock(p);
}

void proxy_hold(struct proxy *p, const char *app, enum proxy_way way)
{
    proxy__lock(p);
    for (int i = UP; i <= DOWN; i++)
        setting_of(p, app)->hold[i] |= ((int)way & 1 << i) != 0;
    proxy__unlock(p);
}

void proxy_swallow(struct proxy *p, const char *app, enum proxy_way way)
{
    proxy__lock(p);
    for (int i = UP; i <= DOWN; i++)
        setting_of(p, app)->swallow[i] |= ((int)way & 1 << i) != 0;
    proxy__unlock(p);
}

void proxy_deafen(struct proxy *p, const char *app)
{
    proxy__lock(p);
    setting_of(p, app)->deafen = true;
    proxy__unlock(p);
}

static void arm(struct proxy *p, const char *app, const struct trigger *t)
{
    proxy__lock(p);
    p->trigger = *t;
    copy_name(p->trigger.app, app);
    p->trigger.armed = true;
    for (struct conn *c = p->conns; c != NULL; c = c->next)
        c->up_bytes = c->nrecent = 0;
    proxy__unlock(p);
}

void proxy_on_text(struct proxy *p, const char *app, const char *text, unsigned nth,
                   enum proxy_action action)
{
    struct trigger t = {.nth = nth, .action = action};
    copy_name(t.text, text);
    arm(p, app, &t);
}

void proxy_cut_after_bytes(struct proxy *p, const char *app, size_t n)
{
    arm(p, app, &(struct trigger){.bytes = n, .action = PROXY_CUT_AFTER});
}

unsigned proxy_hits(struct proxy *p)
{
    proxy__lock(p);
    unsigned n = p->hits;
    proxy__unlock(p);
    return n;
}

unsigned proxy_asked(struct proxy *p)
{
    proxy__lock(p);
    unsigned n = p->asked;
    proxy__unlock(p);
    return n;
}

unsigned proxy_conns(struct proxy *p, const char *app)
{
    unsigned n = 0;
    char name[NAME_MAX_];
    copy_name(name, app);
    proxy__lock(p);
    for (const struct conn *c = p->conns; c != NULL; c = c->next)
        n += !c->dead && proxy__concerns(name, c);
    proxy__unlock(p);
    return n;
}
