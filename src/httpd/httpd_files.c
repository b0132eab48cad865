/* Files that were embedded at build time: found by path, compressed already, revalidated by ETag.
 */
#include "httpd/internal.h"

static const struct httpd_file *find(const struct httpd_files *files, const char *path)
{
    for (const struct httpd_file *f = files->file; f->path; f++) {
        if (strcmp(f->path, path) == 0)
            return f;
    }
    return NULL;
}

/* W/ is nothing to a weak comparison (RFC 9110, 8.8.3.2). */
static bool matches(const struct httpd_req *r, const char *etag)
{
    for (unsigned i = 0; i < r->head.fields; i++) {
        if (!httpd__same(r->head.field[i].name, SPAN("If-None-Match")))
            continue;
        struct span rest = r->head.field[i].value, member;
        while (httpd__list_next(&rest, &member)) {
            if (member.n > 2 && member.p[0] == 'W' && member.p[1] == '/')
                member = (struct span){member.p + 2, member.n - 2};
            if (span_is(member, "*") || span_is(member, etag))
                return true;
        }
    }
    return false;
}

/* Two forms of a file differ in their bytes, so a strong ETag has to differ, too. */
static const char *etag_of(struct httpd_req *r, const struct httpd_file *f, bool packed)
{
    if (!packed)
        return f->etag;
    size_t n = strlen(f->etag);
    CHECK(n > 2 && f->etag[n - 1] == '"');
    return arena_printf(r->arena, "%.*s-gz\"", (int)n - 1, f->etag);
}

void httpd_send_file(struct httpd_req *r, const struct httpd_files *files, const char *path)
{
    httpd__req_check(r);
    const struct httpd_file *f = find(files, path);
    if (!f) {
        httpd_problem(r, 404, NULL, NULL, NULL);
        return;
    }
    bool packed = f->gz && httpd__accepts_gzip(&r->head);
    struct httpd__answer a = {
        .status = 200,
        .type = f->type,
        .body = {(const char *)(packed ? f->gz : f->p), packed ? f->gz_n : f->n},
        .encoded = packed,
        .no_gzip = true,
        .vary = f->gz != NULL,
        .cache_control = files->cache_control ? files->cache_control : "no-cache",
        .etag = etag_of(r, f, packed),
    };
    if (matches(r, a.etag)) {
        a.status = 304;
        a.type = NULL;
        a.encoded = false;
        a.body = (struct span){0};
    }
    httpd__answer(r, &a);
}

static void serve(struct httpd_req *r, void *ctx)
{
    const struct httpd_files *files = ctx;
    httpd_send_file(r, files, httpd_param(r, "file"));
}

void httpd_serve_files(struct httpd *h, const char *prefix, const struct httpd_files *files)
{
    httpd__check(h);
    size_t n = strlen(prefix);
    CHECK(n > 0 && prefix[0] == '/' && prefix[n - 1] == '/');
    httpd_route(h, &(struct httpd_route){
                       .method = HTTPD_GET,
                       .pattern = arena_printf(h->arena, "%s{file:path}", prefix),
                       .handler = serve,
                       .ctx = (void *)(uintptr_t)files,
                   });
}
