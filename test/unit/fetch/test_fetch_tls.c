/* TLS: who is believed, and who is not. Certificates are made here, for each run. */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "unit/fetch/rig.h"

/* ---- certificates ---------------------------------------------------------------------------- */

struct identity {
    EVP_PKEY *key;
    X509 *cert;
    char cert_file[64], key_file[64];
};

static FILE *temp(char path[64])
{
    snprintf(path, 64, "/tmp/waymark-test-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    return fdopen(fd, "w");
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(x);
    assert_int_equal(X509_add_ext(cert, x, -1), 1);
    X509_EXTENSION_free(x);
}

/* ca NULL: an authority of its own. names: "DNS:a.test,IP:127.0.0.1". */
static struct identity make(const struct identity *ca, const char *names, long from_s, long to_s)
{
    static long serial = 1;
    char name[32];
    snprintf(name, sizeof(name), "Test %ld", serial);
    struct identity x = {.key = EVP_EC_gen("P-256"), .cert = X509_new()};
    assert_true(x.key && x.cert);
    X509_set_version(x.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x.cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(x.cert), from_s);
    X509_gmtime_adj(X509_getm_notAfter(x.cert), to_s);
    X509_set_pubkey(x.cert, x.key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x.cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509 *issuer = ca ? ca->cert : x.cert;
    X509_set_issuer_name(x.cert, X509_get_subject_name(issuer));
    add_extension(x.cert, issuer, NID_basic_constraints, ca ? "CA:FALSE" : "critical,CA:TRUE");
    if (names) {
        add_extension(x.cert, issuer, NID_subject_alt_name, names);
    }
    assert_true(X509_sign(x.cert, ca ? ca->key : x.key, EVP_sha256()) > 0);
    FILE *out = temp(x.cert_file);
    assert_int_equal(PEM_write_X509(out, x.cert), 1);
    fclose(out);
    out = temp(x.key_file);
    assert_int_equal(PEM_write_PrivateKey(out, x.key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(out);
    return x;
}

static void drop(struct identity *x)
{
    EVP_PKEY_free(x->key);
    X509_free(x->cert);
    unlink(x->cert_file);
    unlink(x->key_file);
}

static struct identity ca, other_ca, leaf, expired, early, nameless;

enum { DAY = 86400 };

static int make_all(void **state)
{
    (void)state;
    static const char names[] = "DNS:right.test,IP:127.0.0.1";
    ca = make(NULL, NULL, -DAY, DAY);
    other_ca = make(NULL, NULL, -DAY, DAY);
    leaf = make(&ca, names, -DAY, DAY);
    expired = make(&ca, names, -2 * DAY, -DAY);
    early = make(&ca, names, DAY, 2 * DAY);
    nameless = make(&ca, NULL, -DAY, DAY);
    return 0;
}

static int drop_all(void **state)
{
    (void)state;
    struct identity *const all[] = {&ca, &other_ca, &leaf, &expired, &early, &nameless};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        drop(all[i]);
    }
    return 0;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static struct server *serve_with(const struct identity *x, serve_fn *serve)
{
    return server_open_tls(serve, NULL, x->cert_file, x->key_file);
}

static void test_good(void **state)
{
    (void)state;
    struct rig g;
    struct server *s = serve_with(&leaf, serve_ok);
    rig_open(&g, &(struct fetch_conf){.ca_file = ca.cert_file});
    for (int i = 0; i < 6; i++) {
        struct fetch_req r;
        rig_get(&g, &r,
                arena_printf(g.a, "https://%s:%u/", i < 3 ? "right.test" : "127.0.0.1",
                             server_port(s)));
        if (r.op.failed) {
            fail_msg("%s", r.op.err.msg);
        }
        assert_int_equal(r.status, 200);
        assert_true(span_is(buf_span(&r.body), "ok"));
        fetch_done(&r);
    }
    assert_int_equal(server_connections(s), 2); /* one a name */
    rig_close(&g);
    server_close(s);
}

static void not_believed(const struct identity *server, const char *ca_file, const char *host,
                         const char *text)
{
    struct rig g;
    struct server *s = serve_with(server, serve_ok);
    rig_open(&g, &(struct fetch_conf){.ca_file = ca_file});
    rig_get_fails(&g, arena_printf(g.a, "https://%s:%u/", host, server_port(s)), FETCH_TLS,
                  ERR_RETRY, text);
    assert_int_equal(server_requests(s), 0);
    rig_close(&g);
    server_close(s);
}

static void test_bad(void **state)
{
    (void)state;
    not_believed(&leaf, NULL, "right.test", "certificate");
    not_believed(&leaf, other_ca.cert_file, "right.test", "certificate");
    not_believed(&leaf, ca.cert_file, "wrong.test", "wrong.test");
    not_believed(&leaf, ca.cert_file, "sub.right.test", "sub.right.test");
    not_believed(&leaf, ca.cert_file, "localhost", "localhost");
    not_believed(&expired, ca.cert_file, "right.test", "expired");
    not_believed(&early, ca.cert_file, "right.test", "not yet valid");
    not_believed(&nameless, ca.cert_file, "right.test", "right.test");
}

static void serve_plainly(struct peer *p)
{
    peer_answer(p, 200, "", SPAN("ok"));
    peer_until_gone(p);
}

static void serve_nobody(struct peer *p)
{
    (void)p;
}

static void test_no_tls(void **state)
{
    (void)state;
    serve_fn *const serve[] = {serve_plainly, serve_nobody};
    for (size_t i = 0; i < COUNT_OF(serve); i++) {
        struct rig g;
        struct server *s = server_open(serve[i], NULL);
        rig_open(&g, NULL);
        rig_get_fails(&g, arena_printf(g.a, "https://127.0.0.1:%u/", server_port(s)), FETCH_TLS,
                      ERR_RETRY, "127.0.0.1");
        rig_close(&g);
        server_close(s);
    }
}

/* A kept connection that the server has closed meanwhile. */
static void serve_one(struct peer *p)
{
    if (peer_read(p)) {
        peer_answer(p, 200, "", SPAN("ok"));
    }
}

static void test_closed_meanwhile(void **state)
{
    (void)state;
    struct rig g;
    struct server *s = serve_with(&leaf, serve_one);
    rig_open(&g, &(struct fetch_conf){.ca_file = ca.cert_file});
    for (int i = 0; i < 5; i++) {
        struct fetch_req r;
        rig_get(&g, &r, rig_url(&g, s, "/"));
        assert_false(r.op.failed);
        assert_int_equal(r.status, 200);
        fetch_done(&r);
        rig_turn(&g, i * 10);
    }
    assert_int_equal(server_requests(s), 5);
    rig_close(&g);
    server_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_no_tls),

        cmocka_unit_test(test_closed_meanwhile),
    };
    return cmocka_run_group_tests(tests, make_all, drop_all);
}
