-- Syncs and events, mended: one delete more or less changes nothing, what a killed job left is gone on with, looking for
-- what is near takes milliseconds, and a forged withdrawal erases nobody, even where tokens are dead.

SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true); -- as in 0003

-- One event comes like another: statistics of those that wait are of no use.
ALTER TABLE strava.event SET (autovacuum_analyze_threshold = 100000);

-- ---- events (0010) -------------------------------------------------------------------------------

-- Jobs that look at activities, for events. One that is queued already, however long it was to wait, is made ready now and
-- goes before a backfill's; a dead one is forgotten, since there is news. Of two athletes who are said to own one activity
-- each gets a job of his own: asking finds out which of them does. deleted: all that is said of it is that it was deleted;
-- looks, what looking again has come to (0011), begins anew.
CREATE OR REPLACE FUNCTION strava.queue_looks(activities bigint[], athletes bigint[], deletes boolean[]) RETURNS integer
LANGUAGE plpgsql SET jit = off SET enable_seqscan = off AS $$
DECLARE
    n integer;
BEGIN
    DELETE FROM q.dead WHERE ukey = ANY (ARRAY(SELECT 'look:' || a FROM unnest(activities) a));
    INSERT INTO q.job AS j (queue, kind, prio, ukey, tenant, fair, payload)
    SELECT 'strava', 'strava.look', 2, k.ukey, k.athlete, b.base + row_number() OVER (PARTITION BY k.athlete ORDER BY k.activity),
           jsonb_strip_nulls(jsonb_build_object('activity', k.activity, 'athlete', k.athlete, 'why', 'event', 'deleted', nullif(k.deleted, false)))
    FROM (SELECT activity, athlete, deleted, 'look:' || activity || CASE
                WHEN athlete = coalesce(twins, first_value(athlete) OVER (PARTITION BY activity ORDER BY athlete)) THEN ''
                ELSE ':' || athlete END AS ukey
          FROM (SELECT activity, athlete, bool_and(deleted) AS deleted,
                       (SELECT t.tenant FROM q.job t WHERE t.ukey = 'look:' || activity AND t.state <> 'running') AS twins
                FROM unnest(activities, athletes, deletes) u(activity, athlete, deleted) GROUP BY activity, athlete) d) k
    JOIN (SELECT a, q.fair_base('strava', 2::smallint, a) AS base FROM (SELECT DISTINCT a FROM unnest(athletes) a) d) b
        ON b.a = k.athlete
    ORDER BY k.ukey -- as q.add does: two that add the same keys must not wait for each other
    ON CONFLICT (ukey) WHERE ukey IS NOT NULL AND state <> 'running' DO UPDATE SET state = 'ready', run_at = NULL,
        prio = least(j.prio, excluded.prio), fair = CASE WHEN j.prio > excluded.prio THEN excluded.fair ELSE j.fair END,
        payload = j.payload - '{looks,deleted}'::text[] || excluded.payload, max_attempts = greatest(j.max_attempts, least(j.attempt + 8, 32767))
    WHERE j.tenant = excluded.tenant AND (j.prio > excluded.prio OR j.state = 'waiting' OR j.payload ? 'deleted' AND NOT excluded.payload ? 'deleted');
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;

-- The answer of a refresh may have got lost, and with it the token that took the refused one's place: until there are good
-- ones again, a refused one is no proof that the athlete has withdrawn.
ALTER TABLE strava.account ADD COLUMN doubtful boolean NOT NULL DEFAULT false;

-- Somebody is said to have withdrawn, and there is nobody who could confirm it.
CREATE FUNCTION strava.tell_unproven(athlete bigint) RETURNS boolean LANGUAGE sql AS $$
    SELECT alert.set('withdrawn:' || athlete, 'unproven', true, 'Athlete ' || athlete || ' may have left',
        format('A notice says that athlete %1$s has withdrawn, which cannot be verified: their tokens may have died of something else. '
               'Nothing was erased. If it is so: waymark athlete erase %1$s', athlete))
