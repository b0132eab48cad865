/* What was found out of the database means. */
#include "cli/doctor.h"

enum {
    OLDEST_SERVER = 150000,
    CLOCK_WARN_MS = 2000,
    CLOCK_FAIL_MS = 30000,
    OLD_TRANSACTION_S = 3600,
    SHORTEST_SESSION_MS = 600000, /* the heartbeat's and the listener's are quiet for long */
    SHORTEST_LOCK_MS = 5000,
    DEAD_ROWS = 10000,
};

/* ---- reaching it ----------------------------------------------------------------------------- */

static const char *remedy_of(const struct err *e)
{
    if (strncmp(e->sqlstate, "28", 2) == 0)
        return "correct user and password in [database] url, or pg_hba.conf of the server";
    if (strcmp(e->sqlstate, "3D000") == 0)
        return "create it (createdb), or correct the name in [database] url";
    if (strcmp(e->sqlstate, "53300") == 0)
        return "raise max_connections of the server, or lower [database] connections";
    if (strcmp(e->sqlstate, "57P03") == 0)
        return "wait until it has started";
    if (e->domain == ERR_UV && e->code != UV_ECANCELED)
        return "correct the host in [database] url";
    return e->domain == ERR_CONF ? NULL
                                 : "start the server, or correct host and port in [database] url";
}

void doctor__check_connection(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_db *d = &f->db;
    if (d->connected.answered)
        doctor__say(v, DOCTOR_OK, NULL, "%s, answered in %lld ms", d->where,
                    (long long)d->connect_ms);
    else if (d->connected.err.class != 0)
        doctor__say(v, DOCTOR_FAIL, remedy_of(&d->connected.err), "%s", d->connected.err.msg);
    else
        (void)doctor__unknown(d, &d->connected, v);
}

void doctor__check_server(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_db *d = &f->db;
    if (doctor__unknown(d, &d->server, v))
        return;
    if (d->version_num < OLDEST_SERVER)
        doctor__say(v, DOCTOR_FAIL, "upgrade it to 15 or newer", "PostgreSQL %s", d->version);
    else if (d->standby)
        doctor__say(v, DOCTOR_FAIL, "set [database] url to the primary",
                    "PostgreSQL %s, a standby: nothing can be written", d->version);
    else if (d->read_only)
        doctor__say(v, DOCTOR_FAIL,
                    "take default_transaction_read_only off the role, the database or the server",
                    "PostgreSQL %s, set to read only", d->version);
    else
        doctor__say(v, DOCTOR_OK, NULL, "PostgreSQL %s", d->version);
}

void doctor__check_encryption(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_db *d = &f->db;
    const struct db_url_facts *u = f->conf.has_direct ? &f->conf.direct : &f->conf.url;
    if (doctor__unknown(d, &d->server, v))
        return;
    if (d->encrypted)
        doctor__say(v, DOCTOR_OK, NULL, "the connection is encrypted");
    else if (f->private_db || !u->remote)
        doctor__say(v, DOCTOR_OK, NULL, "not needed on this machine");
    else
        doctor__say(v, DOCTOR_WARN, "set ssl = on at the server, and sslmode=require in the url",
                    "the connection to %s is not encrypted", u->host);
}

void doctor__check_same_database(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_db *d = &f->db;
    if (!f->conf.has_direct || !f->conf.has_url) {
        doctor__say(v, DOCTOR_SKIPPED, NULL, "no direct_url is set");
        return;
    }
    if (d->same.err.class != 0)
        doctor__say(v, DOCTOR_FAIL, remedy_of(&d->same.err), "[database] url: %s", d->same.err.msg);
    else if (doctor__unknown(d, &d->same, v))
        return;
    else if (strcmp(d->id_url, d->id_direct) != 0)
        doctor__say(v, DOCTOR_FAIL, "let both lead to the same database of the same server",
                    "url and direct_url lead to different databases");
    else
        doctor__say(v, DOCTOR_OK, NULL, "both lead to the same database");
}

void doctor__check_notify(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_db *d = &f->db;
    const char *which = f->conf.has_direct ? "direct_url" : "url";
    if (d->heard) {
        doctor__say(v, DOCTOR_OK, NULL, "a notification arrives");
        return;
    }
    if (!d->listening.answered && doctor__unknown(d, &d->listening, v))
        return;
    if (doctor__unknown(d, &d->told, v))
        return;
    doctor__say(v, DOCTOR_FAIL, "",
                "a notification does not arrive: [database] %s seems to lead "
                "to a pooler in transaction mode",
                which);
    snprintf(v->remedy, sizeof(v->remedy), "%s",
             f->conf.has_direct ? "set [database] direct_url to the server itself"
                                : "set [database] direct_url to the server itself, besides url");
}

