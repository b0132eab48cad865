/* strava: Strava's API v3 as one talks to it. Tokens (encrypted at rest, one refresh at a time),
 * calls with the right token inside the shared budget, OAuth, and what the answers mean. What is
 * done with activities is the business of ingest/.
 *
 * Facts: developers.strava.com/docs (authentication, rate-limits, webhooks); the three base URLs
 * are configuration, since they change in 2027. Loop thread, but for the work item. */
#pragma once

#include "base/base.h"
#include "loop/loop.h"

struct db_pool;
struct fetch;

#define STRAVA_QUEUE "strava" /* of the jobs that call, each with a token of the rate */
#define STRAVA_RATE  "strava"

struct strava;

/* ---- tokens at rest -------------------------------------------------------------------------- */

enum { STRAVA_KEY_BYTES = 32, STRAVA_KEYS_MAX = 8 };
/* AES-256-GCM with a random nonce, the athlete's id and the kind of token as associated data, so
 * that one cannot be put in the place of another. key[0] seals; all of them open, found by the
 * key's id in the sealed text ("wm1:..."). n 0: tokens are stored as they are. What is not sealed
 * opens as itself: a frontend may have put it there. */
struct strava_keys {
    unsigned char key[STRAVA_KEYS_MAX][STRAVA_KEY_BYTES];
    unsigned n;
};
/* "64 hex digits, 64 more": none (NULL, "") is n 0. Fails CONF; the message does not repeat any of
 * it. Any thread. */
int strava_keys_parse(const char *hex_list, struct strava_keys *ret, struct err *err) MUST_CHECK;

/* ---- opening --------------------------------------------------------------------------------- */

/* Strings must outlive it; keys are copied. */
struct strava_conf {
    const char *client_id, *client_secret;
    const char *api_url;   /* "https://www.strava.com/api/v3", without a slash at the end */
    const char *oauth_url; /* "https://www.strava.com" */
    const char *scopes;    /* asked for: "read,activity:read,activity:read_all" */
    struct strava_keys keys;
};
struct strava *strava_open(struct db_pool *pool, struct fetch *fetch,
                           const struct strava_conf *conf);
struct strava *strava_free(struct strava *s); /* after its flows have ended; NULL is fine */
const struct strava_conf *strava_conf_of(const struct strava *s);
struct fetch *strava_fetch_of(struct strava *s);

/* ---- calls ----------------------------------------------------------------------------------- */

enum strava_outcome {
    STRAVA_OK = 1,    /* 2xx: body is the answer */
    STRAVA_NOT_FOUND, /* 404: gone, hidden, not there yet, or without streams */
    STRAVA_SCOPE,     /* the athlete has not granted what this needs: asking again is useless */
    STRAVA_REFUSED,   /* any other 4xx of this one request */
    STRAVA_REAUTH,    /* the athlete's tokens are dead; the account says so now, and an alert */
    STRAVA_UNKNOWN,   /* there are no tokens of this athlete */
};
struct strava_call {
    int64_t athlete_id;
    const char *path; /* "/activities/1" */
    struct {
        const char *name, *value;
    } query[6];
    unsigned nquery;
    size_t max_body; /* bytes, decoded */
    bool extra;      /* not paid for by the job's own token: one is taken from the rate first */
    bool live;       /* which may be one of the reserve */
    bool as_is;      /* by the access token that is stored: where that has expired (status 0) or is
                        refused (401), STRAVA_REAUTH is all that comes of it */
    enum strava_outcome outcome;
    int status;
    struct buf body; /* caller's: buf_done */
    int64_t ticket;  /* drawn before it was sent; see strava.activity (migration 0009) */
};
/* A GET in the athlete's name. Loads the token, refreshes it when less than 5 minutes are left (one
 * refresh in flight per athlete over all instances; the new pair is committed before it is used),
 * sends, tells the rate what the answer's headers say, and on 401 refreshes and repeats once, with
 * a token of the rate of its own. Ends well with c->outcome set; body is there with STRAVA_OK
 * alone. A 404 or another 4xx counts only if its body is Strava's own, or empty.
 *
 * Fails: RETRY, domain HTTP, code 429 when calls are used up (by the answer, or no token was to be
 * had), which spends no attempt; so it does without calling while an earlier answer of this quarter
 * hour or day said so, or the rate is paused. The same when the application is inactive, which also
 * pauses the rate for a quarter hour and alerts once. RETRY for network, 408, 5xx, redirects,
 * answers over max_body and errors that are not Strava's. CONF, RETRY when client id or secret are
 * wrong or a key is missing; PERMANENT when a stored token was tampered with. c lives until the
 * flow has ended. */
struct flow *strava_call_flow(struct strava *s, struct strava_call *c);

/* ---- OAuth ----------------------------------------------------------------------------------- */

/* Appends the URL of the consent page. force: even if something was granted before. */
void strava_authorize_url(const struct strava *s, const char *redirect_uri, const char *state,
                          bool force, struct buf *out);
