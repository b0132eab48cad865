-- Whoever changes an athlete's credit holds the athlete: sums are never made from half of the sections. Most activities
-- of a history earn nothing and never did; their batches need not wait for each other. An activity that was never
-- matched and has no sections cannot get any from somebody else meanwhile: pages list only what was matched, and the
-- epoch keeps new lists off.
-- $1 bigint[] activity ids
-- $2 bigint[] those of them that earn something now
SELECT h.id FROM athletes h
WHERE h.id IN (
    SELECT a.athlete_id FROM activities a
    WHERE a.id = ANY ($1) AND (a.id = ANY ($2)
        OR EXISTS (SELECT FROM activity_state s WHERE s.activity_id = a.id)
        OR EXISTS (SELECT FROM route_sections s WHERE s.activity_id = a.id)))
ORDER BY h.id FOR NO KEY UPDATE
