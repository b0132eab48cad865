/* What the configuration, the ports and the private database's files mean. */
#include "cli/doctor.h"

#include <errno.h>

enum { SECRET_MIN = 16, SYSTEMD_STOP_MS = 90000 };

/* ---- configuration --------------------------------------------------------------------------- */

void doctor__check_configuration(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_conf *c = &f->conf;
    if (c->err.class != 0)
        doctor__say(v, DOCTOR_FAIL, "correct it, then run waymark config check", "%s", c->err.msg);
    else if (c->unreadable)
        doctor__say(v, DOCTOR_WARN, "let the user of the service read it, or remove it",
                    "%s is there, but we may not read it", c->unreadable);
    else if (c->file.path)
        doctor__say(v, DOCTOR_OK, NULL, "%s is valid", c->file.path);
    else
        doctor__say(v, DOCTOR_OK, NULL, "valid; no file, defaults and environment");
}

void doctor__check_secrets(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_conf *c = &f->conf;
    if (!c->file.path) {
        doctor__say(v, DOCTOR_SKIPPED, NULL, "no configuration file");
        return;
    }
    if (!c->looked || c->file.errnum != 0) {
        doctor__say(v, DOCTOR_SKIPPED, NULL, "cannot look at %s: %s", c->file.path,
                    c->looked ? strerror(c->file.errnum) : "no answer in time");
        return;
    }
    bool world = (c->file.mode & 04) != 0, secret = c->secrets && c->secrets[0];
    if (secret && world) {
        doctor__say(v, DOCTOR_WARN, "", "%s holds %s and every user may read it (mode %04o)",
                    c->file.path, c->secrets, c->file.mode);
        snprintf(v->remedy, sizeof(v->remedy), "chmod 640 %s, with the service's group",
                 c->file.path);
    } else if (c->file.mode & 02) {
        doctor__say(v, DOCTOR_WARN, "", "every user may change %s (mode %04o)", c->file.path,
                    c->file.mode);
        snprintf(v->remedy, sizeof(v->remedy), "chmod o-w %s", c->file.path);
    } else {
        doctor__say(v, DOCTOR_OK, NULL, "%s, mode %04o, %s", c->file.path, c->file.mode,
                    secret ? "closed to other users" : "holds none");
    }
}

void doctor__check_admin_secret(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_conf *c = &f->conf;
    if (!c->has_secret)
        doctor__say(v, DOCTOR_OK, NULL, "none given: one is made when there is none");
    else if (c->secret_bytes < SECRET_MIN)
        doctor__say(v, DOCTOR_FAIL, "use a longer one, such as that of: openssl rand -base64 24",
                    "admin.secret has %zu characters: fewer than %d can be guessed",
                    c->secret_bytes, SECRET_MIN);
    else
        doctor__say(v, DOCTOR_OK, NULL, "long enough");
}

static bool is_weak(const struct db_url_facts *u)
{
    return u->remote && (strcmp(u->sslmode, "disable") == 0 || strcmp(u->sslmode, "allow") == 0 ||
                         strcmp(u->sslmode, "prefer") == 0);
}

void doctor__check_database_url(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_conf *c = &f->conf;
    if (!c->has_url) {
        doctor__say(v, DOCTOR_SKIPPED, NULL, "no database is configured: a private one is used");
        return;
    }
    if (!c->url.readable || (c->has_direct && !c->direct.readable)) {
        doctor__say(v, DOCTOR_FAIL, "write postgres://USER:PASSWORD@HOST:PORT/NAME",
                    "[database] %s cannot be read", c->url.readable ? "direct_url" : "url");
        return;
    }
    const struct db_url_facts *u = is_weak(&c->url) || !c->has_direct ? &c->url : &c->direct;
    if (is_weak(u))
        doctor__say(v, DOCTOR_WARN,
                    "add sslmode=verify-full (with sslrootcert), or at least sslmode=require",
                    "sslmode=%s to %s: whoever is in between may read and change everything",
                    u->sslmode, u->host);
    else
        doctor__say(v, DOCTOR_OK, NULL, "%s",
                    u->remote ? "only encrypted connections" : "this machine");
}

void doctor__check_log_level(const struct doctor_facts *f, struct doctor_verdict *v)
{
    if (strcmp(f->conf.log_level, "debug") == 0)
        doctor__say(v, DOCTOR_WARN, "set [log] level = \"info\" when you have seen enough",
                    "debug: much is written, at the cost of speed and disk");
    else
        doctor__say(v, DOCTOR_OK, NULL, "%s", f->conf.log_level);
}

