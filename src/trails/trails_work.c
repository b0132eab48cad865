/* Worker threads. Touches nothing but its item. */
#include "trails/work.h"

static int prepare_one(struct trails_prepare_item *it)
{
    struct geo_track line = {0};
    int rc = -1;
    if (!it->wkb.p) {
        rc = err_set(&it->err, ERR_DATA, ERR_PERMANENT, "route %s has no track", it->id);
    } else if (geo_ewkb_read(it->wkb, false, &line, &it->err) == 0) {
        it->geo = geo_route_new(&line, it->tolerance_m, &it->err);
        rc = it->geo ? 0 : -1;
    }
    geo_track_done(&line);
    return rc;
}

int trails__prepare(struct trails_prepare *p, struct err *err)
{
    for (size_t i = 0; i < p->n; i++) {
        struct trails_prepare_item *it = &p->item[i];
        /* A route that cannot be prepared keeps its reason; the others go on. Want of memory is
         * another matter. */
        if (prepare_one(it) != 0 && it->err.class != ERR_PERMANENT) {
            *err = it->err;
            return err_wrap(err, "preparing route %s: ", it->id);
        }
    }
    if (p->want_chunks && p->item[0].geo) {
        return geo_route_chunks(p->item[0].geo, TRAILS_CHUNK_M, &p->chunks, err);
    }
    return 0;
}

void trails__prepare_done(struct trails_prepare *p)
{
    for (size_t i = 0; i < p->n; i++) {
        geo_route_free(p->item[i].geo);
    }
    geo_track_done(&p->chunks);
    p->n = 0;
}

static void add_row(struct trails_match *m, struct trails_rows *rows, size_t activity, size_t route,
                    struct geo_interval iv, const struct geo_pt *pt, size_t n)
{
    size_t offset = m->wkb.n;
    if (n > 0) {
        geo_ewkb_line(pt, n, &m->wkb);
    }
    *vec_push(rows) = (struct trails_row){activity, route, iv.a, iv.b, offset, m->wkb.n - offset};
}

static void add_match(struct trails_match *m, size_t activity, size_t route,
                      const struct geo_match *found)
{
    const struct geo_pt *lattice;
    const double *measure;
    (void)geo_route_lattice(m->route[route], &lattice, &measure);
    for (size_t i = 0; i < found->n; i++) {
        const struct geo_section *s = &found->section[i];
        add_row(m, &m->sections, activity, route, s->iv, lattice + s->first,
                s->last - s->first + 1);
    }
    const struct geo_track *t = &found->pieces;
    for (size_t i = 0; i < t->nseg; i++) {
        size_t first = t->seg[i], end = i + 1 < t->nseg ? t->seg[i + 1] : t->n;
        if (end - first >= 2) {
            add_row(m, &m->pieces, activity, route, (struct geo_interval){0, 0}, t->pt + first,
                    end - first);
        }
    }
    if (found->n > 0 || t->n > 0) {
        add_row(m, &m->relevant, activity, route, (struct geo_interval){0, 0}, NULL, 0);
    }
}

static int match_activity(struct trails_match *m, const struct geo_index *index, size_t *near,
                          size_t activity, struct err *err)
{
    struct trails_activity *a = &m->activity[activity];
    struct geo_track track = {0};
    struct geo_activity *prepared = NULL;
    int rc = 0;
    if (!a->wkb.p) {
        a->note = "no track";
    } else if (geo_ewkb_read(a->wkb, a->is_best, &track, err) != 0 ||
               !(prepared = geo_activity_new(&track, err))) {
        rc = -1;
    }
    size_t n = prepared ? geo_index_query(index, prepared, near) : 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct geo_match found = {0};
        rc = geo_match(m->route[near[i]], prepared, &found, err);
        if (rc == 0) {
            add_match(m, activity, near[i], &found);
        }
        geo_match_done(&found);
    }
    geo_activity_free(prepared);
    geo_track_done(&track);
    if (rc != 0 && err->class == ERR_PERMANENT) {
        a->note = arena_strdup(m->notes, err->msg); /* this one earns nothing; the others go on */
        rc = 0;
    }
    return rc;
}

int trails__match(struct trails_match *m, struct err *err)
{
    FAULT_POINT("computing");
    m->notes = arena_new(0);
    size_t *near = arena_new_array(m->notes, size_t, m->nroutes + 1);
    struct geo_index *index = geo_index_new(m->route, m->nroutes, err);
    int rc = index ? 0 : -1;
    for (size_t i = 0; i < m->nactivities && rc == 0; i++) {
        if (m->activity[i].present) {
            rc = match_activity(m, index, near, i, err);
        }
    }
    geo_index_free(index);
    return rc;
}

void trails__match_done(struct trails_match *m)
{
    vec_done(&m->sections);
    vec_done(&m->pieces);
    vec_done(&m->relevant);
    buf_done(&m->wkb);
    m->notes = arena_free(m->notes);
}
