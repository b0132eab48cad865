-- Trail coverage: sparse processing state, the `processing` view, and the triggers that turn any change of an
-- activity or a route, by anybody, into the right jobs.

-- The functions below keep the path that the migration runs with. Were pg_temp not named last it would be searched first:
-- a caller's temporary table, with a trigger of its own, would then be used with the rights of whoever migrated.
SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true);

-- The best geometry of an activity (recorded file or stream), where there is better than its summary. Segments are
-- kept apart; M, where present, is Unix time in seconds.
CREATE TABLE activity_tracks (
    activity_id bigint PRIMARY KEY REFERENCES activities(id) ON DELETE CASCADE ON UPDATE CASCADE,
    track geography NOT NULL,
    origin text NOT NULL                            -- gpx, ...
);
-- As with the other lines (0001); and so its size is known without reading it.
ALTER TABLE activity_tracks ALTER COLUMN track SET STORAGE EXTERNAL;

-- One row for each activity that has been matched. epoch: that of the routes it was matched against.
CREATE TABLE activity_state (
    activity_id bigint PRIMARY KEY REFERENCES activities(id) ON DELETE CASCADE ON UPDATE CASCADE,
    revision bigint NOT NULL,
    epoch bigint NOT NULL,
    matched_at timestamptz NOT NULL DEFAULT now(),
    note text                                       -- why nothing could be matched, in words
);

-- One row for each route whose past activities have been looked up. A route_page is a list of them still to match.
CREATE TABLE route_state (
    route_id text PRIMARY KEY REFERENCES routes(id) ON DELETE CASCADE ON UPDATE CASCADE,
    revision bigint NOT NULL,
    epoch bigint NOT NULL,
    listed_at timestamptz NOT NULL DEFAULT now(),
    candidates bigint NOT NULL,
    note text
);
CREATE TABLE route_pages (
    route_id text NOT NULL REFERENCES routes(id) ON DELETE CASCADE ON UPDATE CASCADE,
    page integer NOT NULL,
    revision bigint NOT NULL,
    activity_ids bigint[] NOT NULL,
    PRIMARY KEY (route_id, page)
);

-- Counts up whenever a route's past activities are listed. A match reads it first and checks it under a share lock
-- when it commits: so each pair is either seen by the match or listed for the route, whichever commits last. The lock is
-- an advisory one, named by the table's oid: those are granted in order, while share locks of a row go past whoever waits
-- to change it, and a new route would wait until no match is under way anywhere.
CREATE TABLE route_epoch (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch bigint NOT NULL
);
INSERT INTO route_epoch (epoch) VALUES (1);

CREATE VIEW processing AS
SELECT md5(a.id || ':' || r.id)::uuid AS id,
       greatest(a.inserted_at, r.created_at) AS created_at,
       a.id AS activity_id,
       r.id AS route_id,
       CASE WHEN s.activity_id IS NOT NULL AND t.route_id IS NOT NULL AND p.activity_id IS NULL
            THEN greatest(s.matched_at, t.listed_at)::timestamp END AS processing_started_at,
       s.activity_id IS NOT NULL AND t.route_id IS NOT NULL AND p.activity_id IS NULL AS processed
FROM activities a
CROSS JOIN routes r
LEFT JOIN activity_state s ON s.activity_id = a.id AND s.revision = a.revision
LEFT JOIN route_state t ON t.route_id = r.id AND t.revision = r.revision
LEFT JOIN (SELECT DISTINCT route_id, unnest(activity_ids) AS activity_id FROM route_pages) p
    ON p.route_id = r.id AND p.activity_id = a.id;

-- Who earned which metres of which route, with which activity, when.
CREATE VIEW coverage_ledger AS
SELECT s.athlete_id, s.route_id, s.activity_id, a.start_date, a.name, s.start_m, s.end_m
FROM route_sections s JOIN activities a ON a.id = s.activity_id
WHERE s.start_m IS NOT NULL;

-- The triggers below act with the rights of whoever migrated: the frontend's role needs none on the queue.

CREATE FUNCTION waymark_activity_revise() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    moved boolean := NEW.summary_track::geometry::bytea IS DISTINCT FROM OLD.summary_track::geometry::bytea;
    outer_one text := current_setting('waymark.revising', true); -- when somebody's trigger on tracks changes another
