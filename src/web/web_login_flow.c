/* Logging in with the admin's secret, and making that secret. Guesses are counted in the database,
 * so that neither a restart nor another instance gives new ones. */
#include "web/internal.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

enum {
    PER_ADDRESS = 10, /* failures in a quarter hour */
    OF_ALL = 300,     /* from anywhere: a secret of 100 bits stands that, a login page need not; but
                         whoever guesses must not keep out those who are logged in where they are */
    AT_ONCE = 4,      /* being checked: each takes a thread 0.1 s */
    FAIL_MS = 1000,   /* until a failure is told */
};

void web__login_get(struct httpd_req *r, void *ctx)
{
    struct buf out = {0};
    (void)ctx;
    web__login_page(&out, web__own_page(httpd_query(r, "next")), NULL);
    httpd_html(r, 200, &out);
}

struct login_flow {
    struct flow f;
    struct web *w;
    struct httpd_req *r;
    const char *next, *address;
    struct db_unit u;
    struct web_derive derive;
    struct timer_op pause;
    bool right;
    unsigned char token[WEB_TOKEN_BYTES];
};
#define LOGIN_STEPS(STEP)                                                                          \
    STEP(login, look)                                                                              \
    STEP(login, check) /* -> judge, if the configuration gives the secret */                       \
    STEP(login, judge)                                                                             \
    STEP(login, note) /* a session, or a failure */                                                \
    STEP(login, wait) /* -> answer, if it was right */                                             \
    STEP(login, answer)
FLOW_STEPS(login, LOGIN_STEPS);

static struct login_flow *login_of(struct flow *f)
{
    return container_of(f, struct login_flow, f);
}

static void answer_page(struct login_flow *x, int status, const char *problem)
{
    struct buf out = {0};
    struct httpd_req *r = x->r;
    x->r = NULL;
    web__login_page(&out, x->next, problem);
    httpd_html(r, status, &out);
}

static enum flow_next login_look(struct flow *f)
{
    struct login_flow *x = login_of(f);
    db_unit_init(&x->u, x->w->pool, f->arena, DB_READONLY);
    db_add(&x->u, &SQL_web_login_state);
    db_p_text(&x->u, x->address);
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, login_STEP_check, WEB_CALL_MS);
}

static enum flow_next login_check(struct flow *f)
{
    struct login_flow *x = login_of(f);
    struct web_hash *h = &x->derive.item;
    bool known = db_get_i64(&x->u, 0, 0, 5) != 0;
    if (db_get_i64(&x->u, 0, 0, 0) >= PER_ADDRESS ||
        (db_get_i64(&x->u, 0, 0, 1) >= OF_ALL && !known)) {
        httpd_set(x->r, "Retry-After", "900");
        answer_page(x, 429, "Too many failed attempts. Try again in a quarter of an hour.");
        return FLOW_DONE;
    }
    if (x->w->conf.admin_secret) {
        return flow_goto(f, login_STEP_judge);
    }
    struct span salt = db_get_span(&x->u, 0, 0, 2);
    if (salt.n != sizeof(h->salt)) {
        answer_page(x, 503, "There is no admin secret yet: waymark admin secret makes one.");
        return FLOW_DONE;
    }
    memcpy(h->salt, salt.p, salt.n);
    h->rounds = (int)db_get_i64(&x->u, 0, 0, 4);
    web__derive_start(&x->derive, f->loop);
    return flow_wait(f, &x->derive.work.op, login_STEP_judge, 4 * WEB_CALL_MS);
}

static enum flow_next login_judge(struct flow *f)
{
    struct login_flow *x = login_of(f);
    struct web_hash *h = &x->derive.item;
    if (x->w->conf.admin_secret) {
        /* Hashes, so that the time it takes tells nothing of the length either. */
        unsigned char want[32], given[32];
        const char *secret = x->w->conf.admin_secret;
        web__sha256((const unsigned char *)secret, strlen(secret), want);
        web__sha256((const unsigned char *)h->secret, strlen(h->secret), given);
        x->right = CRYPTO_memcmp(want, given, sizeof(want)) == 0;
    } else {
        struct span hash = db_get_span(&x->u, 0, 0, 3);
        x->right = hash.n == sizeof(h->hash) && CRYPTO_memcmp(hash.p, h->hash, hash.n) == 0;
    }
    OPENSSL_cleanse(h->secret, sizeof(h->secret));
    return FLOW_NEXT;
}

