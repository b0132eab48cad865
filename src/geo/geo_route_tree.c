/* Boxes over the matching line: an implicit binary tree over runs of GEO__LEAF_EDGES edges in route
 * order. A line's neighbours are neighbours on the ground, so the order itself is the hierarchy and
 * nothing need be sorted. */
#include "geo/internal.h"

#include <math.h>

/* A float of 6.4e6 m is off by at most 0.25 m: growing by a metre keeps every box on the safe side.
 */
#define FLOAT_SLACK_M 1.0

static struct geo__leaf to_leaf(const struct geo__box *b)
{
    struct geo__leaf l;
    for (int k = 0; k < 3; k++) {
        l.lo[k] = (float)(b->lo[k] - FLOAT_SLACK_M);
        l.hi[k] = (float)(b->hi[k] + FLOAT_SLACK_M);
    }
    return l;
}

static struct geo__leaf join(const struct geo__leaf *a, const struct geo__leaf *b)
{
    struct geo__leaf l;
    for (int k = 0; k < 3; k++) {
        l.lo[k] = fminf(a->lo[k], b->lo[k]);
        l.hi[k] = fmaxf(a->hi[k], b->hi[k]);
    }
    return l;
}

static bool meets(const struct geo__leaf *a, const struct geo__leaf *b)
{
    return a->lo[0] <= b->hi[0] && b->lo[0] <= a->hi[0] && a->lo[1] <= b->hi[1] &&
           b->lo[1] <= a->hi[1] && a->lo[2] <= b->hi[2] && b->lo[2] <= a->hi[2];
}

int geo__route_tree(struct geo_route *r, struct err *err)
{
    const size_t edges = r->nnode - 1;
    size_t width = (edges + GEO__LEAF_EDGES - 1) / GEO__LEAF_EDGES, total = 0;
    r->levels = 0;
    for (size_t w = width;; w = (w + 1) / 2) {
        r->level[r->levels++] = total;
        total += w;
        if (w == 1)
            break;
    }
    r->level[r->levels] = total;
    r->tree = mem_try_alloc(total * sizeof(*r->tree));
    if (r->tree == NULL)
        return geo__no_memory(total, err);
    for (size_t i = 0; i < width; i++) {
        struct geo__box b = geo__box_empty();
        const size_t first = i * GEO__LEAF_EDGES;
        for (size_t e = first; e <= first + GEO__LEAF_EDGES && e < r->nnode; e++)
            geo__box_add(&b, r->node[e].p);
        r->tree[i] = to_leaf(&b);
    }
    for (unsigned l = 1; l < r->levels; l++) {
        const size_t below = r->level[l - 1], here = r->level[l], end = r->level[l + 1];
        for (size_t i = 0; here + i < end; i++) {
            const size_t left = below + 2 * i, right = left + 1 < here ? left + 1 : left;
            r->tree[here + i] = join(&r->tree[left], &r->tree[right]);
        }
    }
    return 0;
}

/* A walk over the leaves that meet a box, left to right. The stack holds at most one node a level
 * and the one in hand. */
struct walk {
    const struct geo_route *r;
    struct geo__leaf box;
    uint32_t at[GEO__LEVELS + 2];
    uint8_t level[GEO__LEVELS + 2];
    unsigned top;
};

static void walk_init(struct walk *w, const struct geo_route *r, const struct geo__box *box)
{
    w->r = r;
    w->box = to_leaf(box);
    w->top = 1;
    w->at[0] = 0;
    w->level[0] = (uint8_t)(r->levels - 1);
}

static bool walk_next(struct walk *w, size_t *leaf)
{
    const struct geo_route *r = w->r;
    while (w->top > 0) {
        w->top--;
        const unsigned l = w->level[w->top];
        const size_t i = w->at[w->top];
        if (!meets(&r->tree[r->level[l] + i], &w->box))
            continue;
        if (l == 0) {
            *leaf = i;
            return true;
        }
        const size_t width = r->level[l] - r->level[l - 1];
        if (2 * i + 1 < width) {
            w->at[w->top] = (uint32_t)(2 * i + 1);
            w->level[w->top++] = (uint8_t)(l - 1);
        }
        w->at[w->top] = (uint32_t)(2 * i);
        w->level[w->top++] = (uint8_t)(l - 1);
    }
    return false;
}

bool geo__route_meets(const struct geo_route *r, const struct geo__box *box)
{
    struct walk w;
    size_t leaf;
    walk_init(&w, r, box);
    return walk_next(&w, &leaf);
}

static bool edge_meets(const struct geo__node *n, const struct geo__box *b)
{
    const struct geo_xyz p = n[0].p, q = n[1].p;
    return !((p.x < b->lo[0] && q.x < b->lo[0]) || (p.x > b->hi[0] && q.x > b->hi[0]) ||
             (p.y < b->lo[1] && q.y < b->lo[1]) || (p.y > b->hi[1] && q.y > b->hi[1]) ||
             (p.z < b->lo[2] && q.z < b->lo[2]) || (p.z > b->hi[2] && q.z > b->hi[2]));
}

static bool push_edge(struct geo__ranges *out, size_t e)
{
    if (out->n > 0 && out->v[out->n - 1].end == e) {
        out->v[out->n - 1].end++;
        return true;
    }
    struct geo__range *v = geo__grow(out->v, &out->cap, out->n + 1, sizeof(*v));
    if (v == NULL)
        return false;
    out->v = v;
    out->v[out->n++] = (struct geo__range){(uint32_t)e, (uint32_t)e + 1};
    return true;
}

bool geo__route_edges(const struct geo_route *r, const struct geo__box *box,
                      struct geo__ranges *out)
{
    struct walk w;
    size_t leaf;
    out->n = 0;
    walk_init(&w, r, box);
    while (walk_next(&w, &leaf)) {
        const size_t first = leaf * GEO__LEAF_EDGES;
        const size_t end =
            first + GEO__LEAF_EDGES < r->nnode - 1 ? first + GEO__LEAF_EDGES : r->nnode - 1;
        for (size_t e = first; e < end; e++)
            if (edge_meets(&r->node[e], box) && !push_edge(out, e))
                return false;
    }
    return true;
}
