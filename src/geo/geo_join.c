/* Route assembly: from the segments of a file, in whatever order and direction, to one line, or to
 * the reason why there is none. What is left over once the ends are joined is judged in
 * geo_join_side.c. */
#include "geo/geo.h"

#include <math.h>

#include "geo/internal.h"

enum {
    /* Joining compares all ends with each other: 10,000 ends take a tenth of a second a round. */
    MAX_PARTS = 5000,
    /* Nearest ends remembered of each; what is still free afterwards is looked at again in the next
       round. */
    NEAREST = 8,
    MAX_ROUNDS = 50,
};

/* Two joints this close are the same place, as far as the order in the file goes. */
#define SAME_PLACE_M 25.0
/* Ends closer than this coincide; then the order in the file decides which belong together. */
#define COINCIDE_M 0.05

#define NONE GEO__JOIN_NONE

static double apart2(const struct geo__join *j, uint32_t a, uint32_t b)
{
    struct geo_xyz d = geo__sub(j->end[a], j->end[b]);
    return geo__dot(d, d);
}

/* ---- parts -------------------------------------------------------------------------------------
 */

static bool same_points(const struct geo_track *t, const struct geo__part *a,
                        const struct geo__part *b)
{
    return a->n == b->n && memcmp(t->pt + a->first, t->pt + b->first, a->n * sizeof(*t->pt)) == 0;
}

static bool is_repeat(const struct geo__join *j, const struct geo__part *p)
{
    for (size_t i = 0; i < j->n; i++)
        if (same_points(j->in, &j->part[i], p))
            return true;
    return false;
}

static void measure(struct geo__join *j, struct geo__part *p)
{
    for (size_t i = p->first + 1; i < p->first + p->n; i++) {
        double edge = geo_distance_m(j->in->pt[i - 1], j->in->pt[i]);
        p->length_m += edge;
        p->longest_m = fmax(p->longest_m, edge);
    }
}

static int take_parts(struct geo__join *j)
{
    const struct geo_track *in = j->in;
    for (size_t s = 0; s < in->nseg; s++) {
        struct geo__part p = {.segment = s, .first = in->seg[s]};
        p.n = geo__seg_end(in, s) - p.first;
        measure(j, &p);
        if (p.length_m == 0 || is_repeat(j, &p)) {
            j->info.dropped++;
            continue;
        }
        j->end[2 * j->n] = geo_xyz_of(in->pt[p.first]);
        j->end[2 * j->n + 1] = geo_xyz_of(in->pt[p.first + p.n - 1]);
        j->part[j->n++] = p;
    }
    if (j->n == 0)
        return err_set(j->err, ERR_DATA, ERR_PERMANENT, "there is no line in it");
    for (uint32_t i = 0; i < j->n; i++) {
        j->mate[2 * i] = j->mate[2 * i + 1] = NONE;
        j->root[i] = i;
    }
    return 0;
}

/* ---- chains: parts joined end to end -----------------------------------------------------------
 */

static uint32_t root_of(struct geo__join *j, uint32_t part)
{
    while (j->root[part] != part)
        part = j->root[part] = j->root[j->root[part]];
    return part;
}

static bool joinable(struct geo__join *j, uint32_t a, uint32_t b)
{
    return j->mate[a] == NONE && j->mate[b] == NONE && root_of(j, a / 2) != root_of(j, b / 2);
}

static void join_ends(struct geo__join *j, uint32_t a, uint32_t b)
{
    j->mate[a] = b;
    j->mate[b] = a;
    j->root[root_of(j, a / 2)] = root_of(j, b / 2);
}

/* ---- the file's own order ----------------------------------------------------------------------
 */

/* Squared distance from an end to the nearest end of another part. */
static double nearest2(const struct geo__join *j, uint32_t e)
{
    double best = INFINITY;
    for (uint32_t k = 0; k < 2 * j->n; k++)
        if (k / 2 != e / 2)
            best = fmin(best, apart2(j, e, k));
    return best;
}