$$;

-- Makes jobs of the oldest events that wait, at most so many, and marks these done. How many events it were, and jobs that
-- were made or hurried. Several may do this at the same time.
-- A further verdict, unproven: it says that an athlete has withdrawn whose tokens had been dead for longer than it takes
-- Strava to send that. Whether it is so cannot be found out by asking: the operator is told, and nothing is erased.
CREATE OR REPLACE FUNCTION strava.dispatch(many integer, OUT events integer, OUT jobs integer)
LANGUAGE plpgsql SET jit = off SET enable_seqscan = off SET search_path FROM CURRENT AS $$
DECLARE
    batch bigint[] := ARRAY(SELECT id FROM strava.event WHERE done_at IS NULL ORDER BY id LIMIT many FOR NO KEY UPDATE SKIP LOCKED);
    ours bigint := (SELECT subscription_id FROM strava.app); -- NULL: events may come before we know its number
    looks bigint[];
    deletes boolean[];
    owners bigint[];
    checks bigint[];
    unproven bigint[];
    one bigint;
    free bigint[];
BEGIN
    -- Whoever is being erased just now holds the athlete: events about them wait until it is clear whether they are here.
    free := ARRAY(SELECT h.id FROM athletes h WHERE h.id IN (SELECT e.owner_id FROM strava.event e WHERE e.id = ANY (batch))
                  ORDER BY h.id FOR KEY SHARE SKIP LOCKED);
    batch := ARRAY(SELECT e.id FROM strava.event e WHERE e.id = ANY (batch)
                   AND (e.owner_id = ANY (free) OR NOT EXISTS (SELECT FROM athletes h WHERE h.id = e.owner_id)) ORDER BY e.id);
    events := cardinality(batch);
    jobs := 0;
    IF events = 0 THEN
        RETURN;
    END IF;
    WITH judged AS (
        UPDATE strava.event e SET done_at = clock_timestamp(), verdict = CASE
            WHEN e.subscription_id <> ours THEN 'foreign'
            WHEN NOT EXISTS (SELECT FROM access_tokens t WHERE t.athlete_id = e.owner_id)
                AND NOT EXISTS (SELECT FROM refresh_tokens t WHERE t.athlete_id = e.owner_id)
                AND NOT EXISTS (SELECT FROM strava.account a WHERE a.athlete_id = e.owner_id) THEN 'unknown'
            WHEN e.is_athlete THEN CASE WHEN NOT e.withdrawn OR e.object_id <> e.owner_id THEN 'none'
                WHEN EXISTS (SELECT FROM strava.account a WHERE a.athlete_id = e.owner_id AND a.state = 'reauth'
                             AND a.state_at < e.received_at - interval '15 minutes') THEN 'unproven'
                ELSE 'check' END
            WHEN EXISTS (SELECT FROM strava.activity a WHERE a.activity_id = e.object_id AND a.athlete_id <> e.owner_id
                         AND a.state = 'there') THEN 'stranger'
            ELSE 'look' END
        WHERE e.id = ANY (batch)
        RETURNING e.verdict, e.object_id, e.owner_id, e.aspect
    )
    SELECT array_agg(object_id) FILTER (WHERE verdict = 'look'), array_agg(owner_id) FILTER (WHERE verdict = 'look'),
           array_agg(aspect = 'delete') FILTER (WHERE verdict = 'look'), array_agg(owner_id) FILTER (WHERE verdict = 'check'),
           array_agg(DISTINCT owner_id) FILTER (WHERE verdict = 'unproven')
    INTO looks, owners, deletes, checks, unproven FROM judged;
    -- Who is not here, or not any more, has not agreed that anything be kept.
    UPDATE strava.event SET object_id = 0, owner_id = 0 WHERE id = ANY (batch) AND verdict = 'unknown';
    IF looks IS NOT NULL THEN
        jobs := jobs + strava.queue_looks(looks, owners, deletes);
    END IF;
    IF checks IS NOT NULL THEN
        jobs := jobs + strava.queue_checks(checks);
    END IF;
    FOREACH one IN ARRAY coalesce(unproven, '{}') LOOP
        PERFORM strava.tell_unproven(one);
    END LOOP;
    -- A long backlog must not be taken for a job that is gone.
    UPDATE strava.dispatcher SET wanted_at = clock_timestamp() WHERE wanted_at < clock_timestamp() - interval '20 seconds';