void doctor__check_stop_time(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_conf *c = &f->conf;
    char drain[32];
    duration_format(c->drain_ms, drain);
    if (c->systemd && c->drain_ms >= SYSTEMD_STOP_MS)
        doctor__say(
            v, DOCTOR_WARN, "set TimeoutStopSec= of the unit higher, or [processor] drain lower",
            "[processor] drain is %s, systemd kills after 90s unless told otherwise", drain);
    else
        doctor__say(v, DOCTOR_OK, NULL, "running work has %s", drain);
}

/* ---- private database ------------------------------------------------------------------------ */

static bool no_private(const struct doctor_facts *f, struct doctor_verdict *v)
{
    if (!f->private_db)
        doctor__say(v, DOCTOR_SKIPPED, NULL, "%s",
                    f->conf.err.class != 0 ? "the configuration cannot be read"
                                           : "a database is configured");
    else if (!f->cluster_done)
        doctor__say(v, DOCTOR_FAIL, "look whether its disk is well", "%s",
                    "the data folder does not answer in time");
    return v->finding[0] != '\0';
}

void doctor__check_private_programs(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct db_cluster_facts *c = &f->cluster;
    if (no_private(f, v))
        return;
    if (c->no_programs.class != 0) {
        doctor__say(v, DOCTOR_FAIL, NULL, "%s", c->no_programs.msg);
    } else if (c->postgis == DB_POSTGIS_MISSING) {
        doctor__say(v, DOCTOR_FAIL, "", "PostgreSQL %d in %s has no PostGIS", c->major, c->bin);
        snprintf(v->remedy, sizeof(v->remedy), "install postgresql-%d-postgis-3", c->major);
    } else if (c->postgis == DB_POSTGIS_UNKNOWN) {
        doctor__say(v, DOCTOR_WARN, "make sure that PostGIS 3 is installed for it",
                    "%s: PostGIS is in none of the usual places", c->bin ? c->bin : "");
    } else {
        doctor__say(v, DOCTOR_OK, NULL, "%s, with PostGIS", c->bin);
    }
}

void doctor__check_private_folder(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct db_cluster_facts *c = &f->cluster;
    const struct err *wrong[] = {&c->no_name, &c->no_user, &c->no_way, &c->bad_data};
    if (no_private(f, v))
        return;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        if (wrong[i]->class != 0) {
            doctor__say(v, DOCTOR_FAIL, NULL, "%s", wrong[i]->msg);
            return;
        }
    }
    if (!c->writable) {
        doctor__say(v, DOCTOR_FAIL, "choose another with --data-dir, or run as its owner",
                    "we may not write in %s", c->place);
    } else {
        doctor__say(v, DOCTOR_OK, NULL, "%s, %s%s%s", c->dir,
                    c->has_data ? "with a database" : "to be made at the first start",
                    c->user[0] ? ", run by user " : "", c->user);
    }
}

/* ---- ports ----------------------------------------------------------------------------------- */

static const char *why_not_bound(int errnum)
{
    switch (errnum) {
    case EADDRINUSE:
        return "stop what listens there, or choose another address";
    case EACCES:
    case EPERM:
        return "choose a port of 1024 or above or a folder that we may write in, or give the "
               "service CAP_NET_BIND_SERVICE";
    case EADDRNOTAVAIL:
        return "no interface of this machine has that address: choose another";
    case EAFNOSUPPORT:
        return "this machine has no IPv6: give an IPv4 address";
    case ENOENT:
        return "create its folder";
    case EEXIST:
        return "a file that is no socket is in the way: remove it";
    default:
        return "choose another address";
    }
}

static bool no_ports(const struct doctor_ports *p, bool done, const struct doctor_facts *f,
                     struct doctor_verdict *v)
{
    if (f->conf.err.class != 0)
        doctor__say(v, DOCTOR_SKIPPED, NULL, "the configuration cannot be read");
    else if (!done)
        doctor__say(v, DOCTOR_FAIL, NULL, "no answer in time");
    else if (p->n == 0)
        doctor__say(v, DOCTOR_SKIPPED, NULL, "off");
    return v->finding[0] != '\0';
}

