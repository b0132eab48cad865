/* web: what the two listeners answer. Health, metrics and the admin's pages on the admin listener;
 * on the public one people log in with Strava, see what is theirs, and leave; and Strava pushes
 * events there. Everything shown comes from the database, so it is there after a restart, and the
 * same on every instance. Loop thread. */
#pragma once

#include "alert/alert.h"
#include "base/base.h"
#include "db/db.h"
#include "httpd/httpd.h"
#include "ingest/ingest.h"
#include "jobs/jobs.h"
#include "loop/loop.h"
#include "strava/strava.h"

struct web;

/* Bytes of an admin secret: the login form takes no more. */
enum { WEB_SECRET_MAX = 200 };

/* Strings and what is pointed at must outlive it. */
struct web_conf {
    const struct db_conf *db; /* as for the work; web opens a small pool of its own, so that no page
                                 waits behind work and no work behind a page */
    struct jobs *jobs;
    const struct alert *alert; /* for metrics; NULL: none are sent */
    const char *channel;       /* instances are told of changes by it */
    const char *data_dir;      /* whose free space is watched; NULL: no private database */
    const char *version;
    const char *admin_secret; /* NULL: the one in the database, made when there is none */
    const char *hook_path;    /* where Strava pushes events (ingest_callback_path); NULL: nowhere */
    struct ingest_events *events; /* keeps them, and outlives web; NULL without hook_path */
    struct strava *strava;        /* people log in with it; NULL: nobody can */
    const char *origin; /* where people reach the public listener, "https://trails.example.org";
                           NULL: not configured */
};
struct web *web_open(struct loop *l, const struct web_conf *conf);
/* Routes and their handlers; before the server listens. */
void web_mount_public(struct web *w, struct httpd *h);
void web_mount_admin(struct web *w, struct httpd *h);
/* Whether that path of the public listener is one of people's pages; any thread. */
bool web_has_path(const char *path);
/* For /readyz and /metrics; may be NULL, and may change. */
void web_watch_listener(struct web *w, const struct db_listener *x);
/* A secret of the configuration that has changed; NULL: the database's again. */
void web_set_admin_secret(struct web *w, const char *secret);
/* From now on /readyz says 503: others should take over. */
void web_drain(struct web *w);
/* After both servers are drained: no request is in our hands any more. op (uninitialised) finishes
 * when the pool is closed; w is gone then. */
void web_close(struct web *w, struct op *op);

/* A flow that makes sure there is an admin secret, unless the configuration gives one. *made (may
 * not be NULL) gets the new one, to be shown this once, in the arena a; NULL if there was one.
 * renew: a new one in any case, and nobody stays logged in. */
struct flow *web_secret_flow(struct loop *l, struct db_pool *pool, bool renew, struct arena *a,
                             char **made);
