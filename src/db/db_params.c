/* Parameters: checked against the declared type, laid out as the binary protocol wants them
 * (big-endian), kept in the unit's arena. jsonb and uuid go as text under their own OIDs: the
 * server parses them anyway. */
#include "db/internal.h"

#include <arpa/inet.h>
#include <endian.h>
#include <inttypes.h>
#include <limits.h>

static const struct {
    const char *name;
    unsigned oid, array_oid;
} types[] = {
    {"boolean", DB__OID_BOOL, 1000},  {"bytea", DB__OID_BYTEA, 1001},
    {"bigint", DB__OID_INT8, 1016},   {"smallint", DB__OID_INT2, 1005},
    {"integer", DB__OID_INT4, 1007},  {"text", DB__OID_TEXT, 1009},
    {"json", DB__OID_JSON, 199},      {"float4", DB__OID_FLOAT4, 1021},
    {"float8", DB__OID_FLOAT8, 1022}, {"jsonb", DB__OID_JSONB, 3807},
    {"uuid", DB__OID_UUID, 2951},     {"timestamptz", DB__OID_TIMESTAMPTZ, 1185},
};

/* Under the server's limit of 1 GB a message, with room for the rest of it. */
#define MAX_PARAM_BYTES (INT64_C(1) << 29)

unsigned db_type_oid(const char *type_name)
{
    size_t n = strlen(type_name);
    bool array = n > 2 && strcmp(type_name + n - 2, "[]") == 0;
    if (array)
        n -= 2;
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (strlen(types[i].name) == n && memcmp(types[i].name, type_name, n) == 0)
            return array ? types[i].array_oid : types[i].oid;
    return 0;
}

unsigned db__element_oid(unsigned array_oid)
{
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (types[i].array_oid == array_oid)
            return types[i].oid;
    return 0;
}

static unsigned next_type(const struct db_unit *u)
{
    CHECK(u->op.state == OP_IDLE && u->n > 0);
    const struct db_call *c = u->call[u->n - 1];
    CHECK(c->at < c->stmt->nparams);
    return c->type[c->at];
}

static void put(struct db_unit *u, const void *p, size_t n, int format)
{
    struct db_call *c = u->call[u->n - 1];
    c->value[c->at] = p;
    c->length[c->at] = (int)n;
    c->format[c->at] = format;
    c->at++;
}

/* The input is at fault, not the program: the unit fails when it is submitted. The first reason
 * counts. */
static void refuse(struct db_unit *u, const char *why)
{
    const struct db_call *c = u->call[u->n - 1];
    if (u->refused == NULL) {
        u->refused = arena_alloc(u->arena, sizeof(*u->refused));
        err_set(u->refused, ERR_DATA, ERR_PERMANENT, "parameter $%d of %s: %s", c->at + 1,
                c->stmt->name, why);
    }
    put(u, NULL, 0, 1);
}

static bool too_long(struct db_unit *u, uint64_t n)
{
    if (n <= (uint64_t)MAX_PARAM_BYTES)
        return false;
    refuse(u, "longer than 512 MB");
    return true;
}

void db_p_null(struct db_unit *u)
{
    (void)next_type(u);
    put(u, NULL, 0, 1);
}

static size_t int_size(unsigned oid)
{
    switch (oid) {
    case DB__OID_INT8:
    case DB__OID_TIMESTAMPTZ:
        return 8;
    case DB__OID_INT4:
        return 4;
    case DB__OID_INT2:
        return 2;
    case DB__OID_BOOL:
        return 1;
    default:
        return 0;
    }
}

static bool int_fits(int64_t v, size_t size)
{
    switch (size) {
    case 1:
        return v == 0 || v == 1;
    case 2:
        return v >= INT16_MIN && v <= INT16_MAX;
    case 4:
        return v >= INT32_MIN && v <= INT32_MAX;
    default:
        return true;
    }
}

static void int_store(void *to, int64_t v, size_t size)
{
    uint64_t be = htobe64((uint64_t)v);
    memcpy(to, (const char *)&be + (8 - size), size);
}

static void put_int(struct db_unit *u, int64_t v, size_t size)
{
    char *p = arena_alloc(u->arena, 8);
    int_store(p, v, size);
    put(u, p, size, 1);
}

void db_p_i64(struct db_unit *u, int64_t v)
{
    unsigned type = next_type(u);
    CHECK(type == DB__OID_INT8 || type == DB__OID_INT4 || type == DB__OID_INT2);
    if (int_fits(v, int_size(type)))
        put_int(u, v, int_size(type));
    else
        refuse(u, type == DB__OID_INT4 ? "does not fit an integer" : "does not fit a smallint");
}

