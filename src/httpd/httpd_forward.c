/* Who the client is when proxies stand between: fields that a trusted peer wrote are read from the
 * right, where each proxy adds what it saw; the first address that is not trusted is the client. */
#include "httpd/internal.h"

/* The last member of a list, taken off it. */
static bool last_member(struct span *list, struct span *member)
{
    while (list->n) {
        const char *comma = memrchr(list->p, ',', list->n);
        size_t start = comma ? (size_t)(comma - list->p) + 1 : 0;
        *member = span_trim((struct span){list->p + start, list->n - start});
        list->n = comma ? start - 1 : 0;
        if (member->n)
            return true;
    }
    return false;
}

static struct span unquote(struct span s)
{
    if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
        return (struct span){s.p + 1, s.n - 2};
    return s;
}

/* name=value in a member of Forwarded: for=192.0.2.1;proto=https (RFC 7239, 4). */
static struct span element(struct span member, struct span name)
{
    while (member.n) {
        const char *semicolon = memchr(member.p, ';', member.n);
        size_t n = semicolon ? (size_t)(semicolon - member.p) : member.n;
        const char *equals = memchr(member.p, '=', n);
        if (equals) {
            struct span key = span_trim((struct span){member.p, (size_t)(equals - member.p)});
            if (httpd__same(key, name))
                return unquote(
                    span_trim((struct span){equals + 1, n - (size_t)(equals - member.p) - 1}));
        }
        n += semicolon != NULL;
        member.p += n;
        member.n -= n;
    }
    return (struct span){0};
}

/* An address with or without brackets and port. */
static int node(struct span text, struct httpd__address *ret)
{
    if (text.n && text.p[0] == '[') {
        const char *close = memchr(text.p, ']', text.n);
        if (!close)
            return -1;
        return httpd__address_parse(ret, (struct span){text.p + 1, (size_t)(close - text.p) - 1});
    }
    const char *colon = text.n ? memchr(text.p, ':', text.n) : NULL;
    if (colon && !memchr(colon + 1, ':', text.n - (size_t)(colon - text.p) - 1))
        text.n = (size_t)(colon - text.p);
    return httpd__address_parse(ret, text);
}

/* Fields of one name are one list (RFC 9110, 5.3): from the last field to the first. */
const char *httpd_client_address(struct httpd_req *r)
{
    httpd__req_check(r);
    if (r->client)
        return r->client;
    bool standard = r->srv->conf.use_forwarded;
    struct span name = standard ? SPAN("Forwarded") : SPAN("X-Forwarded-For");
    struct httpd__address client = r->peer, next;
    bool trusted = r->trusted;
    for (unsigned i = r->has_head ? r->head.fields : 0; trusted && i-- > 0;) {
        if (!httpd__same(r->head.field[i].name, name))
            continue;
        struct span list = r->head.field[i].value, member;
        while (trusted && last_member(&list, &member)) {
            if (node(standard ? element(member, SPAN("for")) : member, &next) < 0) {
                trusted = false; /* nobody knows who is behind it */
                break;
            }
            client = next;
            trusted = httpd__is_trusted(&r->srv->trusted, &client);
        }
    }
    char text[64];
    r->client = arena_strdup(r->arena, httpd__address_format(&client, text));
    return r->client;
}

/* What the peer itself says, which is the last member of the last field. */
bool httpd_is_https(struct httpd_req *r)
{
    httpd__req_check(r);
    bool standard = r->srv->conf.use_forwarded;
    struct span name = standard ? SPAN("Forwarded") : SPAN("X-Forwarded-Proto");
    for (unsigned i = r->has_head && r->trusted ? r->head.fields : 0; i-- > 0;) {
        struct span list = r->head.field[i].value, member;
        if (httpd__same(r->head.field[i].name, name) && last_member(&list, &member))
            return httpd__same(standard ? element(member, SPAN("proto")) : member, SPAN("https"));
    }
    return false;
}