/* ---- what is in it --------------------------------------------------------------------------- */

static bool check_present_tables(const struct doctor_db *d, struct doctor_verdict *v)
{
    if (d->not_usable > 0) {
        doctor__say(v, DOCTOR_FAIL, "", "role %s may not use %lld of our tables, such as %s",
                    d->role, (long long)d->not_usable, d->not_usable_one);
        snprintf(v->remedy, sizeof(v->remedy),
                 "use the role that owns them, or as it: GRANT ALL ON %s TO \"%s\", and so on",
                 d->not_usable_one, d->role);
    } else if (d->not_owned > 0) {
        doctor__say(v, DOCTOR_WARN, "",
                    "role %s does not own %lld of our tables, such as %s: the "
                    "next migration will fail",
                    d->role, (long long)d->not_owned, d->not_owned_one);
        snprintf(v->remedy, sizeof(v->remedy), "ALTER TABLE %s OWNER TO \"%s\", and so on",
                 d->not_owned_one, d->role);
    }
    return v->finding[0] != '\0';
}

void doctor__check_role(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_db *d = &f->db;
    if (doctor__unknown(d, &d->rights, v))
        return;
    if (check_present_tables(d, v))
        return;
    if (!d->superuser && !d->may_create_table) {
        doctor__say(v, d->has_schema ? DOCTOR_WARN : DOCTOR_FAIL, "",
                    "role %s may not create tables in schema public", d->role);
        snprintf(v->remedy, sizeof(v->remedy),
                 "as its owner: psql -d %s -c 'GRANT CREATE ON SCHEMA public TO \"%s\"'", d->name,
                 d->role);
    } else if (!d->superuser && !d->may_create_schema && !d->has_schema) {
        doctor__say(v, DOCTOR_FAIL, "", "role %s may not create schemas", d->role);
        snprintf(v->remedy, sizeof(v->remedy),
                 "as its owner: psql -d %s -c 'GRANT CREATE ON DATABASE \"%s\" TO \"%s\"'", d->name,
                 d->name, d->role);
    } else {
        doctor__say(v, DOCTOR_OK, NULL, "role %s may do what is needed%s", d->role,
                    d->superuser ? " (a superuser: more than that)" : "");
    }
}

static bool at_least_3(const char *version)
{
    int64_t major = 0;
    size_t n = strspn(version, "0123456789");
    return span_to_i64((struct span){version, n}, 0, 1000, &major) == 0 && major >= 3;
}

void doctor__check_postgis(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_db *d = &f->db;
    if (doctor__unknown(d, &d->rights, v))
        return;
    if (d->postgis && !d->sees_geography) {
        doctor__say(v, DOCTOR_FAIL, "", "PostGIS is in schema %s, where role %s does not look",
                    d->postgis_schema, d->role);
        snprintf(v->remedy, sizeof(v->remedy),
                 "psql -d %s -c 'ALTER ROLE \"%s\" SET search_path = public, %s'", d->name, d->role,
                 d->postgis_schema);
    } else if (d->postgis && !at_least_3(d->postgis)) {
        doctor__say(v, DOCTOR_FAIL, "install PostGIS 3, then ALTER EXTENSION postgis UPDATE",
                    "PostGIS %s, needed is 3", d->postgis);
    } else if (d->postgis) {
        doctor__say(v, DOCTOR_OK, NULL, "PostGIS %s", d->postgis);
    } else if (!d->postgis_offered) {
        doctor__say(v, DOCTOR_FAIL, "", "this server has no PostGIS");
        snprintf(v->remedy, sizeof(v->remedy),
                 "install PostGIS 3 there (Debian: "
                 "postgresql-%lld-postgis-3)",
                 (long long)(d->version_num / 10000));
    } else if (d->superuser || (d->postgis_trusted && d->may_create_schema)) {
        doctor__say(v, DOCTOR_WARN, "waymark migrate creates it",
                    "PostGIS %s is there, but not in this database yet", d->postgis_offered);
    } else {
        doctor__say(v, DOCTOR_FAIL, "",
                    "PostGIS is not in this database, and role %s may not create it", d->role);
        snprintf(v->remedy, sizeof(v->remedy),
                 "as a superuser: psql -d %s -c 'CREATE EXTENSION postgis'", d->name);
    }
}

static const struct db_migration *known(int64_t version)
{
    const struct db_migration *m = db_migrations;
    while (m->version != 0 && m->version != version)
        m++;
    return m->version != 0 ? m : NULL;
}

