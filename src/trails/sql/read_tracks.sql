-- The best geometry of these activities, in the order given, until their sizes add up to the limit (at least one). An
-- activity that is gone has a row of NULLs.
-- $1 bigint[] activity ids
-- $2 bigint limit in bytes
WITH wanted AS (
    SELECT u.id, u.place, a.id IS NOT NULL AS present, a.athlete_id, a.revision, coalesce(t.track, a.summary_track) AS track,
           t.track IS NOT NULL AS is_best
    FROM unnest($1) WITH ORDINALITY u(id, place)
    LEFT JOIN activities a ON a.id = u.id
    LEFT JOIN activity_tracks t ON t.activity_id = a.id
), sized AS (
    SELECT w.*, coalesce(sum(pg_column_size(w.track)) OVER (ORDER BY w.place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
    FROM wanted w
)
SELECT id, present, coalesce(athlete_id, 0), coalesce(revision, 0), is_best, ST_AsEWKB(track::geometry)
FROM sized WHERE before < $2 ORDER BY place