/* Is this joint one that a person would make? Short enough, and no other end is clearly nearer. */
static bool natural(const struct geo__join *j, uint32_t a, uint32_t b)
{
    double gap = sqrt(apart2(j, a, b));
    if (gap > j->max_gap_m)
        return false;
    double other = sqrt(fmin(nearest2(j, a), nearest2(j, b)));
    return gap <= other + SAME_PLACE_M;
}

/* Turns each part so that the sum of the gaps in file order is least. way[2 * i + o]: how part i -
 * 1 lies when part i lies o (1: turned round); o is also the end that comes first. */
static void turn_in_file_order(const struct geo__join *j, uint8_t *way, uint8_t *turned)
{
    double cost[2] = {0, 0};
    for (uint32_t i = 1; i < j->n; i++) {
        double next[2];
        for (uint32_t o = 0; o < 2; o++) {
            double keep = cost[0] + sqrt(apart2(j, 2 * i - 1, 2 * i + o));
            double turn = cost[1] + sqrt(apart2(j, 2 * i - 2, 2 * i + o));
            way[2 * i + o] = turn < keep;
            next[o] = fmin(turn, keep);
        }
        cost[0] = next[0];
        cost[1] = next[1];
    }
    turned[j->n - 1] = cost[1] < cost[0];
    for (size_t i = j->n - 1; i > 0; i--)
        turned[i - 1] = way[2 * i + turned[i]];
}

/* Joins all parts as the file has them, if that makes a line. False without memory. */
static bool join_in_file_order(struct geo__join *j)
{
    uint8_t *way = mem_try_alloc(3 * j->n);
    if (!way)
        return false;
    uint8_t *turned = way + 2 * j->n;
    turn_in_file_order(j, way, turned);
    bool all = true;
    for (uint32_t i = 1; i < j->n && all; i++)
        all = natural(j, 2 * i - 1 - turned[i - 1], 2 * i + turned[i]);
    for (uint32_t i = 1; i < j->n && all; i++)
        join_ends(j, 2 * i - 1 - turned[i - 1], 2 * i + turned[i]);
    mem_free(way);
    return true;
}

/* ---- the nearest free end ----------------------------------------------------------------------
 */

struct pair {
    double d2;
    uint32_t a, b;
};

/* Ends that coincide are joined in the order of the file: which of three lines at one point belong
 * together cannot be seen from their ends. */
static int compare_pairs(const void *x, const void *y)
{
    const struct pair *p = x, *q = y;
    if (p->d2 != q->d2)
        return p->d2 < q->d2 ? -1 : 1;
    int64_t dp = llabs((int64_t)p->a / 2 - p->b / 2), dq = llabs((int64_t)q->a / 2 - q->b / 2);
    if (dp != dq)
        return dp < dq ? -1 : 1;
    if (p->a != q->a)
        return p->a < q->a ? -1 : 1;
    return p->b < q->b ? -1 : p->b > q->b;
}

/* The nearest ends that this one could be joined with, best first. Returns how many. */
static size_t nearest_of(struct geo__join *j, uint32_t a, struct pair near[NEAREST + 1])
{
    size_t n = 0;
    for (uint32_t b = 0; b < 2 * j->n; b++) {
        if (j->mate[b] != NONE || b == a)
            continue;
        struct pair p = {.d2 = apart2(j, a, b), .a = a, .b = b};
        if (p.d2 < COINCIDE_M * COINCIDE_M)
            p.d2 = 0;
        if (p.d2 > j->max_gap_m * j->max_gap_m || !joinable(j, a, b))
            continue;
        size_t at = n;
        for (; at > 0 && compare_pairs(&p, &near[at - 1]) < 0; at--)
            near[at] = near[at - 1];
        near[at] = p;
        n = n < NEAREST ? n + 1 : NEAREST;
    }
    return n;
}

/* One round: the shortest of all candidates first. Returns whether anything was joined. */
static bool join_round(struct geo__join *j, struct pair *pairs)
{
    size_t n = 0;
    bool any = false;
    for (uint32_t a = 0; a < 2 * j->n; a++) {
        struct pair near[NEAREST + 1];
        if (j->mate[a] != NONE)
            continue;
        size_t found = nearest_of(j, a, near);
        memcpy(pairs + n, near, found * sizeof(*near));
        n += found;
    }
    qsort(pairs, n, sizeof(*pairs), compare_pairs);
    for (size_t i = 0; i < n; i++) {
        if (joinable(j, pairs[i].a, pairs[i].b)) {
            join_ends(j, pairs[i].a, pairs[i].b);
            any = true;
        }
    }
    return any;
}