void doctor__check_schema(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_db *d = &f->db;
    int newest = 0;
    size_t missing = 0;
    if (doctor__unknown(d, d->rights.answered && d->has_schema ? &d->schema : &d->rights, v))
        return;
    if (!d->has_schema) {
        doctor__say(v, DOCTOR_WARN, "waymark migrate, or just start the service",
                    "database %s has no Waymark schema yet", d->name);
        return;
    }
    for (size_t i = 0; i < d->napplied; i++) {
        const struct doctor_migration *a = &d->applied[i];
        const struct db_migration *m = known(a->version);
        if (!m) {
            doctor__say(v, DOCTOR_FAIL, "upgrade waymark to the version that made it, or newer",
                        "the schema is newer than this program: it has migration %lld",
                        (long long)a->version);
            return;
        }
        if (strcmp(m->sha256, a->sha256) != 0) {
            doctor__say(v, DOCTOR_FAIL, "use an unmodified waymark",
                        "migration %04d_%s was another when it was applied", m->version, m->name);
            return;
        }
    }
    for (const struct db_migration *m = db_migrations; m->version != 0; m++) {
        bool there = false;
        for (size_t i = 0; i < d->napplied; i++)
            there |= d->applied[i].version == m->version;
        missing += !there;
        newest = m->version;
    }
    if (missing > 0)
        doctor__say(v, DOCTOR_WARN, "waymark migrate, or restart the service with this program",
                    "the schema is older than this program: %zu migration%s missing", missing,
                    missing == 1 ? " is" : "s are");
    else
        doctor__say(v, DOCTOR_OK, NULL, "version %d", newest);
}

/* ---- how it is set --------------------------------------------------------------------------- */

void doctor__check_encoding(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_db *d = &f->db;
    if (doctor__unknown(d, &d->server, v))
        return;
    if (strcmp(d->encoding, "UTF8") == 0)
        doctor__say(v, DOCTOR_OK, NULL, "UTF8");
    else
        doctor__say(v, DOCTOR_FAIL, "make a database with: createdb --encoding=UTF8 -T template0",
                    "%s: names that people give their activities will be refused", d->encoding);
}

void doctor__check_checksums(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_db *d = &f->db;
    if (doctor__unknown(d, &d->server, v))
        return;
    doctor__say(v, DOCTOR_OK, NULL, "%s",
                d->checksums ? "on"
                             : "off: what a bad disk does is noticed late; pg_checksums "
                               "--enable turns them on while the server is stopped");
}

void doctor__check_durability(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_db *d = &f->db;
    if (doctor__unknown(d, &d->server, v))
        return;
    if (!d->fsync)
        doctor__say(v, DOCTOR_FAIL, "set fsync = on", "fsync is off: a power cut ruins all data");
    else if (!d->full_page_writes)
        doctor__say(v, DOCTOR_WARN, "set full_page_writes = on",
                    "full_page_writes is off: a power cut may ruin data on most disks");
    else if (strcmp(d->synchronous_commit, "off") == 0)
        doctor__say(v, DOCTOR_WARN, "set synchronous_commit = on",
                    "synchronous_commit is off: a crash of the server takes the last moments back");
    else
        doctor__say(v, DOCTOR_OK, NULL, "what is committed stays");
}

void doctor__check_connections(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_db *d = &f->db;
    if (doctor__unknown(d, &d->load, v))
        return;
    enum { OTHERS = 4 }; /* two for pages, the heartbeat, the one that listens */
    const struct doctor_strava *s = &f->strava;
    long long events = s->on && s->callback_url ? 2 : 0,
              need = (long long)f->conf.connections + OTHERS + events,
              left = (long long)(d->room - d->in_use);
    static const char remedy[] =
        "raise max_connections of the server, or lower [database] connections";
    if ((d->role_limit >= 0 && d->role_limit < need) ||
        (d->base_limit >= 0 && d->base_limit < need))
        doctor__say(v, DOCTOR_FAIL, "raise CONNECTION LIMIT of the role and of the database",
                    "an instance uses up to %lld, the %s may have %lld", need,
                    d->role_limit >= 0 && d->role_limit < need ? "role" : "database",
                    (long long)(d->role_limit >= 0 && d->role_limit < need ? d->role_limit
                                                                           : d->base_limit));
    else if (need > d->room)
        doctor__say(v, DOCTOR_FAIL, remedy, "an instance uses up to %lld, the server has %lld",
                    need, (long long)d->room);
    else if (left < (d->ninstances > 0 ? 3 : need))
        doctor__say(v, DOCTOR_WARN, remedy, "%lld of %lld are in use; an instance uses up to %lld",
                    (long long)d->in_use, (long long)d->room, need);
    else
        doctor__say(v, DOCTOR_OK, NULL, "%lld of %lld are in use; an instance uses up to %lld",
                    (long long)d->in_use, (long long)d->room, need);
}

