-- Bringing in what Strava has: an athlete's list, gone through page by page (a sync), single activities, their recorded tracks;
-- what becomes of an answer that comes late; plans, upkeep, and what is known of how it goes.

SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true); -- as in 0003

-- The ticket of the answer that brought the summary it has: a recorded track from before may be of what it was then.
ALTER TABLE strava.activity ADD COLUMN moved bigint NOT NULL DEFAULT 0;

-- One pass through an athlete's list, newest first: what started from from_at on and before before_at. The next page is
-- number `page` of what started before cursor_at. See src/ingest/ingest_scan.c for the rules of low_at and fresh.
CREATE TABLE strava.sync (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    athlete_id bigint NOT NULL REFERENCES athletes(id) ON DELETE CASCADE ON UPDATE CASCADE,
    mode text NOT NULL CHECK (mode IN ('new', 'reconcile', 'all')),
    requested_by text,
    from_at timestamptz,                            -- NULL: everything
    before_at timestamptz NOT NULL,
    ticket bigint NOT NULL DEFAULT nextval('strava.ticket'), -- what was checked since has not vanished before
    cursor_at timestamptz NOT NULL,
    page integer NOT NULL DEFAULT 1,
    low_at timestamptz,                             -- the earliest start on page 1 of this cursor
    fresh boolean NOT NULL DEFAULT false,           -- pages of this cursor brought something new
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'failed', 'superseded')),
    pages integer NOT NULL DEFAULT 0,               -- answers
    listed integer NOT NULL DEFAULT 0,              -- activities
    added integer NOT NULL DEFAULT 0,
    changed integer NOT NULL DEFAULT 0,
    gone integer NOT NULL DEFAULT 0,                -- known here and not listed: each is asked for once more
    parked integer NOT NULL DEFAULT 0,              -- of the list, but unreadable
    problem text,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
CREATE UNIQUE INDEX sync_running ON strava.sync (athlete_id) WHERE state = 'running';
CREATE INDEX sync_athlete ON strava.sync (athlete_id, id);

-- Who can be asked for: tokens, and not known to be dead.
CREATE VIEW strava.connected AS
SELECT h.id AS athlete_id FROM athletes h
WHERE (EXISTS (SELECT FROM refresh_tokens t WHERE t.athlete_id = h.id) OR EXISTS (SELECT FROM access_tokens t WHERE t.athlete_id = h.id))
    AND NOT EXISTS (SELECT FROM strava.account a WHERE a.athlete_id = h.id AND a.state = 'reauth');

-- The time at Strava, as far as its answers told.
CREATE FUNCTION strava.clock() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
    SELECT clock_timestamp() + make_interval(secs => coalesce((SELECT offset_s FROM q.rate WHERE name = 'strava'), 0))
$$;

-- ---- asking for a sync ---------------------------------------------------------------------------

CREATE FUNCTION strava.queue_page(of_sync bigint, of_athlete bigint, of_prio integer, due timestamptz) RETURNS void LANGUAGE sql AS $$
    SELECT q.add(jsonb_build_array(jsonb_build_object('queue', 'strava', 'kind', 'strava.page', 'prio', of_prio,
        'tenant', of_athlete, 'ukey', 'page:' || of_sync, 'run_at', due, 'payload', jsonb_build_object('sync', of_sync))))
$$;

