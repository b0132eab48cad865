-- Whoever writes an athlete's credit holds the athlete: sums are never made from half of the sections.
-- $1 bigint[] activity ids
SELECT h.id FROM athletes h
WHERE h.id IN (SELECT athlete_id FROM activities WHERE id = ANY ($1))
ORDER BY h.id FOR NO KEY UPDATE
