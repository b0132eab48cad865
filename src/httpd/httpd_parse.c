/* The parser: finds where heads, bodies and chunks end, looking at every byte that frames them.
 * llhttp 8.1 lets through what two servers in a row may read differently (a bare LF after a field,
 * white space in a chunk line, control characters in a value); here each is the end. */
#include "httpd/internal.h"

enum {
    S_START, /* before a request line */
    S_START_LF,
    S_LINE,
    S_LINE_LF,
    S_FIELD, /* at the start of a field line */
    S_NAME,
    S_VALUE,
    S_VALUE_LF,
    S_END_LF,  /* CR of the empty line was there */
    S_PENDING, /* head is out, httpd__parser_body is due */
    S_LENGTH,  /* `left` bytes of body */
    S_SIZE,
    S_EXT,
    S_SIZE_LF,
    S_DATA,
    S_DATA_CR,
    S_DATA_LF,
    S_DONE,
    S_BAD,
};

enum {
    MAX_CHUNK_DIGITS = 15, /* what fits 64 bits with room to add */
    MAX_EXT = 256,         /* of one chunk; nobody is known to use them */
    MAX_EXT_TOTAL = 4096,
};

/* Bits by byte: 1 may stand in a token (RFC 9110, 5.6.2), 2 in a field value (5.5: visible ASCII,
 * space, tab and the obsolete 0x80-0xff), 4 in a request line. */
enum { TOKEN = 1, VALUE = 2, LINE = 4 };
static uint8_t class_of[256];

__attribute__((constructor)) static void fill_classes(void)
{
    for (int c = 0; c < 256; c++) {
        bool alnum = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z' && c < 128);
        if (alnum || (c && c < 128 && strchr("!#$%&'*+-.^_`|~", c)))
            class_of[c] |= TOKEN;
        if ((c >= ' ' && c != 0x7f) || c == '\t')
            class_of[c] |= VALUE;
        if (c >= ' ' && c < 0x7f)
            class_of[c] |= LINE;
    }
}

bool httpd__is_tchar(unsigned char c)
{
    return class_of[c] & TOKEN;
}

void httpd__parser_init(struct httpd__parser *p)
{
    mem_free(p->held.p);
    *p = (struct httpd__parser){.state = S_START};
}

void httpd__parser_done(struct httpd__parser *p)
{
    buf_done(&p->held);
}

bool httpd__parser_fresh(const struct httpd__parser *p)
{
    return p->state == S_START && !p->blank;
}

static void bad(struct httpd__parser *p, int status, const char *why)
{
    p->state = S_BAD;
    p->status = (uint16_t)status;
    p->why = why;
}

/* ---- the request line --------------------------------------------------------------------------
 */

const char *httpd_method_name(enum httpd_method m)
{
    static const char *const names[HTTPD_METHODS] = {"GET",   "HEAD",   "POST",   "PUT",
                                                     "PATCH", "DELETE", "OPTIONS"};
    CHECK(m < HTTPD_METHODS);
    return names[m];
}

int httpd__method(struct span name)
{
    for (int m = 0; m < HTTPD_METHODS; m++) {
        if (span_is(name, httpd_method_name((enum httpd_method)m)))
            return m;
    }
    return -1;
}

/* RFC 9112, 3: method SP target SP version, one space each. Checked when the line ends rather than
 * with the head: a client of HTTP/0.9 sends nothing more. */
