#include "store/store.h"

unsigned store_add_activity(struct db_unit *u, const struct store_activity *a)
{
    db_add(u, &SQL_store_athlete_ensure);
    db_p_i64(u, a->athlete_id);
    unsigned call = u->n;
    db_add(u, &SQL_store_activity_put);
    db_p_i64(u, a->id);
    db_p_i64(u, a->athlete_id);
    db_p_text(u, a->name);
    db_p_text(u, a->type);
    db_p_text(u, a->external_id);
    db_p_f64(u, a->distance_m);
    if (a->elapsed_s < 0) {
        db_p_null(u);
    } else {
        db_p_i64(u, a->elapsed_s);
    }
    db_p_time_us(u, a->start_us);
    db_p_bytes(u, a->summary.p, a->summary.n);
    db_p_bytes(u, a->track.p, a->track.n);
    db_p_text(u, a->origin);
    return call;
}

void store_add_route(struct db_unit *u, const struct store_route *r)
{
    db_add(u, &SQL_store_route_put);
    db_p_text(u, r->id);
    db_p_text(u, r->name);
    db_p_text(u, r->description);
    db_p_f64(u, r->tolerance_m);
    db_p_bytes(u, r->track.p, r->track.n);
}