struct strava_grant {
    const char *code;
    const char *scope; /* as the redirect said: what was granted */
    int64_t athlete_id;
    char *name; /* in the flow's caller's arena a */
    struct arena *a;
};
/* Exchanges the code and stores athlete, account and tokens in one transaction. Fails PERMANENT
 * when the code is refused or the application is full (with what to do), CONF (PERMANENT) when the
 * client id or secret is wrong, RETRY otherwise; the code is used up in any case. */
struct flow *strava_exchange_flow(struct strava *s, struct strava_grant *g);
/* Whether the athlete has really withdrawn. The access token is tried first, by a call for which
 * the job has a token of the rate; one that works ends it. Then the refresh token, which Strava may
 * replace by that: so a refused one proves nothing where an answer may have got lost before.
 * Without tokens they stay. Fails as a call does. v lives until the flow has ended. */
struct strava_verify {
    int64_t athlete_id;
    bool extra; /* as of a call */
    bool again; /* somebody may have spent the refresh token for this question, and died */
    enum {
        STRAVA_STAYS = 1,
        STRAVA_LEFT,     /* on Strava's word */
        STRAVA_UNPROVEN, /* their tokens are dead, and that may have another reason */
    } answer;
};
struct flow *strava_verify_flow(struct strava *s, struct strava_verify *v);
/* Withdraws the grant at Strava: the new endpoint, where that is missing the old one. No tokens:
 * ends well. What is stored stays. Fails RETRY. */
struct flow *strava_revoke_flow(struct strava *s, int64_t athlete_id);
/* Seals anew every token that is not sealed with the first key, in batches; n of them. Those that
 * cannot be opened are left out; it fails in the end, with why. */
struct flow *strava_rekey_flow(struct strava *s, int64_t *n);

/* ---- what answers say ------------------------------------------------------------------------ */

enum {
    STRAVA_BODY_MAX = 8 << 20,  /* bytes of an answer that are parsed: a good max_body of calls */
    STRAVA_POINTS_MAX = 200000, /* of one track */
    STRAVA_LIST_MAX = 1000,     /* activities of one list; Strava gives 200 */
    STRAVA_TEXT_MAX = 1024,     /* bytes of one string; longer ones are cut */
};

/* One activity, as a list or a detail says. NULL strings, NaN, INT64_MIN: not said, or not
 * possible. Strings but the name are not empty. */
struct strava_activity {
    int64_t id; /* > 0 */
    int64_t athlete_id;
    const char *name, *type, *sport_type, *visibility, *external_id;
    const char *timezone; /* the IANA part: "America/New_York" */
    double distance_m, gain_m, elev_low_m, elev_high_m;
    int64_t moving_s, elapsed_s; /* fit an integer column */
    int64_t start_us;
    bool is_private, manual, trainer;
    bool has_start, has_end;
    double start_lat, start_lon, end_lat, end_lon; /* degrees */
    struct span summary;      /* EWKB LineString of the summary polyline; empty: it has none */
    struct span track;        /* EWKB LineString of the detailed polyline; empty: none (lists) */
    unsigned char listed[32]; /* SHA-256 of everything above but track */
};
/* Parsing and decoding in a worker thread. Every item is bounded, by the sizes above. One bad
 * activity of a list is left out and counted, the rest stands. The op fails RETRY when the text
 * cannot be read at all (cut off, damaged on the way), PERMANENT when what it says is not what was
 * asked for, a bad activity of a detail too. */
struct strava_parse {
    struct work work;
    enum { STRAVA_LIST = 1, STRAVA_DETAIL, STRAVA_STREAMS } what;
    int64_t start_us;
    struct buf body;                  /* moved in; freed once it is parsed */
    struct arena *arena;              /* the item's own; freed by strava_parse_done */
    struct strava_activity *activity; /* LIST: n; DETAIL: 1 */
    size_t n, bad;
    char *first_bad;     /* why, of the first; NULL: none */
    struct span streams; /* STREAMS: EWKB MultiLineStringM (M: Unix time in seconds), without M when
                            times are not known; empty: no track in it */
    size_t dropped;      /* STREAMS: points that are no positions; most of them: it fails */
};
/* p: uninitialised or done. start_us: for STREAMS, of the activity; INT64_MIN: unknown, then
 * without M. Wait for p->work.op. More than STRAVA_POINTS_MAX recorded points are thinned evenly.
 */
void strava_parse_start(struct strava_parse *p, struct loop *l, int what, struct buf *body,
                        int64_t start_us);
/* Idempotent; fine on a zeroed one. The op must not be pending. */
void strava_parse_done(struct strava_parse *p);

/* What a push event says (webhooks). */
struct strava_event {
    bool is_athlete; /* object_type: athlete, or activity */
    enum { STRAVA_CREATE = 1, STRAVA_UPDATE, STRAVA_DELETE } aspect;
    int64_t object_id, owner_id, subscription_id, time_s;
    bool withdrawn; /* updates.authorized is "false" */
};
/* body at most 16 kB, nested at most 8. Numbers may be strings, "true" may be true. -1: PERMANENT,
 * with what is wrong; the message repeats nothing of it. Any thread. */
int strava_parse_event(struct span body, struct strava_event *ret, struct err *err) MUST_CHECK;