static void check_line(struct httpd__parser *p, struct span line)
{
    const char *space = line.n ? memchr(line.p, ' ', line.n) : NULL;
    size_t method_n = space ? (size_t)(space - line.p) : line.n;
    for (size_t i = 0; i < method_n; i++) {
        if (!httpd__is_tchar((unsigned char)line.p[i])) {
            bad(p, 400, "the method is not a token");
            return;
        }
    }
    if (!space || method_n == 0) {
        bad(p, 400, "the request line is not a method, a target and a version");
        return;
    }
    struct span rest = {space + 1, line.n - method_n - 1};
    const char *second = rest.n ? memchr(rest.p, ' ', rest.n) : NULL;
    if (rest.n == 0 || second == rest.p) {
        bad(p, 400, "white space in the request line");
        return;
    }
    if (!second) {
        bad(p, 505, "HTTP/0.9 is not spoken here");
        return;
    }
    const char *v = second + 1;
    size_t v_n = rest.n - (size_t)(v - rest.p);
    if (v_n != 8 || memcmp(v, "HTTP/", 5) != 0 || v[5] < '0' || v[5] > '9' || v[6] != '.' ||
        v[7] < '0' || v[7] > '9')
        bad(p, 400, "the version is malformed");
    else if (v[5] != '1' || v[7] > '1')
        bad(p, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    else if (httpd__method((struct span){line.p, method_n}) < 0)
        bad(p, 501, "the method is not known here");
}

/* ---- lines -------------------------------------------------------------------------------------
 */

/* Each of these takes bytes from s[i] on and returns where it stopped. */
static size_t take_line(struct httpd__parser *p, const struct httpd__limits *limits,
                        const unsigned char *s, size_t i, size_t n)
{
    size_t from = i, room = limits->request_line - p->line_n;
    size_t end = n - i > room ? i + room : n;
    while (i < end && (class_of[s[i]] & LINE))
        i++;
    p->line_n += (uint32_t)(i - from);
    if (i == n)
        return i;
    if (s[i] == '\r') {
        p->state = S_LINE_LF;
        return i + 1;
    }
    if (class_of[s[i]] & LINE)
        bad(p, 414, "the request line is too long");
    else
        bad(p, 400,
            s[i] == '\n' ? "a line ends without CR" : "a bad character in the request line");
    return i;
}

static size_t take_name(struct httpd__parser *p, const unsigned char *s, size_t i, size_t n)
{
    while (i < n && (class_of[s[i]] & TOKEN))
        i++;
    if (i == n)
        return i;
    if (s[i] != ':') {
        bad(p, 400, "a field name is malformed");
        return i;
    }
    p->state = S_VALUE;
    return i + 1;
}

static size_t take_value(struct httpd__parser *p, const unsigned char *s, size_t i, size_t n)
{
    while (i < n && (class_of[s[i]] & VALUE))
        i++;
    if (i == n)
        return i;
    if (s[i] != '\r') {
        bad(p, 400, s[i] == '\n' ? "a line ends without CR" : "a bad character in a field value");
        return i;
    }
    p->state = S_VALUE_LF;
    return i + 1;
}

static size_t start_field(struct httpd__parser *p, const struct httpd__limits *limits,
                          const unsigned char *s, size_t i)
{
    if (s[i] == '\r') {
        p->state = S_END_LF;
        return i + 1;
    }
    if (!httpd__is_tchar(s[i])) {
        bad(p, 400,
            s[i] == ' ' || s[i] == '\t' ? "a line starts with white space"
                                        : "a field is malformed");
        return i;
    }
    if (p->fields >= limits->fields) {
        bad(p, 431, "too many fields");
        return i;
    }
    p->fields++;
    p->state = S_NAME;
    return i;
}

/* The fields, up to the empty line. The limit counts bytes, so that it does not matter how they
 * arrive. */
static size_t take_fields(struct httpd__parser *p, const struct httpd__limits *limits,
                          const unsigned char *s, size_t i, size_t n)
{
    size_t from = i, room = limits->head - p->fields_n;
    size_t end = n - i > room ? i + room : n;
    while (i < end && p->state >= S_FIELD && p->state <= S_END_LF) {
        if (p->state == S_NAME) {
            i = take_name(p, s, i, end);
        } else if (p->state == S_VALUE) {
            i = take_value(p, s, i, end);
        } else if (p->state == S_FIELD) {
            i = start_field(p, limits, s, i);
        } else if (s[i] != '\n') {
            bad(p, 400, "CR without LF");
        } else {
            p->state = p->state == S_VALUE_LF ? S_FIELD : p->trailer ? S_DONE : S_PENDING;
            i++;
        }
    }
    p->fields_n += (uint32_t)(i - from);
    if (i == end && end < n && p->state >= S_FIELD && p->state <= S_END_LF)
        bad(p, 431, "the head is too large");
    return i;
}

/* One empty line before a request line is ignored (RFC 9112, 2.2). */
static size_t take_start(struct httpd__parser *p, const unsigned char *s, size_t i)
{
    if (p->state == S_START_LF) {
        p->blank = true;
        p->state = S_START;
        if (s[i] != '\n')
            bad(p, 400, "CR without LF");
        return i + 1;
    }
    if (s[i] != '\r') {
        p->state = S_LINE;
        return i;
    }
    p->state = S_START_LF;
    if (p->blank)
        bad(p, 400, "empty lines before the request");
    return i + 1;
}

/* ---- heads -------------------------------------------------------------------------------------
 */

static enum httpd__event parse_head(struct httpd__parser *p, const struct httpd__limits *limits,
                                    struct span *in, struct span *out)
{
    const unsigned char *s = (const unsigned char *)in->p;
    size_t i = 0, from = 0, n = in->n;
    while (i < n && p->state < S_PENDING) {
        if (p->state <= S_START_LF) {
            from = i = take_start(p, s, i);
        } else if (p->state == S_LINE) {
            i = take_line(p, limits, s, i, n);
        } else if (p->state == S_LINE_LF) {
            p->state = S_FIELD;
            if (s[i] != '\n')
                bad(p, 400, "CR without LF");
            i++;
            struct span line = {(const char *)s + from, i - from};
            if (p->held.n) {
                buf_put(&p->held, s + from, i - from);
                from = i;
                line = buf_span(&p->held);
            }
            if (p->state == S_FIELD)
                check_line(p, (struct span){line.p, line.n - 2});
        } else {
            i = take_fields(p, limits, s, i, n);
        }
    }
    if (p->state == S_BAD)
        return HTTPD__BAD;
    if (p->held.n || p->state != S_PENDING)
        buf_put(&p->held, s + from, i - from);
    *out = p->held.n ? buf_span(&p->held) : (struct span){(const char *)s + from, i - from};
    in->p += i;
    in->n -= i;
    return p->state == S_PENDING ? HTTPD__HEAD : HTTPD__MORE;
}

/* ---- bodies ------------------------------------------------------------------------------------
 */

void httpd__parser_body(struct httpd__parser *p, bool chunked, uint64_t length, uint64_t limit)
{
    CHECK(p->state == S_PENDING);
    buf_done(&p->held); /* an idle connection costs no buffer */
    p->left = length;
    p->body_limit = limit;
    p->state = chunked ? S_SIZE : length ? S_LENGTH : S_DONE;
}

static int hex_of(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The size is known: RFC 9112, 7.1. */
static void size_ends(struct httpd__parser *p)
{
    if (p->body_n + p->left > p->body_limit) {
        bad(p, 413, "the body is too large");
        return;
    }
    p->body_n += p->left;
    p->state = S_DATA;
    if (p->left == 0) {
        p->trailer = true;
        p->fields = 0;
        p->fields_n = 0;
        p->state = S_FIELD;
    }
}

static void take_size(struct httpd__parser *p, unsigned char c)
{
    int hex = hex_of(c);
    if (hex >= 0 && p->digits < MAX_CHUNK_DIGITS) {
        p->left = p->left << 4 | (unsigned)hex;
        p->digits++;
    } else if (p->digits == 0 || (c != '\r' && c != ';')) {
        bad(p, 400, "a chunk size is malformed");
    } else {
        p->ext_n = 0;
        p->state = c == '\r' ? S_SIZE_LF : S_EXT;
    }
}

static void take_ext(struct httpd__parser *p, unsigned char c)
{
    if (c == '\r')
        p->state = S_SIZE_LF;
    else if (!(class_of[c] & VALUE))
        bad(p, 400, "a bad character in a chunk extension");
    else if (++p->ext_n > MAX_EXT || ++p->ext_total > MAX_EXT_TOTAL)
        bad(p, 400, "chunk extensions are too long");
}

static void take_chunk_byte(struct httpd__parser *p, unsigned char c)
{
    switch (p->state) {
    case S_SIZE:
        take_size(p, c);
        break;
    case S_EXT:
        take_ext(p, c);
        break;
    case S_SIZE_LF:
        if (c != '\n')
            bad(p, 400, "CR without LF");
        else
            size_ends(p);
        break;
    case S_DATA_CR:
        p->state = S_DATA_LF;
        if (c != '\r')
            bad(p, 400, "a chunk is longer than its size");
        break;
    default:
        p->state = S_SIZE;
        p->digits = 0;
        p->left = 0;
        if (c != '\n')
            bad(p, 400, "CR without LF");
    }
}

static enum httpd__event take_data(struct httpd__parser *p, struct span *in, struct span *out)
{
    size_t n = in->n < p->left ? in->n : (size_t)p->left;
    *out = (struct span){in->p, n};
    in->p += n;
    in->n -= n;
    p->left -= n;
    if (p->left == 0)
        p->state = p->state == S_DATA ? S_DATA_CR : S_DONE;
    return HTTPD__BODY;
}

enum httpd__event httpd__parse(struct httpd__parser *p, const struct httpd__limits *limits,
                               struct span *in, struct span *out)
{
    CHECK(p->state != S_PENDING);
    *out = (struct span){0};
    if (p->state == S_DONE) {
        httpd__parser_init(p);
        return HTTPD__END;
    }
    if (p->state < S_PENDING && !p->trailer)
        return in->n ? parse_head(p, limits, in, out) : HTTPD__MORE;
    while (in->n && p->state != S_BAD && p->state != S_DONE) {
        if (p->state == S_LENGTH || p->state == S_DATA)
            return take_data(p, in, out);
        if (p->trailer) {
            size_t i = take_fields(p, limits, (const unsigned char *)in->p, 0, in->n);
            in->p += i;
            in->n -= i;
        } else {
            take_chunk_byte(p, (unsigned char)*in->p);
            in->p++;
            in->n--;
        }
    }
    if (p->state == S_DONE) {
        httpd__parser_init(p);
        return HTTPD__END;
    }
    return p->state == S_BAD ? HTTPD__BAD : HTTPD__MORE;
}
