/* Inside strava/. */
#pragma once

#include "db/db.h"
#include "fetch/fetch.h"
#include "strava/strava.h"

#include "strava_sql.h"

enum {
    STRAVA__DB_MS = 15000,
    STRAVA__API_MS = 45000,   /* details take Strava seconds */
    STRAVA__OAUTH_MS = 25000, /* twice that is less than a lease */
    STRAVA__GRACE_MS = 5000,  /* until a flow gives up a request that should have given up itself */
    STRAVA__LEASE_S = 90,
    STRAVA__EARLY_S = 300, /* a token is refreshed when less is left of it */
    STRAVA__OAUTH_BODY = 64 * 1024,
};

struct strava {
    struct db_pool *pool;
    struct loop *loop;
    struct fetch *fetch;
    struct strava_conf conf;
};

/* ---- tokens at rest -------------------------------------------------------------------------- */

enum {
    STRAVA__TOKEN = 512,    /* bytes of a token with its NUL; Strava's have 40 */
    STRAVA__KEY_PREFIX = 22 /* "wm1:", 16 hex digits, ":" and NUL */
};
enum strava__kind { STRAVA__ACCESS, STRAVA__REFRESH };

/* What sealed texts of that key begin with. */
void strava__key_prefix(const unsigned char key[STRAVA_KEY_BYTES], char ret[STRAVA__KEY_PREFIX]);
/* Appends the text that is stored: sealed with the first key, or as it is without keys. */
void strava__seal(const struct strava_keys *k, int64_t athlete_id, enum strava__kind kind,
                  const char *token, struct buf *out);
/* The token of a stored text. -1: CONF, RETRY if its key is not there, since nothing is lost; DATA,
 * PERMANENT if it was changed or is another's. The message repeats nothing of it. */
int strava__unseal(const struct strava_keys *k, int64_t athlete_id, enum strava__kind kind,
                   struct span stored, char token[STRAVA__TOKEN], struct err *err) MUST_CHECK;
/* Whether a stored text is this token. */
bool strava__is_sealed_of(const struct strava_keys *k, int64_t athlete_id, enum strava__kind kind,
                          struct span stored, const char *token);

/* ---- what an answer says besides ------------------------------------------------------------- */

/* An error as Strava's API words it, whatever the shape; nothing that is said is an error itself.
 */
struct strava__fault {
    bool readable; /* an empty body too; false: not from Strava's API, but from something before it
                    */
    char message[100];
    struct {
        char resource[40], field[60], code[40];
    } error[4];
    unsigned n;
};
/* body may be changed: see strava__json. */
void strava__fault_read(struct buf *body, struct strava__fault *ret);
/* Whether it has such an error, in any case of letters; NULL is any. */
bool strava__fault_has(const struct strava__fault *f, const char *resource, const char *field,
                       const char *code);

/* What an answer of the API means for the call. */
enum strava__verdict {
    STRAVA__OK,
    STRAVA__NOT_FOUND,
    STRAVA__NO_SCOPE,
    STRAVA__REFUSED,   /* this one request */
    STRAVA__BAD_TOKEN, /* expired or revoked */
    STRAVA__LIMITED,
    STRAVA__INACTIVE, /* the application */
    STRAVA__TRANSIENT,
};
enum strava__verdict strava__judge(int status, const struct strava__fault *f);

/* And what one of the token endpoint means. */
enum strava__grant_verdict {
    STRAVA__GRANTED,
    STRAVA__DEAD,     /* the refresh token */
    STRAVA__BAD_CODE, /* used, expired or made up */
    STRAVA__FULL,     /* no more athletes */
    STRAVA__BAD_CLIENT,
    STRAVA__UNSURE, /* all else: nobody loses a token for that */
};
enum strava__grant_verdict strava__judge_grant(int status, const struct strava__fault *f);

/* *err for an answer that is no success, or for none: as fetch_class, with what the fault says. A
 * redirect, an answer that nobody can read and one that is too large are RETRY too: none of them is
 * Strava's word on what was asked. Returns -1. */
int strava__answer_err(const struct fetch_req *r, const char *what, const struct strava__fault *f,
                       struct err *err);

/* What headers say of the shared budget: of two budgets, in each window the one of which less is
 * left. -1: not said. */
struct strava__budget {
    int64_t cap15, capday, used15, usedday;
    bool day_over; /* the day is used up, by what they say */
};
/* "100,1000" each, or NULL. */
void strava__budget_read(const char *limit, const char *usage, const char *read_limit,
                         const char *read_usage, struct strava__budget *ret);

/* What the token endpoint gives. */
struct strava__pair {
    char access[STRAVA__TOKEN], refresh[STRAVA__TOKEN];
    double life_s; /* of the access token, from now on */
};
/* date_us: of the answer, INT64_MIN: not said. -1: there is no pair in it. */
int strava__pair_read(const struct json_t *root, int64_t date_us,
                      struct strava__pair *ret) MUST_CHECK;

/* ---- requests -------------------------------------------------------------------------------- */

/* A POST below oauth_url, not sent yet. */
void strava__oauth_init(struct strava *s, struct fetch_req *r, struct arena *a, const char *path);
/* The same for tokens, with the application's id and secret. */
void strava__oauth_token(struct strava *s, struct fetch_req *r, struct arena *a,
                         const char *grant_type);
/* Overwrites an answer with tokens in it, then fetch_done. */
void strava__oauth_done(struct fetch_req *r);
/* CONF: what the operator is to mend. */
int strava__bad_client(enum err_class class, struct err *err);

/* ---- tokens ---------------------------------------------------------------------------------- */

/* A refresh, by whoever holds the athlete's lease: the new pair is committed when the flow ends, or
 * the old one marked as dead. */
struct strava__renew {
    int64_t athlete_id;
    int64_t owner;             /* of the lease */
    bool quiet;                /* a dead one is no news: mark nothing */
    char spent[STRAVA__TOKEN]; /* the refresh token */
    const char *stored;        /* as it is stored; NULL: there is none */
    bool lost;                 /* an answer was, this time or before: see strava.account.doubtful */
    enum {
        STRAVA__RENEWED = 1,   /* the lease ended with that */
        STRAVA__RENEW_DEAD,    /* so it did, unless quiet */
        STRAVA__RENEW_CHANGED, /* somebody has stored another one meanwhile */
    } outcome;
};
/* r is the caller's. Fails RETRY, CONF when the client id or secret is wrong. */
struct flow *strava__renew_flow(struct strava *s, struct strava__renew *r);

/* A token to call with. Zero it, fill in what is wanted. */
struct strava__token {
    int64_t athlete_id;
    bool call;                 /* for the API: not worth a refresh while calls are refused */
    bool force;                /* refresh even what looks fresh */
    bool quiet;                /* as in strava__renew */
    bool as_is;                /* what is stored or, if that has expired, REAUTH */
    char stale[STRAVA__TOKEN]; /* an access token that was refused; "": none */

    enum strava_outcome outcome; /* OK, REAUTH or UNKNOWN */
    char access[STRAVA__TOKEN];
    int64_t ticket;
    bool limited;  /* no calls now; access may be missing */
    bool inactive; /* the application was, when last heard of */
    bool reauth;   /* the account was waiting for a login */
    bool same;     /* the access token is the one that was there at first */
    bool alone;    /* there is no refresh token */
    bool lost;     /* what a refresh gave may have got lost, this time or before */
};
/* t is the caller's. Fails RETRY, also when another instance has been refreshing for a minute. */
struct flow *strava__token_flow(struct strava *s, struct strava__token *t);