static bool join_nearest(struct geo__join *j)
{
    struct pair *pairs = mem_try_alloc(2 * j->n * NEAREST * sizeof(*pairs));
    if (!pairs)
        return false;
    for (int round = 0; round < MAX_ROUNDS && join_round(j, pairs); round++)
        ;
    mem_free(pairs);
    return true;
}

/* ---- the line ----------------------------------------------------------------------------------
 */

/* Lists the chain that begins at a free end as the ends at which its parts are entered. */
static struct geo__chain walk(const struct geo__join *j, uint32_t from, uint32_t *room)
{
    struct geo__chain c = {.entry = room};
    for (uint32_t e = from; e != NONE; e = j->mate[e ^ 1]) {
        c.entry[c.n++] = e;
        c.length_m += j->part[e / 2].length_m;
    }
    return c;
}

static int longer_first(const void *x, const void *y)
{
    const struct geo__chain *a = x, *b = y;
    if (a->length_m != b->length_m)
        return a->length_m > b->length_m ? -1 : 1;
    return a->entry[0] < b->entry[0] ? -1 : 1;
}

static void list_chains(struct geo__join *j)
{
    uint32_t *room = j->order;
    for (uint32_t e = 0; e < 2 * j->n; e++) {
        if (j->mate[e] != NONE)
            continue;
        struct geo__chain c = walk(j, e, room);
        /* Each chain is met from both of its ends. */
        if ((c.entry[c.n - 1] ^ 1) < e)
            continue;
        j->chain[j->nchain++] = c;
        room += c.n;
    }
    qsort(j->chain, j->nchain, sizeof(*j->chain), longer_first);
}

/* Turns a chain so that most of its length runs as the file has it. */
static void turn_chain(const struct geo__join *j, struct geo__chain *c)
{
    double forward = 0;
    for (size_t i = 0; i < c->n; i++)
        if ((c->entry[i] & 1) == 0)
            forward += j->part[c->entry[i] / 2].length_m;
    if (2 * forward >= c->length_m)
        return;
    for (size_t i = 0, k = c->n - 1; i < k; i++, k--) {
        uint32_t swap = c->entry[i];
        c->entry[i] = c->entry[k];
        c->entry[k] = swap;
    }
    for (size_t i = 0; i < c->n; i++)
        c->entry[i] ^= 1;
}

static double joint_m(const struct geo__join *j, uint32_t entry, uint32_t next_entry)
{
    return sqrt(apart2(j, entry ^ 1, next_entry));
}

/* A ring may begin anywhere: it begins where the file does, unless that would put its seam where
 * the ends are too far apart for a ring. */
static void turn_ring(struct geo__join *j, struct geo__chain *c)
{
    size_t first = 0;
    for (size_t i = 1; i < c->n; i++)
        if (c->entry[i] / 2 < c->entry[first] / 2)
            first = i;
    if (first == 0 ||
        joint_m(j, c->entry[c->n - 1], c->entry[0]) > fmin(GEO_CLOSED_M, j->max_gap_m) ||
        joint_m(j, c->entry[first - 1], c->entry[first]) > GEO_CLOSED_M)
        return;
    uint32_t *was = j->scratch;
    memcpy(was, c->entry, c->n * sizeof(*was));
    for (size_t i = 0; i < c->n; i++)
        c->entry[i] = was[(first + i) % c->n];
}

static int add_part(const struct geo__join *j, uint32_t entry, struct geo_track *ret)
{
    const struct geo__part *p = &j->part[entry / 2];
    for (size_t i = 0; i < p->n; i++) {
        struct geo_pt at = j->in->pt[p->first + (entry & 1 ? p->n - 1 - i : i)];
        if (!geo__pt_wrap(&at))
            return geo_track_add(ret, at, NAN, false, j->err);
        if (ret->n > 0 && ret->pt[ret->n - 1].lon == at.lon && ret->pt[ret->n - 1].lat == at.lat)
            continue;
        if (geo_track_add(ret, at, NAN, false, j->err) != 0)
            return -1;
    }
    return 0;
}

