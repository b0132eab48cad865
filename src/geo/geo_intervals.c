/* Sets of the measure: sorted, disjoint, non-empty intervals. */
#include "geo/internal.h"

static int by_start(const void *x, const void *y)
{
    const struct geo_interval *a = x, *b = y;
    if (a->a != b->a)
        return a->a < b->a ? -1 : 1;
    return (a->b > b->b) - (a->b < b->b);
}

size_t geo_intervals_union(struct geo_interval *v, size_t n)
{
    size_t real = 0, kept = 0;
    for (size_t i = 0; i < n; i++)
        if (v[i].a < v[i].b) /* false for NaN, which qsort must not see */
            v[real++] = v[i];
    if (real > 1)
        qsort(v, real, sizeof(*v), by_start);
    for (size_t i = 0; i < real; i++) {
        if (kept == 0 || v[i].a > v[kept - 1].b)
            v[kept++] = v[i];
        else if (v[i].b > v[kept - 1].b)
            v[kept - 1].b = v[i].b;
    }
    return kept;
}

double geo_intervals_length(const struct geo_interval *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i].b - v[i].a;
    return sum;
}

size_t geo_intervals_gaps(const struct geo_interval *v, size_t n, double length,
                          struct geo_interval *out)
{
    size_t gaps = 0;
    double at = 0;
    for (size_t i = 0; i < n && at < length; i++) {
        const double start = v[i].a < length ? v[i].a : length;
        if (start > at)
            out[gaps++] = (struct geo_interval){at, start};
        if (v[i].b > at)
            at = v[i].b;
    }
    if (at < length)
        out[gaps++] = (struct geo_interval){at, length};
    return gaps;
}
