/* What a connection understands does not depend on how its bytes were cut, and what it accepts
 * keeps its promises. First byte: how to cut. */
#include "httpd/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_LIMIT = 64 };

static const struct httpd__limits limits = {.request_line = 256, .head = 512, .fields = 10};

struct run {
    struct httpd__parser parser;
    struct arena *arena;
    struct buf log;
    size_t body_n;
    bool over;
};

static void stop(struct run *r, int status, const char *why)
{
    CHECK(status >= 400 && status < 600 && why && why[0]);
    buf_printf(&r->log, "%d %s\n", status, why);
    r->over = true;
}

static void check_pairs(const struct httpd__pairs *pairs)
{
    for (unsigned i = 0; i < pairs->n; i++) {
        CHECK(span_utf8_valid(span_of(pairs->pair[i].name)));
        CHECK(span_utf8_valid(span_of(pairs->pair[i].value)));
    }
}

static void check_path(struct span path)
{
    CHECK(path.n > 0 && path.p[0] == '/' && span_utf8_valid(path));
    for (size_t i = 0; i < path.n; i++)
        CHECK((unsigned char)path.p[i] >= ' ' && path.p[i] != 0x7f && path.p[i] != '\\');
    CHECK(!memmem(path.p, path.n, "/../", 4) && !memmem(path.p, path.n, "/./", 3));
}

/* What handlers ask of a head, believing every proxy. */
static void ask(const struct httpd__head *head)
{
    struct httpd server = {.conf = {.gzip_max = 1}};
    struct httpd__conn conn = {.srv = &server, .trusted = true, .peer.family = AF_UNIX};
    for (int standard = 0; standard < 2; standard++) {
        struct httpd__address address;
        struct httpd_req *r = httpd__req_new(&conn);
        r->head = *head;
        r->has_head = true;
        server.conf.use_forwarded = standard;
        const char *client = httpd_client_address(r);
        CHECK(strcmp(client, "unix") == 0 || httpd__address_parse(&address, span_of(client)) == 0);
        (void)httpd_is_https(r);
        const char *cookie = httpd_cookie(r, "a");
        CHECK(!cookie || !strchr(cookie, ';'));
        (void)httpd_field(r, "Content-Type");
        server.free_n = UINT32_MAX; /* nothing is kept */
        httpd__req_free(r);
        server.free_n = 0;
    }
}

static void on_head(struct run *r, struct span text)
{
    struct httpd__head head;
    struct httpd__pairs query;
    struct span path = {0};
    const char *why = NULL;
    CHECK(text.n >= 4 && memcmp(text.p + text.n - 4, "\r\n\r\n", 4) == 0);
    CHECK(text.n <= limits.request_line + 2 + limits.head);
    struct span copy = {arena_span_dup(r->arena, text), text.n};
    int status = httpd__head_read(&head, r->arena, copy, r->parser.fields, &why);
    bool star = status == 0 && span_is(head.raw_path, "*");
    if (status == 0 && !star)
        status = httpd__path_decode(r->arena, head.raw_path, &path, &why);
    if (status == 0)
        status = httpd__form_decode(r->arena, head.raw_query, &query, &why);
    if (status == 0 && head.length > BODY_LIMIT) {
        status = 413;
        why = "too large";
    }
    if (status) {
        stop(r, status, why);
        return;
    }
    CHECK(head.fields <= limits.fields && !(head.chunked && head.length));
    CHECK(head.minor == 0 || head.host.n > 0);
    if (!star)
        check_path(path);
    check_pairs(&query);
    (void)httpd__accepts_gzip(&head);
    ask(&head);
    buf_printf(&r->log, "%d 1.%d %.*s %.*s %u %d %d %d %llu\n", head.method, head.minor,
               (int)path.n, path.p ? path.p : "", (int)head.host.n, head.host.p ? head.host.p : "",
               query.n, head.keep_alive, head.chunked, head.expect_continue,
               (unsigned long long)head.length);
    httpd__parser_body(&r->parser, head.chunked, head.length, BODY_LIMIT);
    r->body_n = 0;
}

static void feed(struct run *r, struct span in)
{
    struct span out;
    while (!r->over) {
        switch (httpd__parse(&r->parser, &limits, &in, &out)) {
        case HTTPD__HEAD:
            on_head(r, out);
            break;
        case HTTPD__BODY:
            r->body_n += out.n;
            CHECK(r->body_n <= BODY_LIMIT);
            buf_put(&r->log, out.p, out.n);
            break;
        case HTTPD__END:
            buf_puts(&r->log, "\nend\n");
            CHECK(httpd__parser_fresh(&r->parser) && r->parser.held.n == 0);
            arena_reset(r->arena);
            break;
        case HTTPD__BAD:
            stop(r, r->parser.status, r->parser.why);
            break;
        case HTTPD__MORE:
            CHECK(in.n == 0);
            return;
        }
    }
}

/* Each piece lies in a block of its own size, so that AddressSanitizer sees a read beyond it. */
static void run(struct run *r, const uint8_t *data, size_t size, unsigned cut)
{
    *r = (struct run){.arena = arena_new(0)};
    httpd__parser_init(&r->parser);
    for (size_t i = 0; i < size && !r->over;) {
        cut = cut * 1103515245u + 12345u;
        size_t n = cut ? 1 + (cut >> 16) % ((cut >> 8) % 4 ? 3 : 64) : size;
        n = n < size - i ? n : size - i;
        char *piece = mem_alloc(n);
        memcpy(piece, data + i, n);
        feed(r, (struct span){piece, n});
        mem_free(piece);
        i += n;
    }
    httpd__parser_done(&r->parser);
    arena_free(r->arena);
}

static void run_whole(struct run *r, const uint8_t *data, size_t size)
{
    *r = (struct run){.arena = arena_new(0)};
    httpd__parser_init(&r->parser);
    feed(r, (struct span){(const char *)data, size});
    httpd__parser_done(&r->parser);
    arena_free(r->arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run whole, pieces;
    if (size == 0)
        return 0;
    run_whole(&whole, data + 1, size - 1);
    run(&pieces, data + 1, size - 1, data[0]);
    CHECK(whole.log.n == pieces.log.n);
    CHECK(whole.log.n == 0 || memcmp(whole.log.p, pieces.log.p, whole.log.n) == 0);
    CHECK(whole.over == pieces.over);
    buf_done(&whole.log);
    buf_done(&pieces.log);
    return 0;
}
