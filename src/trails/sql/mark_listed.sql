-- This route's past activities have been listed.
-- $1 text route id
-- $2 bigint revision
-- $3 text note
INSERT INTO route_state (route_id, revision, epoch, candidates, note)
SELECT r.id, r.revision, e.epoch,
       coalesce((SELECT sum(cardinality(activity_ids)) FROM route_pages WHERE route_id = $1), 0), $3
FROM routes r, route_epoch e WHERE r.id = $1 AND r.revision = $2
ON CONFLICT (route_id) DO UPDATE SET revision = excluded.revision, epoch = excluded.epoch, candidates = excluded.candidates,
    note = excluded.note, listed_at = now()
