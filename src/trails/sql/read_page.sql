-- The tracks of one page of a new route; none when the page was done or its route changed since. Rows as read_tracks.
-- $1 text route id
-- $2 integer page
-- $3 bigint limit in bytes
WITH wanted AS (
    SELECT a.id, a.athlete_id, a.revision, coalesce(t.track, a.summary_track) AS track, t.track IS NOT NULL AS is_best
    FROM route_pages p
    JOIN routes r ON r.id = p.route_id AND r.revision = p.revision
    JOIN activities a ON a.id = ANY (p.activity_ids)
    LEFT JOIN activity_tracks t ON t.activity_id = a.id
    WHERE p.route_id = $1 AND p.page = $2
), sized AS (
    SELECT w.*, coalesce(sum(pg_column_size(w.track)) OVER (ORDER BY w.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
    FROM wanted w
)
SELECT id, true, athlete_id, revision, is_best, ST_AsEWKB(track::geometry) FROM sized WHERE before < $3 ORDER BY id
