/* The metric frame: positions as ECEF coordinates on the WGS 84 ellipsoid. Straight chords of at
 * most 2 km stand for the ground: they lie at most c^2 / 8R = 8 cm below it, and there is no zone,
 * seam or pole where anything changes. */
#include "geo/internal.h"

#include <math.h>

#define WGS84_A  6378137.0
#define WGS84_F  (1 / 298.257223563)
#define WGS84_E2 (WGS84_F * (2 - WGS84_F))
#define DEG      (M_PI / 180)

/* Any radius of curvature of the ellipsoid is within 0.7 % of this; it only scales the correction
 * from chord to arc, which is itself below 3e-6 for the chords it is applied to. */
#define MEAN_RADIUS_M 6371008.8
#define ARC_CHORD_M   50000.0

struct geo_xyz geo_xyz_of(struct geo_pt p)
{
    double slat, clat, slon, clon;
    sincos(p.lat * DEG, &slat, &clat);
    sincos(p.lon * DEG, &slon, &clon);
    const double n = WGS84_A / sqrt(1 - WGS84_E2 * slat * slat);
    return (struct geo_xyz){n * clat * clon, n * clat * slon, n * (1 - WGS84_E2) * slat};
}

/* Bowring (1976), one step: below 1e-11 degrees for points within kilometres of the ellipsoid, and
 * points here are at most the sag of a chord off it. */
struct geo_pt geo_pt_of(struct geo_xyz p)
{
    const double b = WGS84_A * (1 - WGS84_F), r = hypot(p.x, p.y);
    double s, c;
    sincos(atan2(p.z * WGS84_A, r * b), &s, &c);
    const double ep2 = WGS84_E2 / (1 - WGS84_E2);
    const double lat = atan2(p.z + ep2 * b * s * s * s, r - WGS84_E2 * WGS84_A * c * c * c);
    return (struct geo_pt){.lon = atan2(p.y, p.x) / DEG, .lat = lat / DEG};
}

double geo__chord_m(struct geo_xyz a, struct geo_xyz b)
{
    return sqrt(geo__dot(geo__sub(b, a), geo__sub(b, a)));
}

double geo__arc_m(double chord_m)
{
    const double half = chord_m / (2 * MEAN_RADIUS_M);
    return chord_m * (1 + half * half / 6);
}

/* Halves the way over the surface until the pieces are short; the depth is bounded, since half of
 * any chord's arc is at most 20,004 km / 2^depth, but for exactly opposite points, whose middle is
 * undefined. */
static double surface_m(struct geo_xyz a, struct geo_xyz b, int depth)
{
    const double chord = geo__chord_m(a, b);
    if (chord <= ARC_CHORD_M || depth == 0)
        return geo__arc_m(chord);
    const struct geo_xyz mid = geo_xyz_of(geo_pt_of(geo__lerp(a, b, 0.5)));
    return surface_m(a, mid, depth - 1) + surface_m(mid, b, depth - 1);
}

double geo_distance_m(struct geo_pt a, struct geo_pt b)
{
    return surface_m(geo_xyz_of(a), geo_xyz_of(b), 10);
}

struct geo_pt geo__pt_lerp(struct geo_pt a, struct geo_pt b, double u)
{
    double dlon = b.lon - a.lon;
    if (dlon > 180)
        dlon -= 360;
    else if (dlon < -180)
        dlon += 360;
    struct geo_pt p = {.lon = a.lon + dlon * u, .lat = a.lat + (b.lat - a.lat) * u};
    if (p.lon > 180)
        p.lon -= 360;
    else if (p.lon < -180)
        p.lon += 360;
    return p;
}

struct geo__box geo__box_empty(void)
{
    return (struct geo__box){{INFINITY, INFINITY, INFINITY}, {-INFINITY, -INFINITY, -INFINITY}};
}

void geo__box_add(struct geo__box *b, struct geo_xyz p)
{
    const double v[3] = {p.x, p.y, p.z};
    for (int k = 0; k < 3; k++) {
        b->lo[k] = fmin(b->lo[k], v[k]);
        b->hi[k] = fmax(b->hi[k], v[k]);
    }
}

struct geo__box geo__box_union(struct geo__box a, struct geo__box b)
{
    for (int k = 0; k < 3; k++) {
        a.lo[k] = fmin(a.lo[k], b.lo[k]);
        a.hi[k] = fmax(a.hi[k], b.hi[k]);
    }
    return a;
}

struct geo__box geo__box_grow(struct geo__box b, double by_m)
{
    for (int k = 0; k < 3; k++) {
        b.lo[k] -= by_m;
        b.hi[k] += by_m;
    }
    return b;
}

/* Beyond this latitude a degree of longitude is too short to reckon with. */
#define POLAR_DEG 85.0
/* Shortest degree of latitude (at the equator) and the degree of longitude there, in metres,
 * rounded down. */
#define LAT_DEGREE_M 110570.0
#define LON_DEGREE_M 111310.0

struct geo__degrees geo__degrees_of(const struct geo_pt *pt, size_t n, double edge_m,
                                    double margin_m)
{
    struct geo__degrees d = {INFINITY, INFINITY, -INFINITY, -INFINITY};
    bool seam = false;
    for (size_t i = 0; i < n; i++) {
        d.west = fmin(d.west, pt[i].lon);
        d.east = fmax(d.east, pt[i].lon);
        d.south = fmin(d.south, pt[i].lat);
        d.north = fmax(d.north, pt[i].lat);
        seam = seam || (i > 0 && fabs(pt[i].lon - pt[i - 1].lon) > 180);
    }
    /* An edge of length c bulges at most c^2 tan(lat) / 8R polewards of its ends. */
    const double top = fmax(fabs(d.south), fabs(d.north));
    const double bulge = edge_m * edge_m * tan(fmin(top, POLAR_DEG) * DEG) / (8 * MEAN_RADIUS_M);
    const double lat = (margin_m + bulge) / LAT_DEGREE_M;
    d.south -= lat;
    d.north += lat;
    const double lon = margin_m / (LON_DEGREE_M * cos(fmin(top + lat, POLAR_DEG) * DEG));
    d.west -= lon;
    d.east += lon;
    if (seam || top + lat > POLAR_DEG || d.west < -180 || d.east > 180) {
        d.west = -INFINITY;
        d.east = INFINITY;
    }
    return d;
}

void *geo__grow(void *p, size_t *cap, size_t want, size_t item)
{
    if (want <= *cap && p != NULL)
        return p;
    size_t room = *cap < 16 ? 16 : *cap * 2;
    if (room < want)
        room = want;
    void *grown = room > SIZE_MAX / 2 / item ? NULL : mem_try_alloc(room * item);
    if (grown == NULL)
        return NULL;
    if (p != NULL) {
        memcpy(grown, p, *cap * item);
        mem_free(p);
    }
    *cap = room;
    return grown;
}