void db_p_bool(struct db_unit *u, bool v)
{
    CHECK(next_type(u) == DB__OID_BOOL);
    put_int(u, v, 1);
}

static size_t float_store(void *to, double v, unsigned oid)
{
    if (oid == DB__OID_FLOAT4) {
        float f = (float)v;
        uint32_t bits;
        memcpy(&bits, &f, 4);
        bits = htobe32(bits);
        memcpy(to, &bits, 4);
        return 4;
    }
    uint64_t bits;
    memcpy(&bits, &v, 8);
    bits = htobe64(bits);
    memcpy(to, &bits, 8);
    return 8;
}

void db_p_f64(struct db_unit *u, double v)
{
    unsigned type = next_type(u);
    CHECK(type == DB__OID_FLOAT8 || type == DB__OID_FLOAT4);
    char *p = arena_alloc(u->arena, 8);
    put(u, p, float_store(p, v, type), 1);
}

static bool is_texty(unsigned oid)
{
    return oid == DB__OID_TEXT || oid == DB__OID_JSON || oid == DB__OID_JSONB ||
           oid == DB__OID_UUID;
}

static bool bad_text(struct db_unit *u, struct span v)
{
    if (span_utf8_valid(v))
        return false;
    refuse(u, memchr(v.p, '\0', v.n) != NULL ? "text with a NUL byte"
                                             : "text that is not valid UTF-8");
    return true;
}

void db_p_span(struct db_unit *u, struct span v)
{
    unsigned type = next_type(u);
    CHECK(is_texty(type) || type == DB__OID_BYTEA);
    if (too_long(u, v.n) || (type != DB__OID_BYTEA && bad_text(u, v)))
        return;
    put(u, arena_span_dup(u->arena, v), v.n, type == DB__OID_BYTEA || type == DB__OID_TEXT);
}

void db_p_text(struct db_unit *u, const char *v)
{
    CHECK(is_texty(next_type(u)));
    if (v == NULL)
        db_p_null(u);
    else
        db_p_span(u, span_of(v));
}

void db_p_bytes(struct db_unit *u, const void *p, size_t n)
{
    CHECK(next_type(u) == DB__OID_BYTEA);
    if (!too_long(u, n))
        put(u, p != NULL ? p : "", n, 1);
}

/* A timestamptz starts in 4713 BC; it ends later than our clock. */
static bool time_fits(int64_t unix_us)
{
    return unix_us >= INT64_C(-210866803200000000);
}

void db_p_time_us(struct db_unit *u, int64_t unix_us)
{
    CHECK(next_type(u) == DB__OID_TIMESTAMPTZ);
    if (unix_us == INT64_MIN)
        db_p_null(u);
    else if (time_fits(unix_us))
        put_int(u, unix_us - DB__PG_EPOCH_US, 8);
    else
        refuse(u, "a time out of range");
}

/* ---- arrays ---------------------------------------------------------------------------------- */

/* https://www.postgresql.org/docs/15/protocol-overview.html leaves the array format to array_send()
 * in src/backend/utils/adt/arrayfuncs.c: dimensions, flag "has NULLs", element OID, then per
 * dimension length and lower bound, then per element its length (-1: NULL) and bytes. An empty
 * array has no dimension. */
enum { ARRAY_HEAD = 12, ARRAY_DIM = 8 };

static char *array_begin(struct db_unit *u, unsigned elem, size_t n, size_t body, bool nulls)
{
    size_t size = n == 0 ? ARRAY_HEAD : ARRAY_HEAD + ARRAY_DIM + 4 * n + body;
    char *p = arena_alloc(u->arena, size);
    int_store(p, n == 0 ? 0 : 1, 4);
    int_store(p + 4, nulls, 4);
    int_store(p + 8, elem, 4);
    put(u, p, size, 1);
    if (n == 0)
        return p;
    int_store(p + 12, (int64_t)n, 4);
    int_store(p + 16, 1, 4);
    return p + ARRAY_HEAD + ARRAY_DIM;
}

static char *array_null(char *p)
{
    int_store(p, -1, 4);
    return p + 4;
}

static char *array_bytes(char *p, const void *v, size_t n)
{
    int_store(p, (int64_t)n, 4);
    if (n > 0)
        memcpy(p + 4, v, n);
    return p + 4 + n;
}

