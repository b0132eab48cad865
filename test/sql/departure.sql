-- Something about athlete 77 (activities 7701 and 7702) and, the same, about 88 in every place there is.
CREATE TABLE processing_adopted (activity_id bigint, route_id text, processed boolean);
SELECT it.scene();
CREATE FUNCTION it.person(p bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one bigint := p * 100 + 1; two bigint := p * 100 + 2;
BEGIN
    INSERT INTO athletes (id) VALUES (p);
    PERFORM it.walk(one, p, 0.1, 0.3);
    PERFORM it.walk(two, p, 0.2, 0.5);
    INSERT INTO activity_tracks SELECT a.id, it.way(0.1, 0.3, 200)::geography, 'gpx' FROM activities a WHERE a.athlete_id = p;
    INSERT INTO activity_state (activity_id, revision, epoch) SELECT a.id, revision, 1 FROM activities a WHERE a.athlete_id = p;
    INSERT INTO relevant_activities (activity_id, route_id, relevant) VALUES (one, 'north', true);
    INSERT INTO intersections (activity_id, route_id, intersection_track) VALUES (one, 'north', it.way(0.1, 0.3, 9));
    INSERT INTO route_sections (activity_id, route_id, athlete_id, start_m, end_m, section_track) VALUES
        (one, 'north', p, 5, 10, it.way(0.1, 0.3, 9));
    INSERT INTO route_stats (athlete_id, route_id, covered_length) VALUES (p, 'north', 5);
    INSERT INTO access_tokens (athlete_id, access_token, expires_at) VALUES (p, 'a', now());
    INSERT INTO refresh_tokens (athlete_id, refresh_token) VALUES (p, 'r');
    INSERT INTO route_pages (route_id, page, revision, activity_ids) VALUES ('ring', p, 1, ARRAY[1, one, 3, two, 2]);
    INSERT INTO processing_adopted VALUES (one, 'north', true), (two, 'north', false);
    INSERT INTO adopted_orphans (table_name, why, content) VALUES
        ('activities', 'x', jsonb_build_object('id', p * 100 + 9, 'athlete_id', p)),
        ('intersections', 'x', jsonb_build_object('activity_id', p * 100 + 9)),
        ('route_sections', 'x', jsonb_build_object('activity_id', one));
    INSERT INTO strava.account (athlete_id, name, scopes) VALUES (p, 'Person', '{read}');
    INSERT INTO strava.activity (activity_id, athlete_id, state, checked) VALUES (one, p, 'there', 1),
        (p * 100 + 3, p, 'gone', 2);
    INSERT INTO alert.state (key, state, bad, title, body) VALUES ('token:' || p, 'reauth', true, 'Person must log in', '');
    INSERT INTO web.visitor (token, athlete_id, expires_at) VALUES (sha256(p::text::bytea), p, now() + interval '1 day');
    INSERT INTO q.job (queue, kind, ukey, tenant, payload) VALUES
        ('strava', 'strava.look', 'look:' || two, p, jsonb_build_object('activity', two)),
        ('strava', 'strava.plan', NULL, NULL, jsonb_build_object('athlete', p)),
        ('strava', 'odd', NULL, NULL, jsonb_build_object('activity', two)),
        ('trails', 'alert', NULL, NULL, jsonb_build_object('key', 'token:' || p));
    INSERT INTO q.dead (id, queue, kind, prio, attempt, max_attempts, crashes, tenant, payload, created_at, reason, lane, halt) VALUES (p * 1000, 'strava', 'strava.look', 0, 8, 8, 0, p, '{}', now(), 'attempts', 'lane' || p, true);
    INSERT INTO q.halted (lane, job) VALUES ('lane' || p, p * 1000);
    INSERT INTO q.try (job, attempt, outcome, error) VALUES (p * 1000, 1, 'failed', 'x');
    INSERT INTO q.done (id, attempt, queue, kind, tenant, outcome, created_at) VALUES
        (p * 1000 + 1, 1, 'trails', 'match', p, 'done', now());
    INSERT INTO q.dedup (key, job, expires_at) VALUES ('k' || p, p * 1000 + 1, now() + interval '1 day');
    INSERT INTO q.pause (queue, tenant) VALUES ('strava', p);
    INSERT INTO q.audit (who, command, filter, jobs) VALUES
        ('admin@x', 'jobs retry', jsonb_build_object('athlete', p, 'queue', 'strava'), 3);
    INSERT INTO q.cron (name, spec, minutes, hours, days, months, weekdays, any_day, any_hour, queue, kind, payload, next_at) VALUES ('of ' || p, '@daily', '{0}', '{0}', '{1}', '{1}', '{0}', false, false, 'trails', 'strava.plan', jsonb_build_object('athlete', p), now() + interval '1 day');
    INSERT INTO strava.event (is_athlete, aspect, object_id, owner_id, subscription_id, withdrawn) VALUES
        (true, 'update', p, p, 5, false), (false, 'create', one, 4711, 5, false);
    INSERT INTO strava.sync (athlete_id, mode, before_at, cursor_at) VALUES (p, 'new', now(), now());
END $$;
SELECT it.person(77); SELECT it.person(88);