END $$;

DROP FUNCTION strava.queue_looks(bigint[], bigint[]);

-- ---- syncs (0011) --------------------------------------------------------------------------------

-- What is there and lacks its recorded track: most of it never gets near a route, so this is what is looked through.
CREATE INDEX activity_bare ON strava.activity (activity_id) WHERE state = 'there' AND streams = 'none' AND problem IS NULL;

-- Whether a job goes on with it.
CREATE OR REPLACE FUNCTION strava.has_page(of_sync bigint) RETURNS boolean LANGUAGE sql STABLE SET enable_seqscan = off AS $$
    SELECT EXISTS (SELECT FROM q.job j WHERE j.ukey = 'page:' || of_sync AND j.state <> 'running')
        OR EXISTS (SELECT FROM q.job j WHERE j.ukey = 'page:' || of_sync AND j.state = 'running' AND j.owner IS NOT NULL)
$$;

-- One athlete's. A running one that goes back as far is joined. One that does not is given up for the new one, which then
-- does both their work. Live work (prio 9 and less) is what people wait for: a newcomer's first page above all.
CREATE OR REPLACE FUNCTION strava.request_one(of_athlete bigint, of_mode text, since timestamptz, who text, due timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
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
    IF FOUND AND NOT strava.has_page(was.id) THEN
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

-- Whether a route comes near this line: the match will know exactly. A summary leaves out what lies within some hundred
-- metres of its line; 1,100 m is what the index is asked for, as in trails/. Then in degrees, which are metres at the
-- line's latitude where it is farthest from the equator, with that part of the route alone that the line's box touches: on
-- the spheroid two long lines would take seconds. What crosses the antimeridian counts as near if its box does.
CREATE OR REPLACE FUNCTION strava.is_near(line geography) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
    g geometry := line::geometry;
    degree float8 := 111320 * cos(radians(least(85, greatest(abs(ST_YMin(g)), abs(ST_YMax(g)))))); -- metres, along a parallel
    wide boolean := ST_XMax(g) - ST_XMin(g) > 180;
    reach float8;
    one record;
BEGIN
    FOR one IN SELECT r.track::geometry AS track, r.tolerance_m FROM routes r WHERE r.track && _ST_Expand(line, 1100) LOOP
        reach := least(1100, 2 * one.tolerance_m + 250) / degree;
        IF wide OR ST_XMax(one.track) - ST_XMin(one.track) > 180
            OR ST_DWithin(ST_ClipByBox2D(one.track, ST_Expand(Box2D(g), reach)), g, reach) THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END $$;

-- The whole range was gone through: whatever of it is known and was not listed may be gone, or hidden, or may have another
-- start now; each is asked for. Not more than 500 at once: should a list be wrong, the day's calls are not all spent on it.
CREATE OR REPLACE FUNCTION strava.end_sync(s strava.sync) RETURNS void LANGUAGE plpgsql AS $$
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
    IF was_first OR s.requested_by NOT IN ('plan', 'login') THEN
        PERFORM alert.tell('strava.sync:' || s.athlete_id, false, 'Sync with Strava done',
            format('Athlete %s: %s activities listed, %s new, %s changed, %s no longer listed, %s unreadable.',
                   s.athlete_id, s.listed, s.added, s.changed, s.gone, s.parked));
    END IF;
END $$;

-- Makes syncs. new: of those who were not synced for longest; at most a quarter of a day's calls that are not kept for live
-- work is spent on looking whether there is something, at two calls each, hour after hour. reconcile: of everybody, as far
-- back as overlap, or everything where that was five and a half days ago (plans come once a day, and one may be missed), or
-- two thirds of the time after which what is not shown goes. of_athlete, since: only that, at once. How many it asked for.
CREATE OR REPLACE FUNCTION strava.plan(of_mode text, of_athlete bigint, since timestamptz, overlap interval, retention interval) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    whole_after interval := least(interval '132 hours', CASE WHEN retention > '0' THEN retention * 0.66 END);
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
        PERFORM strava.request_one(one.athlete_id, of_mode, CASE WHEN of_mode <> 'new' AND one.full_at > at_strava - whole_after THEN at_strava - overlap END,
            'plan', CASE WHEN n > 0 THEN now() + n * make_interval(secs => CASE WHEN of_mode = 'new' THEN 3000.0 / most ELSE least(60, 14400.0 / total) END) END);
        n := n + 1;
    END LOOP;
    RETURN n;
END $$;

-- As the previous version calls it, which runs beside this one during an upgrade.
CREATE OR REPLACE FUNCTION strava.plan(of_mode text, of_athlete bigint, since timestamptz, overlap interval) RETURNS integer LANGUAGE sql AS $$
    SELECT strava.plan(of_mode, of_athlete, since, overlap, interval '0')
$$;

-- Recorded tracks that are wanted by now: of what has turned out to be on a route, say on one that came later, or (whose:
-- all) of whatever has a line. At most so many; how many.
CREATE OR REPLACE FUNCTION strava.want_missing(whose text, many integer) RETURNS integer LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    one record;
    n integer := 0;
BEGIN
    FOR one IN
        SELECT x.athlete_id, array_agg(x.activity_id) AS ids, array_agg(x.prio) AS prios
        FROM (SELECT k.athlete_id, k.activity_id, f.prio
              FROM strava.activity k
              JOIN strava.connected c ON c.athlete_id = k.athlete_id
              JOIN activities a ON a.id = k.activity_id AND a.summary_track IS NOT NULL
              CROSS JOIN LATERAL (SELECT CASE WHEN EXISTS (SELECT FROM relevant_activities r WHERE r.activity_id = k.activity_id AND r.relevant)
                                         THEN 20 ELSE 40 END AS prio) f
              WHERE whose IN ('near', 'all') AND k.state = 'there' AND k.streams = 'none' AND k.problem IS NULL
                  AND (f.prio = 20 OR whose = 'all')
                  AND NOT EXISTS (SELECT FROM q.job j WHERE j.ukey = 'streams:' || k.activity_id AND j.state <> 'running' AND j.prio <= f.prio)
                  AND NOT EXISTS (SELECT FROM q.job j WHERE j.ukey = 'look:' || k.activity_id AND j.state <> 'running' AND j.prio <= f.prio)
              LIMIT many) x
        GROUP BY x.athlete_id ORDER BY x.athlete_id
    LOOP
        n := n + strava.queue_calls('strava.streams', one.athlete_id, one.ids, one.prios, NULL);
    END LOOP;
    RETURN n;
END $$;

-- Removes, at most so many, what Strava has not shown for so long (0: nothing); forgets old syncs; ends those whose job is
-- gone. How many activities it removed.
CREATE OR REPLACE FUNCTION strava.upkeep(retention interval, many integer) RETURNS integer LANGUAGE plpgsql AS $$
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
    WHERE s.state = 'running' AND s.started_at < now() - interval '10 minutes' AND NOT strava.has_page(s.id);
    DELETE FROM strava.sync s WHERE s.state <> 'running' AND s.finished_at < now() - interval '90 days'
        AND s.id < (SELECT max(x.id) FROM strava.sync x WHERE x.athlete_id = s.athlete_id AND x.from_at IS NULL AND x.state = 'done');
    RETURN cardinality(old);
END $$;