BEGIN
    IF moved OR NEW.revision <> OLD.revision OR NEW.id <> OLD.id OR NEW.athlete_id <> OLD.athlete_id THEN
        NEW.revision := nextval(pg_get_serial_sequence('activities', 'revision'));
    END IF;
    -- Better geometry of what is no longer this track would bring cropped metres back. Its deletion revises nothing: we do.
    IF moved THEN
        PERFORM set_config('waymark.revising', OLD.id::text, true);
        DELETE FROM activity_tracks WHERE activity_id = OLD.id;
        PERFORM set_config('waymark.revising', coalesce(outer_one, ''), true);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER waymark_activity_revise BEFORE UPDATE ON activities
    FOR EACH ROW EXECUTE FUNCTION waymark_activity_revise();

-- Routes go first, so that what comes after sees them; then new activities, whose people wait for them; then the pages of
-- past ones, which may be many; then sums.

-- Queues a match for each of these activities. The conflict clause touches a queued twin on purpose: its row lock
-- keeps the twin from being claimed, and finishing, before our change can be seen. A twin that failed and waits to be
-- tried again need not: what it failed with has changed. Nor does a dead letter count any longer: it failed with what was.
CREATE FUNCTION waymark_queue_matches(ids bigint[], athletes bigint[]) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    DELETE FROM q.dead WHERE ukey = ANY (ARRAY(SELECT 'match:' || id FROM unnest(ids) id));
    INSERT INTO q.job (queue, kind, prio, ukey, tenant, payload)
    SELECT 'trails', 'match', 10, 'match:' || u.id, u.athlete, jsonb_build_object('activity', u.id)
    FROM unnest(ids, athletes) u(id, athlete) ORDER BY u.id
    ON CONFLICT (ukey) WHERE ukey IS NOT NULL AND state <> 'running' DO UPDATE SET state = 'ready', run_at = NULL, attempt = 0;
$$;

-- Queues a recomputation of whatever these athletes have in route_stats.
CREATE FUNCTION waymark_queue_stats(athletes bigint[]) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    DELETE FROM q.dead WHERE ukey = ANY (ARRAY(SELECT 'stats:' || athlete FROM unnest(athletes) athlete));
    INSERT INTO q.job (queue, kind, prio, ukey, tenant, payload)
    SELECT 'trails', 'stats', 20, 'stats:' || u.athlete, u.athlete, jsonb_build_object('athlete', u.athlete)
    FROM (SELECT DISTINCT a FROM unnest(athletes) a) u(athlete) ORDER BY u.athlete
    ON CONFLICT (ukey) WHERE ukey IS NOT NULL AND state <> 'running' DO UPDATE SET state = 'ready', run_at = NULL, attempt = 0;
$$;

CREATE FUNCTION waymark_queue_routes(ids text[]) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    DELETE FROM q.dead WHERE ukey = ANY (ARRAY(SELECT 'route:' || id FROM unnest(ids) id));
    INSERT INTO q.job (queue, kind, prio, ukey, payload)
    SELECT 'trails', 'route', 0, 'route:' || u.id, jsonb_build_object('route', u.id)
    FROM unnest(ids) u(id) ORDER BY u.id
    ON CONFLICT (ukey) WHERE ukey IS NOT NULL AND state <> 'running' DO UPDATE SET state = 'ready', run_at = NULL, attempt = 0;
$$;

CREATE FUNCTION waymark_activities_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM waymark_queue_matches(array_agg(n.id), array_agg(n.athlete_id)) FROM new_rows n HAVING count(*) > 0;
    ELSIF TG_OP = 'UPDATE' THEN
        PERFORM waymark_queue_matches(array_agg(n.id), array_agg(n.athlete_id))
        FROM new_rows n LEFT JOIN old_rows o ON o.id = n.id
        WHERE o.id IS NULL OR n.revision <> o.revision HAVING count(*) > 0;
        -- Credit goes to the new athlete with the activity: the sums of the old one, made at any moment from now, are right.
        UPDATE route_sections s SET athlete_id = n.athlete_id
        FROM new_rows n LEFT JOIN old_rows o ON o.id = n.id
        WHERE (o.id IS NULL OR n.athlete_id <> o.athlete_id) AND s.activity_id = n.id AND s.athlete_id <> n.athlete_id;
        PERFORM waymark_queue_stats(array_agg(o.athlete_id))
        FROM old_rows o LEFT JOIN new_rows n ON n.id = o.id
        WHERE n.id IS NULL OR n.athlete_id <> o.athlete_id HAVING count(*) > 0;
    ELSE
        PERFORM waymark_queue_stats(array_agg(o.athlete_id)) FROM old_rows o HAVING count(*) > 0;
    END IF;
    NOTIFY processing;
    RETURN NULL;
