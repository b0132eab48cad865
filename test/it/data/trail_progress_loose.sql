-- The same database where nobody kept the references: rows of what is gone, pairs twice.
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT conrelid::regclass AS tab, conname FROM pg_constraint
             WHERE connamespace = 'public'::regnamespace
                 AND (contype = 'f' OR (contype = 'u' AND conrelid <> 'processing'::regclass)) LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.tab, c.conname);
    END LOOP;
END $$;

INSERT INTO activities (id, athlete_id, activity_type, summary_track) VALUES (90, 404, 'Run', it.way(0.1, 0.2, 20));
INSERT INTO access_tokens (athlete_id, access_token, expires_at) VALUES (404, 'nobody', now());
INSERT INTO refresh_tokens (athlete_id, refresh_token) VALUES (404, 'nobody');
INSERT INTO processing (activity_id, route_id, processed) VALUES (404, 'north', true), (1, 'gone', true);
INSERT INTO relevant_activities (created_at, activity_id, route_id, relevant) VALUES
    (now() + interval '1 day', 1, 'north', true), (now() - interval '9 days', 1, 'north', false),
    (now(), 404, 'north', true), (now(), 1, 'gone', true);
INSERT INTO intersections (activity_id, route_id, intersection_track) VALUES (404, 'north', it.way(0, 0.1, 9));
INSERT INTO route_sections (activity_id, route_id, section_track) VALUES (404, 'north', it.way(0, 0.1, 9)),
    (1, 'gone', it.way(0, 0.1, 9)), (90, 'north', it.way(0.1, 0.2, 9));
INSERT INTO route_stats (athlete_id, route_id, covered_length) VALUES (1, 'north', 4), (404, 'north', 5), (1, 'gone', 6);
