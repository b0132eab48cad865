-- What Strava pushes: each event is a row before it is acknowledged, and becomes a job soon after. An event is a reason to
-- look, never the truth: it is not signed, comes twice, late, in any order.

SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true); -- as in 0003

-- Appended in bulk, changed once, deleted by the month: no index but what that takes.
CREATE TABLE strava.event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT now(),
    is_athlete boolean NOT NULL,                    -- about the athlete, or an activity
    aspect text NOT NULL,                           -- create, update, delete
    object_id bigint NOT NULL,
    owner_id bigint NOT NULL,
    subscription_id bigint NOT NULL,
    event_time timestamptz,                         -- as it says; NULL: not sensible
    withdrawn boolean NOT NULL,                     -- says that the athlete has withdrawn
    done_at timestamptz,                            -- NULL: not looked at yet
    -- look, check: a job was made, or joined. none: nothing follows from it. foreign: of another subscription; unknown: of
    -- nobody who is connected; stranger: of an activity that is another athlete's.
    verdict text
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
CREATE INDEX event_waiting ON strava.event (id) WHERE done_at IS NULL;

-- Whether a job strava.events is there that will still look for events. Every commit of events asks, so it is a row that is
-- read, not a job's that each of them would have to write: the first one makes the job, the others find it made. A minute
-- after it was last said it is not believed any more: the job may have been thrown away.
CREATE TABLE strava.dispatcher (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    wanted_at timestamptz                           -- NULL: no job
) WITH (fillfactor = 50);
INSERT INTO strava.dispatcher DEFAULT VALUES;

-- The job, unless there is one. Whether it was made.
CREATE FUNCTION strava.want_dispatch() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM strava.dispatcher WHERE wanted_at > clock_timestamp() - interval '1 minute') THEN
        RETURN false;
    END IF;
    UPDATE strava.dispatcher SET wanted_at = clock_timestamp()
    WHERE wanted_at IS NULL OR wanted_at <= clock_timestamp() - interval '1 minute';
    IF NOT FOUND THEN
        RETURN false; -- another was first, and has committed
    END IF;
    PERFORM q.add('[{"queue": "trails", "kind": "strava.events", "ukey": "events", "prio": -10, "max_attempts": 100}]');
    RETURN true;
END $$;

-- Keeps events, in the order given, and sees to it that they are looked at. True: a job was made for that.
--
-- Whoever keeps events holds a lock, together with all others who do, until he has committed. strava.dispatch_end takes
-- it for itself: so nobody relies on a job that has looked for the last time.
CREATE FUNCTION strava.receive(athlete boolean[], aspects smallint[], objects bigint[], owners bigint[], subscriptions bigint[],
                               times timestamptz[], withdrawals boolean[])
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7305, 0);
    INSERT INTO strava.event (is_athlete, aspect, object_id, owner_id, subscription_id, event_time, withdrawn)
    SELECT u.athlete, (ARRAY['create', 'update', 'delete'])[u.aspect], u.object, u.owner, u.subscription, u.at, u.withdrawn
    FROM unnest(athlete, aspects, objects, owners, subscriptions, times, withdrawals)
        u(athlete, aspect, object, owner, subscription, at, withdrawn);
    RETURN strava.want_dispatch();
END $$;

-- Jobs that look at activities, for events. One that is queued already, however long it was to wait, is made ready now and
-- goes before a backfill's; a dead one is forgotten, since there is news. Of two athletes who are said to own one activity
-- each gets a job of his own: asking finds out which of them does.
CREATE FUNCTION strava.queue_looks(activities bigint[], athletes bigint[]) RETURNS integer
LANGUAGE plpgsql SET jit = off SET enable_seqscan = off AS $$
DECLARE
    n integer;