-- One athlete's. A running one that goes back as far is joined. One that does not is given up for the new one, which then
-- does both their work. Live work (prio 9 and less) is what people wait for: a newcomer's first page above all.
CREATE FUNCTION strava.request_one(of_athlete bigint, of_mode text, since timestamptz, who text, due timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    was strava.sync;
    at_strava timestamptz := strava.clock();
    newest timestamptz;
    one bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(7306, hashint8(of_athlete)); -- two at once: the second joins the first
    SELECT max(a.start_date) AT TIME ZONE 'UTC' INTO newest FROM activities a WHERE a.athlete_id = of_athlete AND a.source = 'strava';
    IF of_mode = 'new' AND since IS NULL THEN
        -- Only what was gone through once to its end is known up to the newest.
        SELECT least(newest, at_strava) - interval '7 days' INTO since FROM athletes h
        WHERE h.id = of_athlete AND h.backfill_status = 'complete' AND newest IS NOT NULL;
    END IF;
    since := CASE WHEN since IS NOT NULL THEN least(since, at_strava) END;
    SELECT * INTO was FROM strava.sync s WHERE s.athlete_id = of_athlete AND s.state = 'running' FOR UPDATE;
    IF FOUND AND NOT EXISTS (SELECT FROM q.job j WHERE j.ukey = 'page:' || was.id) THEN
        UPDATE strava.sync s SET state = 'failed', problem = 'its job was lost', finished_at = now() WHERE s.id = was.id;
    ELSIF FOUND AND (was.from_at IS NULL OR was.from_at <= since) THEN
        RETURN was.id;
    ELSIF FOUND THEN
        UPDATE strava.sync s SET state = 'superseded', finished_at = now() WHERE s.id = was.id;
        PERFORM q.cancel(ARRAY(SELECT j.id FROM q.job j WHERE j.ukey = 'page:' || was.id AND j.state <> 'running'));
        of_mode := (ARRAY['new', 'reconcile', 'all'])[greatest(array_position(ARRAY['new', 'reconcile', 'all'], of_mode),
                                                               array_position(ARRAY['new', 'reconcile', 'all'], was.mode))];
    END IF;
    -- A day ahead: nobody's clock is exact.
    INSERT INTO strava.sync (athlete_id, mode, requested_by, from_at, before_at, cursor_at)
    SELECT of_athlete, of_mode, who, since, d, d FROM (SELECT date_trunc('second', at_strava) + interval '1 day' AS d) x RETURNING id INTO one;
    IF since IS NULL THEN
        UPDATE athletes h SET backfill_status = 'started' WHERE h.id = of_athlete AND h.backfill_status = 'not_started';
    END IF;
    PERFORM strava.queue_page(one, of_athlete, CASE WHEN of_mode <> 'new' THEN 10 WHEN newest IS NULL THEN 5 ELSE 8 END, due);
    RETURN one;
END $$;

-- Of an athlete, if connected, or (NULL) of all who are. Mode new: from a week before the newest that is known, or everything
-- while not everything was gone through once. since: from that moment on; NULL otherwise means everything. Returns the syncs,
-- joined ones too. apart: between the starts of those of many.
CREATE FUNCTION strava.request_sync(of_athlete bigint, of_mode text, since timestamptz, who text DEFAULT NULL, apart interval DEFAULT '0')
RETURNS SETOF strava.sync LANGUAGE plpgsql AS $$
DECLARE
    one bigint;
    n integer := 0;
BEGIN
    FOR one IN SELECT c.athlete_id FROM strava.connected c WHERE of_athlete IS NULL OR c.athlete_id = of_athlete ORDER BY 1 LOOP
        one := strava.request_one(one, of_mode, since, who, CASE WHEN n > 0 AND apart > '0' THEN now() + n * apart END);
        RETURN QUERY SELECT * FROM strava.sync s WHERE s.id = one;
        n := n + 1;
    END LOOP;
END $$;

-- ---- jobs ----------------------------------------------------------------------------------------

-- Jobs that ask for these: one that is queued already is joined, and moves up if this is more urgent; a dead one is
-- forgotten, since there is news.
CREATE FUNCTION strava.queue_calls(of_kind text, of_athlete bigint, ids bigint[], prios integer[], why text) RETURNS integer
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    word text := replace(of_kind, 'strava.', '') || ':';
    n integer;
BEGIN
    DELETE FROM q.dead d WHERE d.ukey = ANY (ARRAY(SELECT word || i FROM unnest(ids) i));
    SELECT count(*) INTO n FROM q.add((SELECT coalesce(jsonb_agg(jsonb_build_object('queue', 'strava', 'kind', of_kind, 'prio', u.prio,
        'tenant', of_athlete, 'ukey', word || u.id,
        'payload', jsonb_strip_nulls(jsonb_build_object('activity', u.id, 'athlete', of_athlete, 'why', why)))), '[]')
        FROM unnest(ids, prios) u(id, prio)));
    UPDATE q.job j SET prio = u.prio, fair = q.fair_base('strava', u.prio::smallint, of_athlete) + 1
    FROM unnest(ids, prios) u(id, prio) WHERE j.ukey = word || u.id AND j.prio > u.prio AND j.state <> 'running';
    RETURN n;
END $$;

-- What is worth a call each after a list has told of them, by settings: streams, details: near, all, none. Whoever gets the
-- details gets the recorded track in the same job.
CREATE FUNCTION strava.want(of_athlete bigint, ids bigint[], near boolean[], lines boolean[], streams text, details text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    looks bigint[];
    look_prios integer[];
    tracks bigint[];
    track_prios integer[];
BEGIN
    SELECT array_agg(x.id) FILTER (WHERE x.look), array_agg(x.prio) FILTER (WHERE x.look),
           array_agg(x.id) FILTER (WHERE x.track AND NOT x.look), array_agg(x.prio) FILTER (WHERE x.track AND NOT x.look)
    INTO looks, look_prios, tracks, track_prios
    FROM (SELECT u.id, CASE WHEN u.near THEN 20 ELSE 40 END AS prio, details = 'all' OR details = 'near' AND u.near AS look,
                 u.line AND (streams = 'all' OR streams = 'near' AND u.near) AS track
          FROM unnest(ids, near, lines) u(id, near, line)) x;
    RETURN CASE WHEN looks IS NOT NULL THEN strava.queue_calls('strava.look', of_athlete, looks, look_prios, 'backfill') ELSE 0 END
         + CASE WHEN tracks IS NOT NULL THEN strava.queue_calls('strava.streams', of_athlete, tracks, track_prios, NULL) ELSE 0 END;
END $$;

-- ---- taking over ---------------------------------------------------------------------------------

-- Whether a route comes near this line: the match will know exactly. A summary leaves out what lies within some hundred
-- metres of its line; 1,100 m is what the index is asked for, as in trails/.
CREATE FUNCTION strava.is_near(line geography) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM routes r WHERE r.track && _ST_Expand(line, 1100) AND ST_DWithin(r.track, line, least(1100, 2 * r.tolerance_m + 250)))
$$;

-- Takes over what an answer says of activities; see strava.activity for tickets. of_sync: the pass that lists them, else NULL.
-- An athlete who was erased stays so. What changes nothing touches no row of `activities`: nothing is matched for it.
-- Of each: added, changed, same, or older (than what is known); whether it has no recorded track, whether it has a line,
-- and (of those that are added or changed) whether a route is near.
CREATE FUNCTION strava.take(
    of_athlete bigint, of_ticket bigint, of_sync bigint, ids bigint[], hashes bytea[], names text[], types text[], sports text[],
    zones text[], visibilities text[], externals text[], starts timestamptz[], distances float8[], gains float8[], lows float8[],
    highs float8[], movings float8[], elapseds float8[], start_lats float8[], start_lons float8[], end_lats float8[],
    end_lons float8[], lines bytea[])
RETURNS TABLE (id bigint, what text, bare boolean, line boolean, near boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM FROM athletes h WHERE h.id = of_athlete FOR KEY SHARE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    INSERT INTO strava.activity (activity_id, athlete_id, state, checked)
    SELECT u, of_athlete, 'gone', 0 FROM unnest(ids) u ORDER BY u ON CONFLICT DO NOTHING;
    PERFORM FROM strava.activity k WHERE k.activity_id = ANY (ids) ORDER BY k.activity_id FOR NO KEY UPDATE;
    RETURN QUERY
    WITH given AS MATERIALIZED (
        SELECT DISTINCT ON (u.id) u.*, u.wkb::geography AS track,
               CASE WHEN u.start_lat IS NOT NULL THEN ST_SetSRID(ST_MakePoint(u.start_lon, u.start_lat), 4326)::geography END AS from_point,
               CASE WHEN u.end_lat IS NOT NULL THEN ST_SetSRID(ST_MakePoint(u.end_lon, u.end_lat), 4326)::geography END AS to_point
        FROM unnest(ids, hashes, names, types, sports, zones, visibilities, externals, starts, distances, gains, lows, highs, movings,
                    elapseds, start_lats, start_lons, end_lats, end_lons, lines) WITH ORDINALITY
            u(id, hash, name, type, sport, zone, visibility, external, start, distance, gain, low, high, moving, elapsed, start_lat,
              start_lon, end_lat, end_lon, wkb, nth)
        ORDER BY u.id, u.nth
    ), judged AS MATERIALIZED (
        SELECT g.*, a.id IS NOT NULL AS here, k.listed IS NOT NULL AS known, k.checked < of_ticket AS newer,
               a.id IS NULL OR k.listed IS DISTINCT FROM g.hash AS differs,
               a.id IS NULL OR a.summary_track::geometry::bytea IS DISTINCT FROM g.track::geometry::bytea AS moved, k.streams
        FROM given g JOIN strava.activity k ON k.activity_id = g.id
        LEFT JOIN activities a ON a.id = g.id AND a.source = 'strava'
    ), put AS (
        INSERT INTO activities AS a (id, athlete_id, name, distance, moving_time, elapsed_time, total_elevation_gain, activity_type,
            start_date, local_tz, summary_track, start_latlng, end_latlng, elev_low, elev_high, external_id, source)
        SELECT j.id, of_athlete, j.name, j.distance, j.moving::integer, j.elapsed::integer, j.gain, coalesce(j.sport, j.type, 'Workout'),
               j.start AT TIME ZONE 'UTC', j.zone, j.track, j.from_point, j.to_point, j.low, j.high, j.external, 'strava'
        FROM judged j WHERE j.newer AND j.differs ORDER BY j.id
        ON CONFLICT (id) DO UPDATE SET athlete_id = excluded.athlete_id, name = excluded.name, distance = excluded.distance,
            moving_time = excluded.moving_time, elapsed_time = excluded.elapsed_time,
            total_elevation_gain = excluded.total_elevation_gain, activity_type = excluded.activity_type,
            start_date = excluded.start_date, local_tz = excluded.local_tz, summary_track = excluded.summary_track,
            start_latlng = excluded.start_latlng, end_latlng = excluded.end_latlng, elev_low = excluded.elev_low,
            elev_high = excluded.elev_high, external_id = excluded.external_id
        WHERE a.source = 'strava' AND ROW(a.athlete_id, a.name, a.distance, a.moving_time, a.elapsed_time, a.total_elevation_gain,
                a.activity_type, a.start_date, a.local_tz, a.elev_low, a.elev_high, a.external_id,
                a.summary_track::geometry::bytea, a.start_latlng::geometry::bytea, a.end_latlng::geometry::bytea)
            IS DISTINCT FROM ROW(excluded.athlete_id, excluded.name, excluded.distance, excluded.moving_time, excluded.elapsed_time,
                excluded.total_elevation_gain, excluded.activity_type, excluded.start_date, excluded.local_tz, excluded.elev_low,
                excluded.elev_high, excluded.external_id, excluded.summary_track::geometry::bytea,
                excluded.start_latlng::geometry::bytea, excluded.end_latlng::geometry::bytea)
        RETURNING a.id
    ), marked AS (
        UPDATE strava.activity k SET swept = coalesce(of_sync, k.swept),
            athlete_id = CASE WHEN j.newer THEN of_athlete ELSE k.athlete_id END,
            state = CASE WHEN j.newer THEN 'there' ELSE k.state END,
            checked = greatest(k.checked, of_ticket),
            checked_at = CASE WHEN j.newer THEN now() ELSE k.checked_at END,
            listed = CASE WHEN j.newer THEN j.hash ELSE k.listed END,
            sport_type = CASE WHEN j.newer THEN j.sport ELSE k.sport_type END,
            visibility = CASE WHEN j.newer THEN j.visibility ELSE k.visibility END,
            moved = CASE WHEN j.newer AND j.moved THEN of_ticket ELSE k.moved END,
            streams = CASE WHEN j.newer AND j.moved THEN 'none' ELSE k.streams END,
            detail_at = CASE WHEN j.newer AND j.moved THEN NULL ELSE k.detail_at END,
            problem = CASE WHEN j.newer AND j.differs THEN NULL ELSE k.problem END,
            problem_at = CASE WHEN j.newer AND j.differs THEN NULL ELSE k.problem_at END
        FROM judged j WHERE k.activity_id = j.id
    ), told AS (
        SELECT j.id, CASE WHEN NOT j.newer THEN 'older' WHEN NOT j.here THEN 'added'
                          WHEN j.differs AND (j.known OR p.id IS NOT NULL) THEN 'changed' ELSE 'same' END AS what,
               j.moved OR j.streams = 'none' AS bare, j.track
        FROM judged j LEFT JOIN put p ON p.id = j.id
    )
    SELECT t.id, t.what, t.bare, t.track IS NOT NULL,
           CASE WHEN t.what IN ('added', 'changed') AND t.track IS NOT NULL THEN strava.is_near(t.track) ELSE false END
    FROM told t ORDER BY t.id;
END $$;

-- Better geometry than the summary. Nothing is written, and matched anew, that is there already.
CREATE FUNCTION strava.put_track(of_activity bigint, of_origin text, wkb bytea) RETURNS void LANGUAGE sql AS $$
    INSERT INTO activity_tracks AS t (activity_id, track, origin) SELECT of_activity, wkb::geography, of_origin
    ON CONFLICT (activity_id) DO UPDATE SET track = excluded.track, origin = excluded.origin
    WHERE t.origin <> excluded.origin OR t.track::geometry::bytea IS DISTINCT FROM excluded.track::geometry::bytea
$$;

-- A recorded track; NULL: there is none. Not that of what it was before its line changed: whoever changed it has asked for
-- the new one. have, absent; older, or none: there is no such activity.
CREATE FUNCTION strava.take_streams(of_activity bigint, of_athlete bigint, of_ticket bigint, wkb bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    k strava.activity;
BEGIN
    PERFORM FROM athletes h WHERE h.id = of_athlete FOR KEY SHARE;
    IF FOUND THEN
        SELECT * INTO k FROM strava.activity x WHERE x.activity_id = of_activity AND x.athlete_id = of_athlete FOR NO KEY UPDATE;
    END IF;
    IF k.state IS DISTINCT FROM 'there' THEN
        RETURN 'none';
    END IF;
    IF of_ticket <= k.moved THEN
        RETURN 'older';
    END IF;
    PERFORM FROM activities a WHERE a.id = of_activity FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 'none';
    END IF;
    IF wkb IS NOT NULL THEN
        PERFORM strava.put_track(of_activity, 'streams', wkb);
    END IF;
    UPDATE strava.activity x SET streams = CASE WHEN wkb IS NULL THEN 'absent' ELSE 'have' END, streams_at = now(),
        problem = NULL, problem_at = NULL WHERE x.activity_id = of_activity;
    DELETE FROM q.dead d WHERE d.ukey = 'streams:' || of_activity;
    RETURN CASE WHEN wkb IS NULL THEN 'absent' ELSE 'have' END;
END $$;

-- Looks once more, later, at what somebody says has changed: no other way to be sure where answers lag behind.
CREATE FUNCTION strava.look_again(of_activity bigint, of_athlete bigint, looks integer, again_ms bigint, was_deleted boolean) RETURNS void LANGUAGE sql AS $$
    SELECT q.add(jsonb_build_array(jsonb_build_object('queue', 'strava', 'kind', 'strava.look', 'prio', 2, 'tenant', of_athlete,
        'ukey', 'look:' || of_activity, 'run_at', clock_timestamp() + again_ms * interval '1 millisecond',
        'payload', jsonb_build_object('activity', of_activity, 'athlete', of_athlete, 'why', 'event', 'looks', looks,
                                      'deleted', was_deleted))))
$$;

-- What remains to be done with a detail after strava.take: the track it brought, the recorded one that was asked for at the
-- same go (streams_ticket; wkb NULL: there is none), or a job that asks for it (streams_prio).
CREATE FUNCTION strava.take_detail(of_activity bigint, of_athlete bigint, what text, detail bytea, streams_ticket bigint, streams bytea,
                                   streams_prio integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF what IS NULL OR what = 'older' THEN
        RETURN;
    END IF;
    UPDATE strava.activity k SET detail_at = now(), problem = NULL, problem_at = NULL WHERE k.activity_id = of_activity;
    DELETE FROM q.dead d WHERE d.ukey = 'look:' || of_activity;
    IF streams_ticket IS NOT NULL THEN
        PERFORM strava.take_streams(of_activity, of_athlete, streams_ticket, streams);
    END IF;
    IF detail IS NOT NULL AND NOT EXISTS (SELECT FROM activity_tracks t WHERE t.activity_id = of_activity AND t.origin = 'streams') THEN
        PERFORM strava.put_track(of_activity, 'detail', detail);
    END IF;
    IF streams_prio IS NOT NULL THEN
        PERFORM strava.queue_calls('strava.streams', of_athlete, ARRAY[of_activity], ARRAY[streams_prio], NULL);
    END IF;
END $$;

-- Strava has no such activity, for this athlete. What is known is removed, and stays on record as gone. What was never
-- seen may be about to appear: it is looked for again, while again_ms says when. removed, gone (it was not here), again,
-- older, erased (the athlete), foreign (it is another athlete's).
CREATE FUNCTION strava.take_gone(of_activity bigint, of_athlete bigint, of_ticket bigint, looks integer, again_ms bigint, was_deleted boolean)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    k strava.activity;
    here boolean;
BEGIN
    PERFORM FROM athletes h WHERE h.id = of_athlete FOR KEY SHARE;
    IF NOT FOUND THEN
        RETURN 'erased';
    END IF;
    INSERT INTO strava.activity (activity_id, athlete_id, state, checked) VALUES (of_activity, of_athlete, 'gone', 0) ON CONFLICT DO NOTHING;
    SELECT * INTO k FROM strava.activity x WHERE x.activity_id = of_activity FOR NO KEY UPDATE;
    IF k.athlete_id <> of_athlete THEN
        RETURN 'foreign';
    END IF;
    IF k.checked >= of_ticket THEN
        RETURN 'older';
    END IF;
    here := EXISTS (SELECT FROM activities a WHERE a.id = of_activity AND a.athlete_id = of_athlete AND a.source = 'strava');
    IF NOT here AND NOT was_deleted AND again_ms IS NOT NULL THEN
        PERFORM strava.look_again(of_activity, of_athlete, looks, again_ms, was_deleted);
        RETURN 'again';
    END IF;
    UPDATE strava.activity x SET state = 'gone', checked = of_ticket, checked_at = now(), listed = NULL, streams = 'none',
        detail_at = NULL, problem = NULL, problem_at = NULL WHERE x.activity_id = of_activity;
    DELETE FROM activities a WHERE a.id = of_activity AND a.athlete_id = of_athlete AND a.source = 'strava';
    RETURN CASE WHEN here THEN 'removed' ELSE 'gone' END;
END $$;

-- It could not be taken over, and nobody tries again by himself: a later event, or a list that shows it changed, does.
CREATE FUNCTION strava.park(of_activity bigint, of_athlete bigint, why text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM athletes h WHERE h.id = of_athlete FOR KEY SHARE;
    IF FOUND THEN
        INSERT INTO strava.activity AS k (activity_id, athlete_id, state, checked, problem, problem_at)
        VALUES (of_activity, of_athlete, 'gone', 0, left(why, 1000), now())
        ON CONFLICT (activity_id) DO UPDATE SET problem = excluded.problem, problem_at = excluded.problem_at
        WHERE k.athlete_id = of_athlete;
    END IF;
END $$;

-- ---- a page, and the end -------------------------------------------------------------------------

-- The whole range was gone through: whatever of it is known and was not listed may be gone, or hidden, or may have another
-- start now; each is asked for. Not more than 500 at once: should a list be wrong, the day's calls are not all spent on it.
CREATE FUNCTION strava.end_sync(s strava.sync) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    missing bigint[];
    was_first boolean;
BEGIN
    missing := ARRAY(
        SELECT a.id FROM activities a LEFT JOIN strava.activity k ON k.activity_id = a.id
        WHERE a.athlete_id = s.athlete_id AND a.source = 'strava' AND (k.activity_id IS NULL OR k.checked < s.ticket)
            AND (s.from_at IS NULL OR a.start_date >= s.from_at AT TIME ZONE 'UTC')
            AND coalesce(a.start_date < s.before_at AT TIME ZONE 'UTC', true)
        ORDER BY a.start_date DESC NULLS LAST, a.id LIMIT 501);
    UPDATE strava.sync x SET state = 'done', finished_at = now(), gone = cardinality(missing),
        problem = CASE WHEN cardinality(missing) > 500 THEN 'more than 500 known activities were not listed: the first 500 are asked for now' ELSE x.problem END
    WHERE x.id = s.id RETURNING * INTO s;
    missing := missing[:500];
    IF missing <> '{}' THEN
        PERFORM strava.queue_calls('strava.look', s.athlete_id, missing, array_fill(30, ARRAY[cardinality(missing)]), 'confirm');
    END IF;
    IF s.from_at IS NULL THEN
        UPDATE athletes h SET backfill_status = 'complete' WHERE h.id = s.athlete_id AND h.backfill_status <> 'complete';
        was_first := FOUND;
    END IF;
    IF was_first OR s.requested_by <> 'plan' THEN
        PERFORM alert.tell('strava.sync:' || s.athlete_id, false, 'Sync with Strava done',
            format('Athlete %s: %s activities listed, %s new, %s changed, %s no longer listed, %s unreadable.',
                   s.athlete_id, s.listed, s.added, s.changed, s.gone, s.parked));
    END IF;
END $$;

-- After strava.take of a page: counts it, asks for what is worth a call, and either goes on at the next place or ends the
-- sync. at_cursor, at_page: where the page was; anything else means that the sync went on, or ended, without it.
-- Whether it is over now; NULL: it was not this sync's page.
CREATE FUNCTION strava.turn_page(
    of_sync bigint, at_cursor timestamptz, at_page integer, next_cursor timestamptz, next_page integer, next_low timestamptz, next_fresh boolean,
    is_over boolean, n_fresh integer, n_bad integer, first_bad text, n_added integer, n_changed integer,
    ids bigint[], near boolean[], lines boolean[], streams text, details text)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    s strava.sync;
BEGIN
    SELECT * INTO s FROM strava.sync x WHERE x.id = of_sync FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF ids IS NOT NULL THEN
        PERFORM strava.want(s.athlete_id, ids, near, lines, streams, details);
    END IF;
    IF s.state <> 'running' OR s.cursor_at <> at_cursor OR s.page <> at_page THEN
        RETURN NULL;
    END IF;
    UPDATE strava.sync x SET pages = x.pages + 1, listed = x.listed + n_fresh, added = x.added + n_added, changed = x.changed + n_changed,
        parked = x.parked + n_bad, problem = coalesce(x.problem, left(first_bad, 1000)),
        cursor_at = next_cursor, page = next_page, low_at = next_low, fresh = next_fresh
    WHERE x.id = of_sync RETURNING * INTO s;
    IF is_over THEN
        PERFORM strava.end_sync(s);
    ELSE
        PERFORM strava.queue_page(s.id, s.athlete_id, CASE WHEN s.mode = 'new' THEN 8 ELSE 10 END, NULL);
    END IF;
    RETURN is_over;
END $$;

-- It cannot go on.
CREATE FUNCTION strava.fail_sync(of_sync bigint, why text) RETURNS void LANGUAGE sql AS $$
    UPDATE strava.sync s SET state = 'failed', problem = left(why, 1000), finished_at = now() WHERE s.id = of_sync AND s.state = 'running'
$$;

-- ---- plans and upkeep ----------------------------------------------------------------------------

-- Makes syncs. new: of those who were not synced for longest; at most a quarter of a day's calls that are not kept for live
-- work is spent on looking whether there is something, at two calls each, hour after hour. reconcile: of everybody, as far
-- back as overlap, or everything where that is a week ago. of_athlete, since: only that, at once. How many it asked for.
CREATE FUNCTION strava.plan(of_mode text, of_athlete bigint, since timestamptz, overlap interval) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    most integer := coalesce((SELECT greatest(1, floor(r.capday * (1 - r.reserve) * 0.25 / 24 / 2)::integer) FROM q.rate r WHERE r.name = 'strava'), 1);
    at_strava timestamptz := strava.clock();
    n integer := 0;
    total integer;
    one record;
BEGIN
    IF of_athlete IS NOT NULL OR since IS NOT NULL THEN
        RETURN (SELECT count(*) FROM strava.request_sync(of_athlete, of_mode, since, 'plan', interval '10 seconds'));
    END IF;
    SELECT count(*) INTO total FROM strava.connected;
    FOR one IN
        SELECT c.athlete_id, l.synced, l.full_at FROM strava.connected c CROSS JOIN LATERAL (
            SELECT max(s.id) AS synced, max(s.before_at) FILTER (WHERE s.from_at IS NULL AND s.state = 'done') - interval '1 day' AS full_at
            FROM strava.sync s WHERE s.athlete_id = c.athlete_id) l
        ORDER BY l.synced NULLS FIRST, c.athlete_id LIMIT CASE WHEN of_mode = 'new' THEN most END
    LOOP
        PERFORM strava.request_one(one.athlete_id, of_mode, CASE WHEN of_mode <> 'new' AND one.full_at > at_strava - interval '156 hours' THEN at_strava - overlap END,
            'plan', CASE WHEN n > 0 THEN now() + n * make_interval(secs => CASE WHEN of_mode = 'new' THEN 3000.0 / most ELSE least(60, 14400.0 / total) END) END);
        n := n + 1;
    END LOOP;
    RETURN n;
END $$;

-- Recorded tracks that are wanted by now: of what has turned out to be on a route, say on one that came later, or (whose:
-- all) of whatever has a line. At most so many; how many.
CREATE FUNCTION strava.want_missing(whose text, many integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    one record;
    n integer := 0;
BEGIN
    FOR one IN
        SELECT x.athlete_id, array_agg(x.activity_id) AS ids, array_agg(x.prio) AS prios
        FROM (SELECT k.athlete_id, k.activity_id, 20 AS prio FROM strava.activity k
              WHERE whose IN ('near', 'all') AND k.state = 'there' AND k.streams = 'none' AND k.problem IS NULL
                  AND EXISTS (SELECT FROM relevant_activities r WHERE r.activity_id = k.activity_id AND r.relevant)
              UNION ALL
              SELECT k.athlete_id, k.activity_id, 40 FROM strava.activity k
              WHERE whose = 'all' AND k.state = 'there' AND k.streams = 'none' AND k.problem IS NULL
                  AND NOT EXISTS (SELECT FROM relevant_activities r WHERE r.activity_id = k.activity_id AND r.relevant)
              ) x
        JOIN strava.connected c ON c.athlete_id = x.athlete_id
        JOIN activities a ON a.id = x.activity_id AND a.summary_track IS NOT NULL
        WHERE NOT EXISTS (SELECT FROM q.job j WHERE j.ukey IN ('streams:' || x.activity_id, 'look:' || x.activity_id) AND j.prio <= x.prio)
        GROUP BY x.athlete_id ORDER BY x.athlete_id
    LOOP
        EXIT WHEN n >= many;
        n := n + strava.queue_calls('strava.streams', one.athlete_id, one.ids[:many - n], one.prios[:many - n], NULL);
    END LOOP;
    RETURN n;
END $$;

-- Removes, at most so many, what Strava has not shown for so long (0: nothing); forgets old syncs; ends those whose job is
-- gone. How many activities it removed.
CREATE FUNCTION strava.upkeep(retention interval, many integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    old bigint[] := '{}';
BEGIN
    IF retention > '0' THEN
        old := ARRAY(
            SELECT a.id FROM activities a LEFT JOIN strava.activity k ON k.activity_id = a.id
            WHERE a.source = 'strava' AND coalesce(k.checked_at, a.inserted_at::timestamptz) < now() - retention ORDER BY a.id LIMIT many);
        INSERT INTO strava.activity (activity_id, athlete_id, state, checked)
        SELECT a.id, a.athlete_id, 'gone', 0 FROM activities a WHERE a.id = ANY (old) ORDER BY a.id ON CONFLICT DO NOTHING;
        -- Locked first, and looked at again: one that was shown this moment stays.
        old := ARRAY(SELECT k.activity_id FROM strava.activity k WHERE k.activity_id = ANY (old)
                     AND (k.checked = 0 OR k.checked_at < now() - retention) ORDER BY k.activity_id FOR NO KEY UPDATE);
        UPDATE strava.activity k SET state = 'gone', listed = NULL, streams = 'none', detail_at = NULL WHERE k.activity_id = ANY (old);
        DELETE FROM activities a WHERE a.id = ANY (old) AND a.source = 'strava';
        IF cardinality(old) = many THEN -- there may be more: one part at a time, so that nobody waits long behind it
            PERFORM q.add('[{"queue": "trails", "kind": "strava.upkeep", "ukey": "strava.upkeep"}]');
        END IF;
    END IF;
    UPDATE strava.sync s SET state = 'failed', problem = coalesce((SELECT d.last_error FROM q.dead d WHERE d.ukey = 'page:' || s.id LIMIT 1), 'its job was lost'),
        finished_at = now()
    WHERE s.state = 'running' AND s.started_at < now() - interval '10 minutes' AND NOT EXISTS (SELECT FROM q.job j WHERE j.ukey = 'page:' || s.id);
    DELETE FROM strava.sync s WHERE s.state <> 'running' AND s.finished_at < now() - interval '90 days'
        AND s.id < (SELECT max(x.id) FROM strava.sync x WHERE x.athlete_id = s.athlete_id AND x.from_at IS NULL AND x.state = 'done');
    RETURN cardinality(old);
END $$;

-- For whoever watches: when each connected athlete was last heard of.
CREATE VIEW strava.heard AS
SELECT c.athlete_id,
       (SELECT max(s.finished_at) FROM strava.sync s WHERE s.athlete_id = c.athlete_id AND s.state = 'done') AS synced_at,
       (SELECT max(k.checked_at) FROM strava.activity k WHERE k.athlete_id = c.athlete_id) AS heard_at,
       (SELECT max(a.inserted_at) FROM activities a WHERE a.athlete_id = c.athlete_id AND a.source = 'strava')::timestamptz AS imported_at
FROM strava.connected c;
