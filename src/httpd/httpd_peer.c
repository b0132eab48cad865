/* Addresses: of peers, of trusted ones, and how many connections each has. */
#include <arpa/inet.h>

#include "httpd/internal.h"

/* ---- addresses ---------------------------------------------------------------------------------
 */

static void set_v6(struct httpd__address *ret, const struct in6_addr *ip)
{
    if (IN6_IS_ADDR_V4MAPPED(ip)) {
        ret->family = AF_INET;
        memcpy(ret->ip, (const char *)ip + 12, 4);
    } else {
        ret->family = AF_INET6;
        memcpy(ret->ip, ip, 16);
    }
}

void httpd__address_of(struct httpd__address *ret, const struct sockaddr *sa)
{
    *ret = (struct httpd__address){.family = AF_UNIX};
    if (sa->sa_family == AF_INET) {
        ret->family = AF_INET;
        memcpy(ret->ip, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
    } else if (sa->sa_family == AF_INET6) {
        set_v6(ret, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr);
    }
}

int httpd__address_parse(struct httpd__address *ret, struct span text)
{
    char copy[INET6_ADDRSTRLEN];
    struct in6_addr six;
    *ret = (struct httpd__address){0};
    if (text.n == 0 || text.n >= sizeof(copy))
        return -1;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    if (strlen(copy) != text.n)
        return -1;
    if (inet_pton(AF_INET, copy, ret->ip) == 1) {
        ret->family = AF_INET;
        return 0;
    }
    if (inet_pton(AF_INET6, copy, &six) != 1)
        return -1;
    set_v6(ret, &six);
    return 0;
}

char *httpd__address_format(const struct httpd__address *a, char out[64])
{
    if (a->family != AF_INET && a->family != AF_INET6) {
        snprintf(out, 64, "unix");
        return out;
    }
    CHECK(inet_ntop(a->family, a->ip, out, 64));
    return out;
}

/* ---- trusted peers -----------------------------------------------------------------------------
 */

static int parse_cidr(struct httpd__cidr *ret, struct span text)
{
    *ret = (struct httpd__cidr){0};
    if (span_is(text, "unix")) {
        ret->address.family = AF_UNIX;
        return 0;
    }
    const char *slash = memchr(text.p, '/', text.n);
    struct span ip = slash ? (struct span){text.p, (size_t)(slash - text.p)} : text;
    if (httpd__address_parse(&ret->address, ip) < 0)
        return -1;
    int64_t most = ret->address.family == AF_INET ? 32 : 128, bits = most;
    if (slash && span_to_i64((struct span){slash + 1, text.n - ip.n - 1}, 0, most, &bits) < 0)
        return -1;
    ret->bits = (uint8_t)bits;
    return 0;
}

int httpd__trusted_parse(struct httpd__trusted *t, const char *text, struct err *err)
{
    struct span rest = span_of(text), member;
    while (httpd__list_next(&rest, &member)) {
        struct httpd__cidr cidr;
        if (parse_cidr(&cidr, member) < 0)
            return err_set(err, ERR_CONF, ERR_PERMANENT,
                           "trusted proxy \"%.*s\": must be an address, a network such as "
                           "10.0.0.0/8, or unix",
                           (int)(member.n < 64 ? member.n : 64), member.p);
        *vec_push(t) = cidr;
    }
    return 0;
}

bool httpd__is_trusted(const struct httpd__trusted *t, const struct httpd__address *a)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct httpd__cidr *c = &t->v[i];
        unsigned whole = c->bits / 8, rest = c->bits % 8;
        if (c->address.family != a->family || memcmp(c->address.ip, a->ip, whole) != 0)
            continue;
        if (rest == 0 || ((c->address.ip[whole] ^ a->ip[whole]) >> (8 - rest)) == 0)
            return true;
    }
    return false;
}

/* ---- connections by address --------------------------------------------------------------------
 */

/* Whoever has a /64 has all its addresses. */
static struct httpd__address key_of(const struct httpd__address *a)
{
    struct httpd__address key = *a;
    if (key.family == AF_INET6)
        memset(key.ip + 8, 0, 8);
    return key;
}

static size_t slot_of(const struct httpd__peers *p, const struct httpd__address *key)
{
    uint64_t half[2], h = p->seed ^ key->family;
    memcpy(half, key->ip, sizeof(half));
    for (int i = 0; i < 2; i++) {
        h = (h ^ half[i]) * 0x9e3779b97f4a7c15u;
        h ^= h >> 32;
    }
    return (size_t)(h * 0xd6e8feb86659fd93u >> 32) & (p->slots - 1);
}

static void grow(struct httpd__peers *p)
{
    struct httpd__peers bigger = {
        .slots = p->slots ? p->slots * 2 : 64, .n = p->n, .seed = p->seed};
    bigger.slot = mem_alloc(bigger.slots * sizeof(*bigger.slot));
    for (size_t i = 0; i < p->slots; i++) {
        for (struct httpd__peer *e = p->slot[i], *next; e; e = next) {
            next = e->next;
            struct httpd__peer **to = &bigger.slot[slot_of(&bigger, &e->key)];
            e->next = *to;
            *to = e;
        }
    }
    mem_free(p->slot);
    *p = bigger;
}

int httpd__peers_add(struct httpd__peers *p, const struct httpd__address *a, unsigned max)
{
    if (p->n >= p->slots)
        grow(p);
    struct httpd__address key = key_of(a);
    struct httpd__peer **slot = &p->slot[slot_of(p, &key)], *e = *slot;
    while (e && memcmp(&e->key, &key, sizeof(key)) != 0)
        e = e->next;
    if (!e) {
        e = mem_alloc(sizeof(*e));
        e->key = key;
        e->next = *slot;
        *slot = e;
        p->n++;
    }
    if (e->n >= max)
        return -1;
    e->n++;
    return 0;
}

void httpd__peers_remove(struct httpd__peers *p, const struct httpd__address *a)
{
    struct httpd__address key = key_of(a);
    struct httpd__peer **at = &p->slot[slot_of(p, &key)];
    while (*at && memcmp(&(*at)->key, &key, sizeof(key)) != 0)
        at = &(*at)->next;
    CHECK(*at && (*at)->n > 0);
    if (--(*at)->n == 0) {
        struct httpd__peer *gone = *at;
        *at = gone->next;
        mem_free(gone);
        p->n--;
    }
}

void httpd__peers_done(struct httpd__peers *p)
{
    CHECK(p->n == 0);
    mem_free(p->slot);
    *p = (struct httpd__peers){0};
}