BEGIN
    DELETE FROM q.dead WHERE ukey = ANY (ARRAY(SELECT 'look:' || a FROM unnest(activities) a));
    INSERT INTO q.job AS j (queue, kind, prio, ukey, tenant, fair, payload)
    SELECT 'strava', 'strava.look', 2, k.ukey, k.athlete, b.base + row_number() OVER (PARTITION BY k.athlete ORDER BY k.activity),
           jsonb_build_object('activity', k.activity, 'athlete', k.athlete, 'why', 'event')
    FROM (SELECT activity, athlete, 'look:' || activity || CASE
                WHEN athlete = coalesce(twins, first_value(athlete) OVER (PARTITION BY activity ORDER BY athlete)) THEN ''
                ELSE ':' || athlete END AS ukey
          FROM (SELECT DISTINCT activity, athlete, (SELECT t.tenant FROM q.job t WHERE t.ukey = 'look:' || activity
                                                    AND t.state <> 'running') AS twins
                FROM unnest(activities, athletes) u(activity, athlete)) d) k
    JOIN (SELECT a, q.fair_base('strava', 2::smallint, a) AS base FROM (SELECT DISTINCT a FROM unnest(athletes) a) d) b
        ON b.a = k.athlete
    ORDER BY k.ukey -- as q.add does: two that add the same keys must not wait for each other
    ON CONFLICT (ukey) WHERE ukey IS NOT NULL AND state <> 'running' DO UPDATE SET state = 'ready', run_at = NULL,
        prio = least(j.prio, excluded.prio), fair = CASE WHEN j.prio > excluded.prio THEN excluded.fair ELSE j.fair END,
        payload = j.payload || excluded.payload, max_attempts = greatest(j.max_attempts, least(j.attempt + 8, 32767))
    WHERE j.tenant = excluded.tenant AND (j.prio > excluded.prio OR j.state = 'waiting');
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;

-- Jobs that find out whether athletes have withdrawn.
CREATE FUNCTION strava.queue_checks(athletes bigint[]) RETURNS integer
LANGUAGE plpgsql SET jit = off SET enable_seqscan = off AS $$
DECLARE
    n integer;
BEGIN
    DELETE FROM q.dead WHERE ukey = ANY (ARRAY(SELECT 'check:' || a FROM unnest(athletes) a));
    INSERT INTO q.job AS j (queue, kind, prio, ukey, tenant, fair, payload)
    SELECT 'strava', 'strava.check', 3, 'check:' || a, a, q.fair_base('strava', 3::smallint, a) + 1, jsonb_build_object('athlete', a)
    FROM (SELECT DISTINCT a FROM unnest(athletes) a) d
    ORDER BY 4
    ON CONFLICT (ukey) WHERE ukey IS NOT NULL AND state <> 'running' DO UPDATE SET state = 'ready', run_at = NULL,
        prio = least(j.prio, excluded.prio), fair = CASE WHEN j.prio > excluded.prio THEN excluded.fair ELSE j.fair END,
        max_attempts = greatest(j.max_attempts, least(j.attempt + 8, 32767))
    WHERE j.prio > excluded.prio OR j.state = 'waiting';
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;

-- Makes jobs of the oldest events that wait, at most so many, and marks these done. How many events it were, and jobs that
-- were made or hurried. Several may do this at the same time.
CREATE FUNCTION strava.dispatch(many integer, OUT events integer, OUT jobs integer)
LANGUAGE plpgsql SET jit = off SET enable_seqscan = off SET search_path FROM CURRENT AS $$
DECLARE
    batch bigint[] := ARRAY(SELECT id FROM strava.event WHERE done_at IS NULL ORDER BY id LIMIT many FOR NO KEY UPDATE SKIP LOCKED);
    ours bigint := (SELECT subscription_id FROM strava.app); -- NULL: events may come before we know its number
    looks bigint[];
    owners bigint[];
    checks bigint[];