END $$;
CREATE TRIGGER waymark_activities_inserted AFTER INSERT ON activities REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION waymark_activities_changed();
CREATE TRIGGER waymark_activities_updated AFTER UPDATE ON activities REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION waymark_activities_changed();
CREATE TRIGGER waymark_activities_deleted AFTER DELETE ON activities REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION waymark_activities_changed();

CREATE FUNCTION waymark_activities_truncated() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM waymark_queue_stats(array_agg(athlete_id)) FROM route_stats HAVING count(*) > 0;
    NOTIFY processing;
    RETURN NULL;
END $$;
CREATE TRIGGER waymark_activities_truncated AFTER TRUNCATE ON activities
    FOR EACH STATEMENT EXECUTE FUNCTION waymark_activities_truncated();

-- A better (or worse) track is a new revision of its activity; but for the one whose revision is being made, and takes it
-- away. Those of activities that were deleted find nothing.
CREATE FUNCTION waymark_track_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    revising bigint := nullif(current_setting('waymark.revising', true), '')::bigint;
    ids bigint[] := ARRAY(SELECT a.id FROM activities a JOIN changed_rows c ON c.activity_id = a.id
                          WHERE a.id IS DISTINCT FROM revising);
BEGIN
    IF ids <> '{}' THEN
        UPDATE activities SET revision = revision + 1 WHERE id = ANY (ids);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER waymark_track_inserted AFTER INSERT ON activity_tracks REFERENCING NEW TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION waymark_track_changed();
CREATE TRIGGER waymark_track_updated AFTER UPDATE ON activity_tracks REFERENCING NEW TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION waymark_track_changed();
CREATE TRIGGER waymark_track_deleted AFTER DELETE ON activity_tracks REFERENCING OLD TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION waymark_track_changed();

-- Before, while it can still be seen whose tracks they are.
CREATE FUNCTION waymark_tracks_truncated() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE activities SET revision = revision + 1 WHERE id IN (SELECT activity_id FROM activity_tracks);
    RETURN NULL;
END $$;
CREATE TRIGGER waymark_tracks_truncated BEFORE TRUNCATE ON activity_tracks
    FOR EACH STATEMENT EXECUTE FUNCTION waymark_tracks_truncated();

CREATE FUNCTION waymark_route_revise() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.length := ST_Length(NEW.track);
    ELSIF NEW.track::geometry::bytea IS DISTINCT FROM OLD.track::geometry::bytea OR NEW.id <> OLD.id
            OR NEW.tolerance_m <> OLD.tolerance_m THEN
        NEW.length := ST_Length(NEW.track);
        NEW.revision := nextval(pg_get_serial_sequence('routes', 'revision'));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER waymark_route_revise BEFORE INSERT OR UPDATE ON routes
    FOR EACH ROW EXECUTE FUNCTION waymark_route_revise();

CREATE FUNCTION waymark_routes_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM waymark_queue_routes(array_agg(n.id)) FROM new_rows n HAVING count(*) > 0;
    ELSE
        PERFORM waymark_queue_routes(array_agg(n.id)) FROM new_rows n LEFT JOIN old_rows o ON o.id = n.id
        WHERE o.id IS NULL OR n.revision <> o.revision HAVING count(*) > 0;
    END IF;
    NOTIFY processing;
    RETURN NULL;
END $$;
CREATE TRIGGER waymark_routes_inserted AFTER INSERT ON routes REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION waymark_routes_changed();
CREATE TRIGGER waymark_routes_updated AFTER UPDATE ON routes REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION waymark_routes_changed();