static int make_line(struct geo__join *j, const struct geo__chain *c, struct geo_track *ret)
{
    struct geo_join_info *info = &j->info;
    uint32_t *rank = j->scratch; /* by part: its place among those of the line */
    memset(rank, 0, j->n * sizeof(*rank));
    for (size_t i = 0; i < c->n; i++)
        rank[c->entry[i] / 2] = 1;
    for (uint32_t i = 0, next = 0; i < j->n; i++)
        rank[i] = rank[i] ? next++ : NONE;
    info->segments = c->n;
    for (size_t i = 0; i < c->n; i++) {
        const struct geo__part *p = &j->part[c->entry[i] / 2];
        if (i > 0)
            info->largest_gap_m =
                fmax(info->largest_gap_m, joint_m(j, c->entry[i - 1], c->entry[i]));
        info->longest_edge_m = fmax(info->longest_edge_m, p->longest_m);
        info->reversed += c->entry[i] & 1;
        info->reordered += rank[c->entry[i] / 2] != i;
        if (add_part(j, c->entry[i], ret) != 0)
            return -1;
    }
    info->closed = geo_distance_m(ret->pt[0], ret->pt[ret->n - 1]) <= GEO_CLOSED_M;
    return 0;
}

/* ---- all of it ---------------------------------------------------------------------------------
 */

static bool make_room(struct geo__join *j, size_t n)
{
    j->part = mem_try_alloc(n * sizeof(*j->part));
    j->chain = mem_try_alloc(n * sizeof(*j->chain));
    j->end = mem_try_alloc(2 * n * sizeof(*j->end));
    j->mate = mem_try_alloc(2 * n * sizeof(*j->mate));
    j->root = mem_try_alloc(n * sizeof(*j->root));
    j->order = mem_try_alloc(2 * n * sizeof(*j->order));
    j->scratch = mem_try_alloc(n * sizeof(*j->scratch));
    return j->part && j->chain && j->end && j->mate && j->root && j->order && j->scratch;
}

static void join_done(struct geo__join *j)
{
    mem_free(j->part);
    mem_free(j->chain);
    mem_free(j->end);
    mem_free(j->mate);
    mem_free(j->root);
    mem_free(j->order);
    mem_free(j->scratch);
}

static int join_all(struct geo__join *j, struct geo_track *ret)
{
    if (!make_room(j, j->in->nseg))
        return geo__no_memory(j->in->n, j->err);
    if (take_parts(j) != 0)
        return -1;
    if (!join_in_file_order(j) || !join_nearest(j))
        return geo__no_memory(j->in->n, j->err);
    list_chains(j);
    turn_chain(j, &j->chain[0]);
    turn_ring(j, &j->chain[0]);
    if (make_line(j, &j->chain[0], ret) != 0)
        return -1;
    return j->nchain > 1 ? geo__join_side(j, ret) : 0;
}

int geo_join(const struct geo_track *in, double max_gap_m, struct geo_track *ret,
             struct geo_join_info *info, struct err *err)
{
    struct geo__join j = {.in = in, .max_gap_m = max_gap_m, .err = err};
    struct geo_track line = {0};
    CHECK(max_gap_m >= 0);
    if (geo_track_check(in, err) != 0)
        return -1;
    if (in->nseg > MAX_PARTS)
        return err_set(err, ERR_DATA, ERR_PERMANENT,
                       "%zu segments; a route of at most %d can be put together", in->nseg,
                       MAX_PARTS);
    if (in->n == 0)
        return err_set(err, ERR_DATA, ERR_PERMANENT, "there is no line in it");
    int rc = join_all(&j, &line);
    join_done(&j);
    if (rc != 0) {
        geo_track_done(&line);
        return -1;
    }
    *ret = line;
    if (info)
        *info = j.info;
    return 0;
}
