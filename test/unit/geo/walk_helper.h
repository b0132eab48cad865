/* For the tests of routes and the matcher: lines drawn in metres east and north of an origin. */
#pragma once

#include "unit/geo/track_helper.h"

struct pen {
    struct geo_pt origin;
    double x, y;   /* where it is */
    double step_m; /* a point at least this often; 0: corners only */
    double noise_m;
    uint32_t seed;
    struct geo_track t;
};

static const struct geo_pt alps = {7.5, 46.2};

static inline struct geo_pt place(struct geo_pt origin, double x, double y)
{
    const double lon = origin.lon * M_PI / 180, lat = origin.lat * M_PI / 180;
    struct geo_xyz p = geo_xyz_of(origin);
    p.x += -sin(lon) * x - sin(lat) * cos(lon) * y;
    p.y += cos(lon) * x - sin(lat) * sin(lon) * y;
    p.z += cos(lat) * y;
    return geo_pt_of(p);
}

/* Even in [-1, 1), the same on every machine. */
static inline double pen_random(struct pen *p)
{
    p->seed = p->seed * 1664525u + 1013904223u;
    return (double)(p->seed >> 8) / (1 << 23) - 1;
}

static inline void pen_point(struct pen *p, bool new_segment)
{
    struct err err;
    const double dx = p->noise_m * pen_random(p), dy = p->noise_m * pen_random(p);
    assert_int_equal(
        geo_track_add(&p->t, place(p->origin, p->x + dx, p->y + dy), NAN, new_segment, &err), 0);
}

static inline struct pen pen_at(struct geo_pt origin, double x, double y, double step_m,
                                double noise_m)
{
    struct pen p = {origin, x, y, step_m, noise_m, 1, {0}};
    pen_point(&p, true);
    return p;
}

static inline void pen_to(struct pen *p, double x, double y)
{
    const double x0 = p->x, y0 = p->y, length = hypot(x - x0, y - y0);
    const int n = p->step_m > 0 && length > p->step_m ? (int)ceil(length / p->step_m) : 1;
    for (int i = 1; i <= n; i++) {
        p->x = x0 + (x - x0) * i / n;
        p->y = y0 + (y - y0) * i / n;
        pen_point(p, false);
    }
}

static inline void pen_lift_to(struct pen *p, double x, double y)
{
    p->x = x;
    p->y = y;
    pen_point(p, true);
}

/* Round a centre, from angle a to b in radians. */
static inline void pen_arc(struct pen *p, double cx, double cy, double radius, double a, double b)
{
    const int n = (int)ceil(fabs(b - a) * radius / 20);
    for (int i = 0; i <= n; i++) {
        const double at = a + (b - a) * i / n;
        pen_to(p, cx + radius * cos(at), cy + radius * sin(at));
    }
}

static inline struct geo_route *route_of(struct pen *p, double tolerance_m)
{
    struct err err;
    struct geo_route *r = geo_route_new(&p->t, tolerance_m, &err);
    if (r == NULL)
        fail_msg("%s", err.msg);
    geo_track_done(&p->t);
    return r;
}

static inline struct geo_match match_track(const struct geo_route *r, const struct geo_track *t)
{
    struct err err;
    struct geo_match m = {.section = NULL};
    struct geo_activity *a = geo_activity_new(t, &err);
    if (a == NULL || geo_match(r, a, &m, &err) < 0)
        fail_msg("%s", err.msg);
    geo_activity_free(a);
    return m;
}

/* Matches and throws the track away. */
static inline struct geo_match match_of(const struct geo_route *r, struct pen *p)
{
    const struct geo_match m = match_track(r, &p->t);
    geo_track_done(&p->t);
    return m;
}

static inline double covered_m(const struct geo_match *m)
{
    double sum = 0;
    for (size_t i = 0; i < m->n; i++)
        sum += m->section[i].iv.b - m->section[i].iv.a;
    return sum;
}

/* Exactly these sections, ends within so many metres; then frees. */
static inline void assert_sections(struct geo_match *m, const struct geo_interval *want, size_t n,
                                   double within)
{
    if (m->n != n)
        fail_msg("%zu sections instead of %zu, the first from %g to %g", m->n, n,
                 m->n > 0 ? m->section[0].iv.a : NAN, m->n > 0 ? m->section[0].iv.b : NAN);
    for (size_t i = 0; i < n; i++) {
        assert_near(m->section[i].iv.a, want[i].a, within);
        assert_near(m->section[i].iv.b, want[i].b, within);
    }
    geo_match_done(m);
}