-- What was here before us: every route is listed and every activity matched anew, and every sum recomputed after.
SELECT waymark_queue_routes(array_agg(id)) FROM routes HAVING count(*) > 0;
SELECT waymark_queue_matches(array_agg(id), array_agg(athlete_id)) FROM activities HAVING count(*) > 0;
UPDATE route_stats SET stale = true;
SELECT waymark_queue_stats(array_agg(athlete_id)) FROM route_stats HAVING count(*) > 0;

-- See route_epoch. Who holds it may come to wait for somebody who changed an activity or a route and sits in his transaction:
-- after ten seconds we give way and try again later, so that he stops nobody else for long.
CREATE FUNCTION waymark_check_epoch(expected bigint) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    now_at bigint;
BEGIN
    PERFORM set_config('lock_timeout', '10s', true);
    PERFORM pg_advisory_xact_lock_shared('route_epoch'::regclass::oid::bigint);
    SELECT epoch INTO now_at FROM route_epoch;
    IF now_at <> expected THEN
        RAISE EXCEPTION 'routes were listed since they were read' USING ERRCODE = 'WM002';
    END IF;
END $$;

CREATE FUNCTION waymark_bump_epoch() RETURNS bigint LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    now_at bigint;
BEGIN
    PERFORM set_config('lock_timeout', '10s', true);
    PERFORM pg_advisory_xact_lock('route_epoch'::regclass::oid::bigint);
    UPDATE route_epoch SET epoch = epoch + 1 RETURNING epoch INTO now_at;
    RETURN now_at;
END $$;

-- A page of a route is matched against the route it was listed for, or read again.
CREATE FUNCTION waymark_check_route(route text, expected bigint) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM set_config('lock_timeout', '10s', true);
    PERFORM FROM routes WHERE id = route AND revision = expected FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'route % changed since it was read', route USING ERRCODE = 'WM002';
    END IF;
END $$;

-- What is left of a page: if all of it is done the page goes, else it stays shorter, with a job of its own.
-- A job that read nothing, because its page was of an older revision, may find a new page here: that one stays whole.
CREATE FUNCTION waymark_page_done(route text, number integer, of_revision bigint, done bigint[]) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    rest bigint[];
BEGIN
    SELECT array_agg(u.id ORDER BY u.id) INTO rest
    FROM route_pages p, unnest(p.activity_ids) u(id) JOIN activities a ON a.id = u.id
    WHERE p.route_id = route AND p.page = number AND p.revision = of_revision AND u.id <> ALL (done);
    IF rest IS NULL THEN
        DELETE FROM route_pages WHERE route_id = route AND page = number AND revision = of_revision;
        RETURN;
    END IF;
    UPDATE route_pages SET activity_ids = rest WHERE route_id = route AND page = number AND revision = of_revision;
    INSERT INTO q.job (queue, kind, prio, ukey, payload)
    VALUES ('trails', 'page', 15, 'page:' || route || ':' || number, jsonb_build_object('route', route, 'page', number))
    ON CONFLICT (ukey) WHERE ukey IS NOT NULL AND state <> 'running' DO UPDATE SET last_error = q.job.last_error;
END $$;

-- Who may create a trigger may otherwise put these on a table of his own and feed them what he likes.
REVOKE EXECUTE ON FUNCTION waymark_activity_revise(), waymark_queue_matches(bigint[], bigint[]),
    waymark_queue_stats(bigint[]), waymark_queue_routes(text[]), waymark_activities_changed(),
    waymark_activities_truncated(), waymark_track_changed(), waymark_tracks_truncated(), waymark_route_revise(), waymark_routes_changed() FROM PUBLIC;

-- Whoever could read the old `processing` can read the view in its place.
DO $$
DECLARE
    reader text;
BEGIN
    FOR reader IN
        SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
        FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = to_regclass('processing_adopted') AND a.privilege_type = 'SELECT'
            AND (a.grantee = 0 OR EXISTS (SELECT FROM pg_roles r WHERE r.oid = a.grantee)) LOOP
        EXECUTE format('GRANT SELECT ON processing TO %s', reader);
    END LOOP;
END $$;
