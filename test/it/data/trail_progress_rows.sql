-- The history in it; see trail_progress.sql.
SELECT it.scene();
UPDATE athletes SET backfill_status = 'complete' WHERE id = 1;
UPDATE athletes SET backfill_status = 'started' WHERE id = 2;
INSERT INTO access_tokens (athlete_id, access_token, expires_at)
    SELECT id, 'token of ' || id, timestamp '2030-01-01' FROM athletes;
INSERT INTO refresh_tokens (athlete_id, refresh_token) SELECT id, 'refresh of ' || id FROM athletes;

-- Done; claimed by a worker that died, for ever; and not begun.
UPDATE processing SET processing_started_at = now() - interval '1 day', processed = true
    WHERE activity_id < 8 OR route_id = 'far';
UPDATE processing SET processing_started_at = now() - interval '2 days' WHERE activity_id IN (8, 22) AND NOT processed;

-- Its results: sections cut anywhere, one of them twice, and sums that counted overlaps twice.
INSERT INTO relevant_activities (activity_id, route_id, relevant)
    SELECT activity_id, route_id, route_id = 'north' FROM processing WHERE processed;
INSERT INTO intersections (activity_id, route_id, intersection_track)
    SELECT id, 'north', summary_track FROM activities WHERE id < 8;
INSERT INTO route_sections (activity_id, route_id, section_track)
    SELECT id, 'north', it.way(0.05 * id + 0.0003, 0.05 * id + 0.1197, 77) FROM activities WHERE id < 8
    UNION ALL SELECT 3, 'north', it.way(0.15, 0.27, 77);
INSERT INTO route_stats (athlete_id, route_id, covered_length)
    SELECT h.id, r.id, CASE WHEN h.id = 1 AND r.id = 'north' THEN 13456.7 ELSE 0 END FROM athletes h CROSS JOIN routes r;
