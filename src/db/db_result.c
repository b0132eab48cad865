/* Results, all binary. A type or an index that is wrong is a programming error; so is a malformed
 * value, which only a server that is not PostgreSQL could send. */
#include "db/internal.h"

#include <endian.h>
#include <math.h>

static const PGresult *result(const struct db_unit *u, unsigned call)
{
    const PGresult *res = db__unit_call(u, call)->res;
    CHECK(res != NULL);
    return res;
}

int db_rows(const struct db_unit *u, unsigned call)
{
    return PQntuples(result(u, call));
}

int64_t db_affected(const struct db_unit *u, unsigned call)
{
    int64_t n;
    /* PQcmdTuples takes a non-const result but only reads it. */
    const char *text = PQcmdTuples((PGresult *)result(u, call));
    return span_to_i64(span_of(text), 0, INT64_MAX, &n) == 0 ? n : 0;
}

/* p NULL: SQL NULL. *type is the column's. */
static struct span cell(const struct db_unit *u, unsigned call, int row, int col, unsigned *type)
{
    const PGresult *res = result(u, call);
    CHECK(row >= 0 && row < PQntuples(res) && col >= 0 && col < PQnfields(res));
    CHECK(PQfformat(res, col) == 1);
    *type = PQftype(res, col);
    if (PQgetisnull(res, row, col))
        return (struct span){0};
    return (struct span){PQgetvalue(res, row, col), (size_t)PQgetlength(res, row, col)};
}

bool db_is_null(const struct db_unit *u, unsigned call, int row, int col)
{
    unsigned type;
    return cell(u, call, row, col, &type).p == NULL;
}

/* Big-endian, sign-extended, of the size the type has. */
static int64_t read_int(struct span v, unsigned type)
{
    uint64_t be = 0;
    size_t size = type == DB__OID_INT8   ? 8
                  : type == DB__OID_INT2 ? 2
                  : type == DB__OID_BOOL ? 1
                                         : 4;
    CHECK(v.n == size);
    memcpy((char *)&be + (8 - size), v.p, size);
    uint64_t host = be64toh(be);
    if (type == DB__OID_INT4)
        return (int32_t)(uint32_t)host;
    if (type == DB__OID_INT2)
        return (int16_t)(uint16_t)host;
    return (int64_t)host;
}

static bool is_int(unsigned type)
{
    return type == DB__OID_INT8 || type == DB__OID_INT4 || type == DB__OID_INT2;
}

int64_t db_get_i64(const struct db_unit *u, unsigned call, int row, int col)
{
    unsigned type;
    struct span v = cell(u, call, row, col, &type);
    CHECK(is_int(type) || type == DB__OID_BOOL || type == DB__OID_OID);
    return v.p == NULL ? 0 : read_int(v, type);
}

double db_get_f64(const struct db_unit *u, unsigned call, int row, int col)
{
    unsigned type;
    struct span v = cell(u, call, row, col, &type);
    CHECK(type == DB__OID_FLOAT8 || type == DB__OID_FLOAT4);
    if (v.p == NULL)
        return NAN;
    if (type == DB__OID_FLOAT4) {
        uint32_t bits;
        float f;
        CHECK(v.n == 4);
        memcpy(&bits, v.p, 4);
        bits = be32toh(bits);
        memcpy(&f, &bits, 4);
        return (double)f;
    }
    uint64_t bits;
    double d;
    CHECK(v.n == 8);
    memcpy(&bits, v.p, 8);
    bits = be64toh(bits);
    memcpy(&d, &bits, 8);
    return d;
}

static bool is_text(unsigned type)
{
    switch (type) {
    case DB__OID_TEXT:
    case DB__OID_VARCHAR:
    case DB__OID_BPCHAR:
    case DB__OID_NAME:
    case DB__OID_JSON:
    case DB__OID_JSONB:
        return true;
    default:
        return false;
    }
}

/* jsonb's binary form is a version byte, then the text. */
static struct span text_of(struct span v, unsigned type)
{
    if (type != DB__OID_JSONB || v.p == NULL)
        return v;
    CHECK(v.n >= 1 && v.p[0] == 1);
    return (struct span){v.p + 1, v.n - 1};
}

struct span db_get_span(const struct db_unit *u, unsigned call, int row, int col)
{
    unsigned type;
    struct span v = cell(u, call, row, col, &type);
    CHECK(is_text(type) || type == DB__OID_BYTEA);
    return text_of(v, type);
}

static char *uuid_text(struct span v, struct arena *a)
{
    char *out = arena_alloc(a, 37);
    size_t n = 0;
    CHECK(v.n == 16);
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[n++] = '-';
        snprintf(out + n, 3, "%02x", (unsigned)(unsigned char)v.p[i]);
        n += 2;
    }
    return out;
}

char *db_get_text(const struct db_unit *u, unsigned call, int row, int col, struct arena *a)
{
    unsigned type;
    struct span v = cell(u, call, row, col, &type);
    CHECK(is_text(type) || type == DB__OID_UUID);
    if (v.p == NULL)
        return NULL;
    return type == DB__OID_UUID ? uuid_text(v, a) : arena_span_dup(a, text_of(v, type));
}

int64_t db_get_time_us(const struct db_unit *u, unsigned call, int row, int col)
{
    unsigned type;
    struct span v = cell(u, call, row, col, &type);
    CHECK(type == DB__OID_TIMESTAMPTZ || type == DB__OID_TIMESTAMP);
    if (v.p == NULL)
        return INT64_MIN;
    int64_t t = read_int(v, DB__OID_INT8);
    /* 'infinity' and '-infinity' are the ends of the range and stay there, with the last few years
     * before it. */
    if (t > INT64_MAX - DB__PG_EPOCH_US)
        return INT64_MAX;
    return t == INT64_MIN ? INT64_MIN + 1 : t + DB__PG_EPOCH_US;
}

static int64_t take_i32(struct span *v)
{
    CHECK(v->n >= 4);
    int64_t n = read_int((struct span){v->p, 4}, DB__OID_INT4);
    v->p += 4;
    v->n -= 4;
    return n;
}

size_t db_get_i64_array(const struct db_unit *u, unsigned call, int row, int col, struct arena *a,
                        int64_t **ret)
{
    unsigned type;
    struct span v = cell(u, call, row, col, &type);
    unsigned elem = db__element_oid(type);
    CHECK(is_int(elem) || elem == DB__OID_BOOL);
    *ret = NULL;
    if (v.p == NULL)
        return 0;
    int64_t dims = take_i32(&v);
    (void)take_i32(&v); /* has NULLs: each element says so itself */
    CHECK(take_i32(&v) == (int64_t)elem);
    if (dims == 0)
        return 0;
    CHECK(dims == 1);
    int64_t n = take_i32(&v);
    (void)take_i32(&v); /* lower bound */
    CHECK(n >= 0 && (uint64_t)n <= v.n / 4);
    *ret = arena_new_array(a, int64_t, (size_t)n);
    for (int64_t i = 0; i < n; i++) {
        int64_t len = take_i32(&v);
        if (len < 0)
            continue;
        CHECK((uint64_t)len <= v.n);
        (*ret)[i] = read_int((struct span){v.p, (size_t)len}, elem);
        v.p += len;
        v.n -= (size_t)len;
    }
    return (size_t)n;
}
