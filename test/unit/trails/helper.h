/* For the tests of trails/. */
#pragma once

#include <math.h>

#include "trails/internal.h"
#include "unit/base/helper.h"

/* n points along a parallel; segment of its own. */
static inline void add_line(struct geo_track *t, double lon, double lat, double step, int n)
{
    struct err err;
    for (int i = 0; i < n; i++) {
        const struct geo_pt p = {lon + step * i, lat};
        assert_int_equal(geo_track_add(t, p, NAN, i == 0, &err), 0);
    }
}

static inline struct geo_route *route_of(double lon, double lat, double step, int n)
{
    struct geo_track t = {0};
    struct err err;
    add_line(&t, lon, lat, step, n);
    struct geo_route *r = geo_route_new(&t, 40, &err);
    assert_non_null(r);
    geo_track_done(&t);
    return r;
}

static inline void add_wkb(struct buf *out, double lon, double lat, double step, int n)
{
    struct geo_track t = {0};
    add_line(&t, lon, lat, step, n);
    geo_ewkb_line(t.pt, t.n, out);
    geo_track_done(&t);
}
