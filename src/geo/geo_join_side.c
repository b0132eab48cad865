/* Route assembly, second half: what to make of the segments that did not fit into the line. */
#include "geo/geo.h"

#include <math.h>

#include "geo/internal.h"

enum { BLOCK_EDGES = 64 };

/* A line leaves or meets another where they are this close. */
#define TOUCH_M 50.0
/* A piece with a loose end this near the end of the line is its continuation rather than a branch.
 */
#define NEAR_GAP_M 1000.0
/* Above this part of the line's length its variants are no longer a detail to be left out quietly.
 */
#define VARIANTS_MAX 0.1

enum touch {
    TOUCH_NONE,
    TOUCH_INSIDE, /* inside a segment of the line */
    TOUCH_JOINT,  /* where two of its segments meet, or at its end */
};

/* The line in ECEF, with a box round every 64 edges. */
struct shape {
    struct geo_xyz *at;
    size_t n;
    struct geo__box *box;
    size_t nbox;
};

static bool shape_init(struct shape *s, const struct geo_track *line)
{
    *s = (struct shape){.n = line->n, .nbox = (line->n + BLOCK_EDGES - 1) / BLOCK_EDGES};
    s->at = mem_try_alloc(s->n * sizeof(*s->at));
    s->box = mem_try_alloc(s->nbox * sizeof(*s->box));
    if (!s->at || !s->box)
        return false;
    for (size_t i = 0; i < s->n; i++)
        s->at[i] = geo_xyz_of(line->pt[i]);
    for (size_t b = 0; b < s->nbox; b++) {
        struct geo__box box = geo__box_empty();
        for (size_t i = b * BLOCK_EDGES; i <= (b + 1) * BLOCK_EDGES && i < s->n; i++)
            geo__box_add(&box, s->at[i]);
        s->box[b] = geo__box_grow(box, TOUCH_M);
    }
    return true;
}

static void shape_done(struct shape *s)
{
    mem_free(s->at);
    mem_free(s->box);
}

static bool inside(const struct geo__box *b, struct geo_xyz p)
{
    return p.x >= b->lo[0] && p.x <= b->hi[0] && p.y >= b->lo[1] && p.y <= b->hi[1] &&
           p.z >= b->lo[2] && p.z <= b->hi[2];
}

/* Squared distance from a point to the chord from a to b. */
static double to_chord2(struct geo_xyz p, struct geo_xyz a, struct geo_xyz b)
{
    struct geo_xyz ab = geo__sub(b, a), ap = geo__sub(p, a);
    double len2 = geo__dot(ab, ab), u = len2 > 0 ? geo__dot(ap, ab) / len2 : 0;
    struct geo_xyz d = geo__sub(p, geo__lerp(a, b, fmin(1, fmax(0, u))));
    return geo__dot(d, d);
}

static bool near_line(const struct shape *s, struct geo_xyz p)
{
    for (size_t b = 0; b < s->nbox; b++) {
        if (!inside(&s->box[b], p))
            continue;
        for (size_t i = b * BLOCK_EDGES; i < (b + 1) * BLOCK_EDGES && i + 1 < s->n; i++)
            if (to_chord2(p, s->at[i], s->at[i + 1]) <= TOUCH_M * TOUCH_M)
                return true;
    }
    return false;
}

static enum touch touch_of(const struct geo__join *j, const struct shape *s, uint32_t e)
{
    const struct geo__chain *line = &j->chain[0];
    for (size_t i = 0; i < line->n; i++)
        for (uint32_t side = 0; side < 2; side++)
            if (geo__chord_m(j->end[e], j->end[line->entry[i] ^ side]) <= TOUCH_M)
                return TOUCH_JOINT;
    return near_line(s, j->end[e]) ? TOUCH_INSIDE : TOUCH_NONE;
}

/* ---- what to say -------------------------------------------------------------------------------
 */

static struct geo_pt position(const struct geo__join *j, uint32_t e)
{
    const struct geo__part *p = &j->part[e / 2];
    return j->in->pt[e & 1 ? p->first + p->n - 1 : p->first];
}

/* Segments are counted from 1 in messages. */
static size_t number(const struct geo__join *j, uint32_t e)
{
    return j->part[e / 2].segment + 1;
}

struct gap {
    uint32_t from, to;
    double length_m;
};

/* The shortest of the four between the ends of the line and of another chain. */
static struct gap gap_between(const struct geo__join *j, const uint32_t line_end[2],
                              const uint32_t other_end[2])
{
    struct gap best = {.length_m = INFINITY};
    for (size_t i = 0; i < 4; i++) {
        struct gap g = {.from = line_end[i / 2], .to = other_end[i % 2]};
        g.length_m = geo_distance_m(position(j, g.from), position(j, g.to));
        if (g.length_m < best.length_m)
            best = g;
    }
    return best;
}

static int fail_gap(const struct geo__join *j, const struct gap *g)
{
    struct geo_pt p = position(j, g->from), q = position(j, g->to);
    return err_set(
        j->err, ERR_DATA, ERR_PERMANENT,
        "gap of %.0f m between %.5f,%.5f (segment %zu) and %.5f,%.5f (segment %zu): import "
        "the parts as routes of their own or raise --max-gap (now %.0f m)",
        g->length_m, p.lon, p.lat, number(j, g->from), q.lon, q.lat, number(j, g->to),
        j->max_gap_m);
}

static int fail_branch(const struct geo__join *j, const struct geo__chain *c, uint32_t e)
{
    struct geo_pt p = position(j, e);
    return err_set(j->err, ERR_DATA, ERR_PERMANENT,
                   "lines branch at %.5f,%.5f: a piece of %.1f km (segment %zu) is neither part of "
                   "the line nor plainly a variant; import the variants as routes of their own",
                   p.lon, p.lat, c->length_m / 1000, number(j, e));
}

/* A chain is left out only if it begins and ends on the line, and not at joints both times: of two
 * ways between the same two joints neither is plainly the main one. */
static int judge(struct geo__join *j, const struct shape *s, const struct geo__chain *c)
{
    const struct geo__chain *line = &j->chain[0];
    const uint32_t end[2] = {c->entry[0], c->entry[c->n - 1] ^ 1};
    const uint32_t line_end[2] = {line->entry[0], line->entry[line->n - 1] ^ 1};
    enum touch touch[2] = {touch_of(j, s, end[0]), touch_of(j, s, end[1])};
    struct gap gap = gap_between(j, line_end, end);
    bool loose = touch[0] == TOUCH_NONE || touch[1] == TOUCH_NONE;
    if ((touch[0] == TOUCH_NONE && touch[1] == TOUCH_NONE) || (loose && gap.length_m < NEAR_GAP_M))
        return fail_gap(j, &gap);
    if (loose || (touch[0] == TOUCH_JOINT && touch[1] == TOUCH_JOINT))
        return fail_branch(j, c, end[touch[0] == TOUCH_NONE]);
    j->info.variants += c->n;
    j->info.variants_m += c->length_m;
    if (j->info.variants_m > VARIANTS_MAX * line->length_m)
        return fail_branch(j, c, end[0]);
    return 0;
}

int geo__join_side(struct geo__join *j, const struct geo_track *line)
{
    struct shape s;
    int rc = shape_init(&s, line) ? 0 : geo__no_memory(line->n, j->err);
    /* Longest first: its gap is the one to name. */
    for (size_t i = 1; i < j->nchain && rc == 0; i++)
        rc = judge(j, &s, &j->chain[i]);
    shape_done(&s);
    return rc;
}