static void put_ints(struct db_unit *u, unsigned elem, const int64_t *v, size_t n, int64_t minus)
{
    size_t size = int_size(elem);
    if (too_long(u, (uint64_t)n * (4 + size)))
        return;
    for (size_t i = 0; i < n; i++) {
        if (!int_fits(v[i], size)) {
            refuse(u, "an element does not fit the array's type");
            return;
        }
    }
    char *p = array_begin(u, elem, n, n * size, false);
    for (size_t i = 0; i < n; i++) {
        int_store(p, (int64_t)size, 4);
        int_store(p + 4, v[i] - minus, size);
        p += 4 + size;
    }
}

void db_p_i64_array(struct db_unit *u, const int64_t *v, size_t n)
{
    unsigned elem = db__element_oid(next_type(u));
    CHECK(elem == DB__OID_INT8 || elem == DB__OID_INT4 || elem == DB__OID_INT2 ||
          elem == DB__OID_BOOL);
    put_ints(u, elem, v, n, 0);
}

void db_p_time_us_array(struct db_unit *u, const int64_t *v, size_t n)
{
    CHECK(db__element_oid(next_type(u)) == DB__OID_TIMESTAMPTZ);
    size_t nulls = 0;
    if (too_long(u, (uint64_t)n * 12))
        return;
    for (size_t i = 0; i < n; i++) {
        nulls += v[i] == INT64_MIN;
        if (v[i] != INT64_MIN && !time_fits(v[i])) {
            refuse(u, "a time out of range");
            return;
        }
    }
    char *p = array_begin(u, DB__OID_TIMESTAMPTZ, n, (n - nulls) * 8, nulls > 0);
    for (size_t i = 0; i < n; i++) {
        if (v[i] == INT64_MIN) {
            p = array_null(p);
            continue;
        }
        int_store(p, 8, 4);
        int_store(p + 4, v[i] - DB__PG_EPOCH_US, 8);
        p += 12;
    }
}

void db_p_f64_array(struct db_unit *u, const double *v, size_t n)
{
    unsigned elem = db__element_oid(next_type(u));
    CHECK(elem == DB__OID_FLOAT8 || elem == DB__OID_FLOAT4);
    size_t size = elem == DB__OID_FLOAT8 ? 8 : 4, nulls = 0;
    if (too_long(u, (uint64_t)n * 12))
        return;
    for (size_t i = 0; i < n; i++)
        nulls += v[i] != v[i];
    char *p = array_begin(u, elem, n, (n - nulls) * size, nulls > 0);
    for (size_t i = 0; i < n; i++) {
        if (v[i] != v[i]) {
            p = array_null(p);
            continue;
        }
        int_store(p, (int64_t)size, 4);
        p += 4 + float_store(p + 4, v[i], elem);
    }
}

/* Elements of text, jsonb (one version byte first) or bytea. */
static void put_spans(struct db_unit *u, unsigned elem, const struct span *v, size_t n)
{
    size_t total = 0, nulls = 0, head = elem == DB__OID_JSONB;
    for (size_t i = 0; i < n; i++) {
        nulls += v[i].p == NULL;
        total += v[i].p == NULL ? 0 : v[i].n + head;
        if (too_long(u, (uint64_t)total + 4 * (uint64_t)(i + 1)))
            return;
        if (elem != DB__OID_BYTEA && v[i].p != NULL && bad_text(u, v[i]))
            return;
    }
    char *p = array_begin(u, elem, n, total, nulls > 0);
    for (size_t i = 0; i < n; i++) {
        if (v[i].p == NULL) {
            p = array_null(p);
        } else if (head) {
            int_store(p, (int64_t)(v[i].n + 1), 4);
            p[4] = 1;
            memcpy(p + 5, v[i].p, v[i].n);
            p += 5 + v[i].n;
        } else {
            p = array_bytes(p, v[i].p, v[i].n);
        }
    }
}

void db_p_text_array(struct db_unit *u, const char *const *v, size_t n)
{
    unsigned elem = db__element_oid(next_type(u));
    CHECK(elem == DB__OID_TEXT || elem == DB__OID_JSONB);
    struct span *s = mem_alloc((n + 1) * sizeof(*s));
    for (size_t i = 0; i < n; i++)
        s[i] = span_of(v[i]);
    put_spans(u, elem, s, n);
    mem_free(s);
}

void db_p_bytea_array(struct db_unit *u, const struct span *v, size_t n)
{
    CHECK(db__element_oid(next_type(u)) == DB__OID_BYTEA);
    put_spans(u, DB__OID_BYTEA, v, n);
}