/* Others, such as statement_timeout, are set anew in each session of ours. */
void doctor__check_timeouts(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_db *d = &f->db;
    char text[32];
    if (doctor__unknown(d, &d->server, v))
        return;
    if (d->idle_session_ms > 0 && d->idle_session_ms < SHORTEST_SESSION_MS)
        doctor__say(v, DOCTOR_WARN, "ALTER ROLE ... SET idle_session_timeout = 0 for our role",
                    "idle_session_timeout is %s: connections are lost whenever there is no work",
                    duration_format(d->idle_session_ms, text));
    else if (d->transaction_ms > 0 && d->transaction_ms < 60000)
        doctor__say(v, DOCTOR_WARN, "ALTER ROLE ... SET transaction_timeout = 0 for our role",
                    "transaction_timeout is %s: large batches may never end",
                    duration_format(d->transaction_ms, text));
    else if (d->lock_ms > 0 && d->lock_ms < SHORTEST_LOCK_MS)
        doctor__say(v, DOCTOR_WARN, "ALTER ROLE ... SET lock_timeout = 0 for our role",
                    "lock_timeout is %s: busy work may fail and be done again and again",
                    duration_format(d->lock_ms, text));
    else
        doctor__say(v, DOCTOR_OK, NULL, "none that is in the way");
}

void doctor__check_clocks(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_db *d = &f->db;
    if (doctor__unknown(d, &d->load, v))
        return;
    int64_t off = d->clock_ms < 0 ? -d->clock_ms : d->clock_ms;
    doctor__say(v,
                off > CLOCK_FAIL_MS   ? DOCTOR_FAIL
                : off > CLOCK_WARN_MS ? DOCTOR_WARN
                                      : DOCTOR_OK,
                off > CLOCK_WARN_MS ? "set both by NTP (timedatectl set-ntp true)" : NULL,
                off > 200 ? "the server's is %.1f s %s of this machine's"
                          : "they agree to %.1f s%s",
                off > 200 ? (double)off / 1000 : 0.2,
                off <= 200        ? ""
                : d->clock_ms < 0 ? "behind"
                                  : "ahead");
}

void doctor__check_zones(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_db *d = &f->db;
    if (doctor__unknown(d, &d->zones, v))
        return;
    if (d->knows_zurich && d->knows_newfoundland)
        doctor__say(v, DOCTOR_OK, NULL, "known by name");
    else
        doctor__say(v, DOCTOR_FAIL, "install tzdata on the server and restart it",
                    "the server does not know %s: schedules and local times need them",
                    d->knows_zurich ? "America/St_Johns" : "Europe/Zurich");
}

/* ---- how it is ------------------------------------------------------------------------------- */

void doctor__check_old_transactions(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_db *d = &f->db;
    if (doctor__unknown(d, &d->load, v))
        return;
    if (d->oldest_s > OLD_TRANSACTION_S) {
        doctor__say(v, DOCTOR_WARN, "",
                    "one is open since %lld h %lld min (pid %lld): nothing "
                    "deleted since can be cleared away",
                    (long long)(d->oldest_s / 3600), (long long)(d->oldest_s / 60 % 60),
                    (long long)d->oldest_pid);
        snprintf(v->remedy, sizeof(v->remedy), "end it: SELECT pg_terminate_backend(%lld)",
                 (long long)d->oldest_pid);
    } else {
        doctor__say(v, DOCTOR_OK, NULL, "none");
    }
}

void doctor__check_vacuum(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_db *d = &f->db;
    if (doctor__unknown(d, &d->server, v) || doctor__unknown(d, &d->load, v))
        return;
    if (!d->autovacuum)
        doctor__say(v, DOCTOR_WARN, "set autovacuum = on and track_counts = on",
                    "autovacuum is off: the queue becomes slower with every job");
    else if (d->job_dead > DEAD_ROWS && d->job_dead > d->job_live * 10)
        doctor__say(v, DOCTOR_WARN, "look for an old transaction; then: VACUUM q.job",
                    "q.job has %lld dead rows and %lld live ones", (long long)d->job_dead,
                    (long long)d->job_live);
    else
        doctor__say(v, DOCTOR_OK, NULL, "autovacuum is on; %lld dead rows in the queue",
                    (long long)d->job_dead);
}

void doctor__check_notify_queue(const struct doctor_facts *f, struct doctor_verdict *v)
{
    const struct doctor_db *d = &f->db;
    if (doctor__unknown(d, &d->load, v))
        return;
    double share = d->notify_share;
    doctor__say(v,
                share > 0.9    ? DOCTOR_FAIL
                : share > 0.25 ? DOCTOR_WARN
                               : DOCTOR_OK,
                share > 0.25 ? "end the session that listens and never reads: one with an old "
                               "transaction in pg_stat_activity"
                             : NULL,
                "%.0f %% full", share * 100);
}