static enum flow_next login_note(struct flow *f)
{
    struct login_flow *x = login_of(f);
    db_unit_done(&x->u);
    db_unit_init(&x->u, x->w->pool, f->arena, DB_TX);
    if (x->right) {
        unsigned char hash[32];
        CHECK(RAND_bytes(x->token, sizeof(x->token)) == 1);
        web__session_hash(x->w, x->token, hash);
        db_add(&x->u, &SQL_web_session_add);
        db_p_span(&x->u, (struct span){(const char *)hash, sizeof(hash)});
        db_p_text(&x->u, x->address);
        db_p_i64(&x->u, WEB_SESSION_S);
    } else {
        db_add(&x->u, &SQL_web_login_failed);
        db_p_text(&x->u, x->address);
    }
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, login_STEP_wait, WEB_CALL_MS);
}

static enum flow_next login_wait(struct flow *f)
{
    struct login_flow *x = login_of(f);
    if (x->right) {
        return flow_goto(f, login_STEP_answer);
    }
    log_warn("a login to the admin pages failed", L_S("address", x->address));
    timer_op_start(&x->pause, f->loop, FAIL_MS);
    return flow_wait(f, &x->pause.op, login_STEP_answer, 0);
}

static enum flow_next login_answer(struct flow *f)
{
    struct login_flow *x = login_of(f);
    if (!x->right) {
        answer_page(x, 401, "That is not the admin secret.");
        return FLOW_DONE;
    }
    struct httpd_req *r = x->r;
    x->r = NULL;
    log_info("somebody logged in to the admin pages", L_S("address", x->address));
    web__session_set(r, x->token);
    httpd_redirect(r, x->next);
    return FLOW_DONE;
}

static void login_end(struct flow *f)
{
    struct login_flow *x = login_of(f);
    db_unit_done(&x->u);
    OPENSSL_cleanse(x->derive.item.secret, sizeof(x->derive.item.secret));
    x->w->logins--;
    if (x->r) {
        answer_page(x, 503, "The database does not answer. Try again in a moment.");
    }
    web__flow_ended(x->w);
}

static const struct flow_def login_def = {"web_login", login_steps, login_STEP_COUNT, login_end};

void web__login_post(struct httpd_req *r, void *ctx)
{
    struct web *w = ctx;
    if (httpd_form_read(r) != 0) {
        return;
    }
    _Static_assert((int)WEB_SECRET_MAX <= (int)WEB_HASHED_MAX, "a secret fits");
    const char *secret = httpd_form(r, "secret");
    if (!web__session_is_from_here(r)) {
        web__notice(r, 403, "Not from here", "The form was sent from another site's page.");
        return;
    }
    if (w->logins >= AT_ONCE) {
        httpd_set(r, "Retry-After", "5");
        web__notice(r, 429, "Too many at once", "Others are logging in. Try again in a moment.");
        return;
    }
    struct login_flow *x = flow_new(w->loop, &login_def, sizeof(*x), 0);
    w->logins++;
    web__flow_began(w);
    x->w = w;
    x->r = r;
    x->next = arena_strdup(x->f.arena, web__own_page(httpd_form(r, "next")));
    x->address = arena_strdup(x->f.arena, httpd_client_address(r));
    /* What is longer than any secret is none. */
    snprintf(x->derive.item.secret, sizeof(x->derive.item.secret), "%s",
             secret && strlen(secret) <= WEB_SECRET_MAX ? secret : "");
    flow_start(&x->f);
}

/* ---- making the secret ----------------------------------------------------------------------- */

static int run_derive(struct work *w, struct err *err)
{
    return web__derive(&container_of(w, struct web_derive, work)->item, err);
}