BEGIN
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
            WHEN e.is_athlete THEN CASE WHEN e.withdrawn AND e.object_id = e.owner_id THEN 'check' ELSE 'none' END
            WHEN EXISTS (SELECT FROM strava.activity a WHERE a.activity_id = e.object_id AND a.athlete_id <> e.owner_id) THEN 'stranger'
            ELSE 'look' END
        WHERE e.id = ANY (batch)
        RETURNING e.verdict, e.object_id, e.owner_id
    )
    SELECT array_agg(object_id) FILTER (WHERE verdict = 'look'), array_agg(owner_id) FILTER (WHERE verdict = 'look'),
           array_agg(owner_id) FILTER (WHERE verdict = 'check')
    INTO looks, owners, checks FROM judged;
    IF looks IS NOT NULL THEN
        jobs := jobs + strava.queue_looks(looks, owners);
    END IF;
    IF checks IS NOT NULL THEN
        jobs := jobs + strava.queue_checks(checks);
    END IF;
    -- A long backlog must not be taken for a job that is gone.
    UPDATE strava.dispatcher SET wanted_at = clock_timestamp() WHERE wanted_at < clock_timestamp() - interval '20 seconds';
END $$;

-- In the transaction that ends the job: nothing waits, and nobody is about to commit something that would rely on it. Else
-- WM002: look again. It never waits for those who keep events, since others of them would stand in line behind it.
CREATE FUNCTION strava.dispatch_end() RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(7305, 0) OR EXISTS (SELECT FROM strava.event WHERE done_at IS NULL) THEN
        RAISE EXCEPTION 'more events came' USING ERRCODE = 'WM002';
    END IF;
    UPDATE strava.dispatcher SET wanted_at = NULL WHERE wanted_at IS NOT NULL;
END $$;

-- Makes the job, should events wait without one (it was thrown away, or buried). Whether it did.
CREATE FUNCTION strava.mend_dispatch() RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM strava.event WHERE done_at IS NULL)
        OR EXISTS (SELECT FROM q.job WHERE ukey = 'events' AND state <> 'running')
        OR EXISTS (SELECT FROM q.job WHERE kind = 'strava.events' AND state = 'running' AND owner IS NOT NULL) THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock_shared(7305, 0);
    UPDATE strava.dispatcher SET wanted_at = NULL;
    DELETE FROM q.dead WHERE ukey = 'events'; -- the new one does its work
    RETURN strava.want_dispatch();
END $$;

-- Forgets events that were looked at longer ago than that; how many.
CREATE FUNCTION strava.event_upkeep(keep interval) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    DELETE FROM strava.event WHERE done_at < now() - keep;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;

-- Looks after the subscription now, and every day from now on, at a time that is not everybody's.
CREATE FUNCTION strava.want_subscription() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    minute smallint := floor(random() * 60);
    hour smallint := floor(random() * 24);
    c q.cron := jsonb_populate_record(NULL::q.cron, jsonb_build_object('name', 'strava.subscribe', 'tz', 'UTC',
        'spec', format('%s %s * * *', minute, hour), 'minutes', ARRAY[minute], 'hours', ARRAY[hour],
        'days', ARRAY(SELECT generate_series(1, 31)), 'months', ARRAY(SELECT generate_series(1, 12)),
        'weekdays', ARRAY(SELECT generate_series(0, 6)), 'any_day', false, 'any_hour', false));
BEGIN
    INSERT INTO q.cron (name, spec, tz, minutes, hours, days, months, weekdays, any_day, any_hour, queue, kind, next_at)
    VALUES (c.name, c.spec, c.tz, c.minutes, c.hours, c.days, c.months, c.weekdays, c.any_day, c.any_hour, 'trails', c.name,
            q.cron_next(c, clock_timestamp()))
    ON CONFLICT (name) DO NOTHING;
    DELETE FROM q.dead WHERE ukey = 'subscribe';
    PERFORM q.add('[{"queue": "trails", "kind": "strava.subscribe", "ukey": "subscribe", "prio": 5, "max_attempts": 16}]');
    UPDATE q.job SET state = 'ready', run_at = NULL WHERE ukey = 'subscribe' AND state = 'waiting';
END $$;
