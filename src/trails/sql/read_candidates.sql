-- Routes that may lie near any of these activities, by the spatial index.
-- $1 bigint[] activity ids
-- $2 float8 reach in metres
SELECT DISTINCT r.id, r.revision
FROM activities a JOIN routes r ON r.track && _ST_Expand(a.summary_track, $2)
WHERE a.id = ANY ($1)
ORDER BY r.id
