-- Answers that overtake each other: whoever is told last looks once more.

SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true); -- as in 0003

-- Takes over what an answer says of activities; see strava.activity for tickets. of_sync: the pass that lists them, else NULL.
-- An athlete who was erased stays so. What changes nothing touches no row of `activities`: nothing is matched for it.
-- Of each: added, changed, same, or older (than what is known); whether it has no recorded track, whether it has a line,
-- and (of those that are added or changed) whether a route is near.
CREATE OR REPLACE FUNCTION strava.take(
    of_athlete bigint, of_ticket bigint, of_sync bigint, ids bigint[], hashes bytea[], names text[], types text[], sports text[],
    zones text[], visibilities text[], externals text[], starts timestamptz[], distances float8[], gains float8[], lows float8[],
    highs float8[], movings float8[], elapseds float8[], start_lats float8[], start_lons float8[], end_lats float8[],
    end_lons float8[], lines bytea[])
RETURNS TABLE (id bigint, what text, bare boolean, line boolean, near boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    one bigint;
BEGIN
    PERFORM FROM athletes h WHERE h.id = of_athlete FOR KEY SHARE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    INSERT INTO strava.activity (activity_id, athlete_id, state, checked)
    SELECT u, of_athlete, 'gone', 0 FROM unnest(ids) u ORDER BY u ON CONFLICT DO NOTHING;
    PERFORM FROM strava.activity k WHERE k.activity_id = ANY (ids) ORDER BY k.activity_id FOR NO KEY UPDATE;
    -- A list may lag behind: what has just been removed, and is in it, is looked at once more (9: and then not again).
    FOR one IN SELECT k.activity_id FROM strava.activity k WHERE k.activity_id = ANY (ids) AND of_sync IS NOT NULL AND k.state = 'gone'
                   AND k.checked BETWEEN 1 AND of_ticket - 1 AND k.checked_at > now() - interval '10 minutes' ORDER BY 1 LOOP
        PERFORM strava.look_again(one, of_athlete, 9, 60000, false);
    END LOOP;
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

-- Strava has no such activity, for this athlete. What is known is removed, and stays on record as gone. What was never
-- seen may be about to appear: it is looked for again, while again_ms says when. removed, gone (it was not here), again,
-- older, erased (the athlete), foreign (it is another athlete's).
CREATE OR REPLACE FUNCTION strava.take_gone(of_activity bigint, of_athlete bigint, of_ticket bigint, looks integer, again_ms bigint, was_deleted boolean)
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
        -- Which of two answers under way at the same time is the newer one, tickets do not tell for sure.
        IF again_ms IS NOT NULL THEN
            PERFORM strava.look_again(of_activity, of_athlete, looks, again_ms, was_deleted);
        END IF;
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