/* ours: where somebody listens it is a Waymark, as far as we can tell. */
static void check_ports(const struct doctor_ports *p, const char *ours, struct doctor_verdict *v)
{
    struct buf fine = {0};
    for (size_t i = 0; i < p->n; i++) {
        const struct doctor_port *x = &p->port[i];
        const char *comma = fine.n ? ", " : "";
        if (x->kind == DOCTOR_PORT_BAD) {
            doctor__say(v, DOCTOR_FAIL, NULL, "%s", x->bad.msg);
            break;
        }
        bool taken_by_us = x->somebody && (ours || x->answers);
        if (x->errnum != 0 && !taken_by_us) {
            doctor__say(v, DOCTOR_FAIL, why_not_bound(x->errnum), "%s: %s", x->text,
                        strerror(x->errnum));
            break;
        }
        if (x->kind == DOCTOR_PORT_SYSTEMD)
            buf_printf(&fine, "%ssystemd hands a socket over", comma);
        else if (x->answers)
            buf_printf(&fine, "%s%s: Waymark%s%s answers", comma, x->text, x->version[0] ? " " : "",
                       x->version);
        else if (x->somebody)
            buf_printf(&fine, "%s%s: taken, by the running Waymark it seems", comma, x->text);
        else
            buf_printf(&fine, "%s%s: free", comma, x->text);
    }
    if (v->finding[0] == '\0' && p->left_out > 0)
        doctor__say(v, DOCTOR_WARN, NULL, "%zu more addresses were not looked at", p->left_out);
    else if (v->finding[0] == '\0')
        doctor__say(v, DOCTOR_OK, NULL, "%s", fine.p ? fine.p : "");
    buf_done(&fine);
}

static const char *running(const struct doctor_facts *f)
{
    for (size_t i = 0; i < f->admin.n && f->admin_done; i++) {
        if (f->admin.port[i].answers)
            return f->admin.port[i].text;
    }
    return NULL;
}

void doctor__check_http_port(const struct doctor_facts *f, struct doctor_verdict *v)
{
    if (!no_ports(&f->http, f->http_done, f, v))
        check_ports(&f->http, running(f), v);
}

void doctor__check_admin_port(const struct doctor_facts *f, struct doctor_verdict *v)
{
    if (!no_ports(&f->admin, f->admin_done, f, v))
        check_ports(&f->admin, NULL, v);
}

void doctor__check_proxies(const struct doctor_facts *f, struct doctor_verdict *v)
{
    bool open = false;
    if (no_ports(&f->http, f->http_done, f, v))
        return;
    for (size_t i = 0; i < f->http.n; i++)
        open |= f->http.port[i].kind == DOCTOR_PORT_TCP &&
                f->http.port[i].scope != DOCTOR_SCOPE_LOOPBACK;
    if (f->conf.http_proxies[0])
        doctor__say(v, DOCTOR_OK, NULL, "%s", f->conf.http_proxies);
    else if (open)
        doctor__say(v, DOCTOR_OK, NULL,
                    "none: X-Forwarded-For is ignored; with a proxy in front, name it here");
    else
        doctor__say(v, DOCTOR_OK, NULL, "none: X-Forwarded-For is ignored");
}

void doctor__check_admin_reach(const struct doctor_facts *f, struct doctor_verdict *v)
{
    static const char remedy[] =
        "set [admin] listen = \"127.0.0.1:9090\" or unix:/path, and a proxy with TLS before it";
    const struct doctor_port *widest = NULL;
    if (no_ports(&f->admin, f->admin_done, f, v))
        return;
    for (size_t i = 0; i < f->admin.n; i++) {
        const struct doctor_port *x = &f->admin.port[i];
        if (x->kind == DOCTOR_PORT_TCP && (!widest || x->scope > widest->scope))
            widest = x;
    }
    if (!widest || widest->scope == DOCTOR_SCOPE_LOOPBACK) {
        doctor__say(v, DOCTOR_OK, NULL, "only from this machine");
        return;
    }
    bool internet = widest->scope == DOCTOR_SCOPE_PUBLIC ||
                    (widest->scope == DOCTOR_SCOPE_ANY && f->admin.public_interface);
    bool proxied = f->conf.admin_proxies[0] != '\0';
    doctor__say(v, internet && !proxied ? DOCTOR_FAIL : DOCTOR_WARN, remedy,
                "%s: metrics and queue pages can be reached %s", widest->text,
                internet && !proxied ? "from the Internet, without TLS" : "from other machines");
}