void web__derive_start(struct web_derive *d, struct loop *l)
{
    work_start(&d->work, l, run_derive);
}

struct secret_flow {
    struct flow f;
    struct db_pool *pool;
    bool renew;
    struct arena *arena;
    char **made;
    struct web_derive derive;
    struct db_unit u;
};
#define SECRET_STEPS(STEP)                                                                         \
    STEP(secret, look)                                                                             \
    STEP(secret, make)                                                                             \
    STEP(secret, keep)                                                                             \
    STEP(secret, tell)
FLOW_STEPS(secret, SECRET_STEPS);

static struct secret_flow *secret_of(struct flow *f)
{
    return container_of(f, struct secret_flow, f);
}

static enum flow_next secret_look(struct flow *f)
{
    struct secret_flow *x = secret_of(f);
    *x->made = NULL;
    db_unit_init(&x->u, x->pool, f->arena, DB_READONLY);
    db_add(&x->u, &SQL_web_secret_there);
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, secret_STEP_make, WEB_CALL_MS);
}

/* 25 letters and digits that nobody mistakes for each other, in groups of five: 123 bits. */
static void make_secret(char *out, size_t size)
{
    static const char digit[] = "abcdefghjkmnpqrstuvwxyz23456789";
    enum { DIGITS = sizeof(digit) - 1 };
    size_t n = 0;
    CHECK(size > 30 && DIGITS == 31);
    for (size_t k = 0; k < 25;) {
        unsigned char random;
        CHECK(RAND_bytes(&random, 1) == 1);
        if (random % 32 == DIGITS) {
            continue;
        }
        if (k > 0 && k % 5 == 0) {
            out[n++] = '-';
        }
        out[n++] = digit[random % 32];
        k++;
    }
    out[n] = '\0';
}

static enum flow_next secret_make(struct flow *f)
{
    struct secret_flow *x = secret_of(f);
    struct web_hash *h = &x->derive.item;
    if (db_rows(&x->u, 0) > 0 && !x->renew) {
        return FLOW_DONE;
    }
    make_secret(h->secret, sizeof(h->secret));
    CHECK(RAND_bytes(h->salt, sizeof(h->salt)) == 1);
    h->rounds = WEB_ROUNDS;
    web__derive_start(&x->derive, f->loop);
    return flow_wait(f, &x->derive.work.op, secret_STEP_keep, 4 * WEB_CALL_MS);
}

static enum flow_next secret_keep(struct flow *f)
{
    struct secret_flow *x = secret_of(f);
    const struct web_hash *h = &x->derive.item;
    db_unit_done(&x->u);
    db_unit_init(&x->u, x->pool, f->arena, DB_TX);
    db_add(&x->u, &SQL_web_secret_keep);
    db_p_span(&x->u, (struct span){(const char *)h->salt, sizeof(h->salt)});
    db_p_span(&x->u, (struct span){(const char *)h->hash, sizeof(h->hash)});
    db_p_i64(&x->u, h->rounds);
    db_p_bool(&x->u, x->renew);
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, secret_STEP_tell, WEB_CALL_MS);
}

static enum flow_next secret_tell(struct flow *f)
{
    struct secret_flow *x = secret_of(f);
    /* Another instance may have been first. */
    if (db_rows(&x->u, 0) > 0) {
        *x->made = arena_strdup(x->arena, x->derive.item.secret);
    }
    return FLOW_DONE;
}

static void secret_end(struct flow *f)
{
    struct secret_flow *x = secret_of(f);
    OPENSSL_cleanse(x->derive.item.secret, sizeof(x->derive.item.secret));
    db_unit_done(&x->u);
}

static const struct flow_def secret_def = {"web_secret", secret_steps, secret_STEP_COUNT,
                                           secret_end};

struct flow *web_secret_flow(struct loop *l, struct db_pool *pool, bool renew, struct arena *a,
                             char **made)
{
    struct secret_flow *x = flow_new(l, &secret_def, sizeof(*x), 0);
    x->pool = pool;
    x->renew = renew;
    x->arena = a;
    x->made = made;
    return &x->f;
}
