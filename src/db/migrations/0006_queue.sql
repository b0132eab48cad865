-- The whole queue: lanes, fairness, deadlines, cancellation, schedules, rates, idempotent requests, pauses, audit, history
-- in partitions, samples. See src/jobs/jobs.h for the rules. Functions that instances of the previous version call keep
-- their signatures, so that both can run side by side during an upgrade.

SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true); -- as in 0003

ALTER TABLE q.job
    ADD COLUMN fair bigint NOT NULL DEFAULT 0,      -- start time on its tenant's clock: order among equals of one prio
    ADD COLUMN lane text,                           -- one after the other, in order of id
    ADD COLUMN halt boolean NOT NULL DEFAULT false, -- its death stops its lane; else the next one goes on
    ADD COLUMN cancel boolean NOT NULL DEFAULT false, -- asked for while it ran
    ADD COLUMN timeout_s integer,                   -- of one attempt
    ADD COLUMN deadline_at timestamptz,             -- of the running attempt, by the database's clock
    ADD COLUMN parent bigint;                       -- the job whose result made this one

-- At most one job of a lane is anything but blocked: disorder is an error here, not a habit.
CREATE UNIQUE INDEX job_lane_head ON q.job (lane) WHERE lane IS NOT NULL AND state <> 'blocked';
CREATE INDEX job_lane_rest ON q.job (lane, id) WHERE state = 'blocked';
DROP INDEX q.job_claim;
CREATE INDEX job_claim ON q.job (queue, prio, fair, id) WHERE state = 'ready' AND NOT suspect;
DROP INDEX q.job_due;
CREATE INDEX job_due ON q.job (queue, run_at) WHERE state = 'waiting';
-- For the clock of a tenant; without the running ones, so that a claim leaves it alone.
CREATE INDEX job_tenant ON q.job (queue, tenant, prio, fair) WHERE tenant IS NOT NULL AND state <> 'running';
CREATE INDEX job_deadline ON q.job (deadline_at) WHERE state = 'running' AND deadline_at IS NOT NULL;
CREATE INDEX job_cancel ON q.job (owner) WHERE state = 'running' AND cancel;

ALTER TABLE q.dead
    ADD COLUMN lane text,
    ADD COLUMN halt boolean NOT NULL DEFAULT false,
    ADD COLUMN timeout_s integer,
    ADD COLUMN parent bigint,
    ADD COLUMN owner bigint;
CREATE INDEX dead_kind ON q.dead (queue, kind, died_at);

ALTER TABLE q.instance
    ADD COLUMN queue text,
    ADD COLUMN sessions text NOT NULL DEFAULT current_setting('application_name'), -- how its sessions are called, to a "-"
    ADD COLUMN slots integer NOT NULL DEFAULT 0,    -- batches it runs at once
    ADD COLUMN running integer NOT NULL DEFAULT 0;  -- jobs in flight, as of its last beat

-- What an operator says about a queue. No row: nothing special.
CREATE TABLE q.queue (
    name text PRIMARY KEY,
    max_running integer CHECK (max_running >= 0)    -- jobs at once over all instances
);
-- What may not be claimed: a whole queue, or a kind, or a tenant of it. A NULL means any.
CREATE TABLE q.pause (
    queue text NOT NULL,
    kind text,
    tenant bigint,
    at timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (queue, kind, tenant)
);
-- Lanes that a dead job has stopped: nothing of them is promoted until it is retried or discarded.
CREATE TABLE q.halted (
    lane text PRIMARY KEY,
    job bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
-- How far the tenants' clocks have come where jobs are claimed. Whoever claims writes it now and then.
CREATE TABLE q.clock (
    queue text NOT NULL,
    prio smallint NOT NULL,
    fair bigint NOT NULL,
    PRIMARY KEY (queue, prio)
) WITH (fillfactor = 50);

-- Fixed windows of quarter hours and UTC days, as Strava counts them; windows are numbered from the epoch.
CREATE TABLE q.rate (
    name text PRIMARY KEY,
    cap15 integer NOT NULL CHECK (cap15 >= 0),
    capday integer NOT NULL CHECK (capday >= 0),
    win15 bigint NOT NULL DEFAULT 0,
    used15 integer NOT NULL DEFAULT 0,
    winday bigint NOT NULL DEFAULT 0,
    usedday integer NOT NULL DEFAULT 0,
    reserve real NOT NULL DEFAULT 0.3 CHECK (reserve BETWEEN 0 AND 1), -- share that only live work may use
    guard_s real NOT NULL DEFAULT 2,                -- at the end of a window nothing is taken: clocks differ
    offset_s real NOT NULL DEFAULT 0,               -- their clock minus ours
    paused_until timestamptz,                       -- nothing at all before
    learnt_at timestamptz
) WITH (fillfactor = 50);

CREATE TABLE q.cron (
    name text PRIMARY KEY,
    spec text NOT NULL,
    tz text NOT NULL DEFAULT 'UTC',
    minutes smallint[] NOT NULL,                    -- the spec, taken apart (jobs_cron_parse)
    hours smallint[] NOT NULL,
    days smallint[] NOT NULL,
    months smallint[] NOT NULL,
    weekdays smallint[] NOT NULL,                   -- 0 is Sunday
    any_day boolean NOT NULL,                       -- both day fields restricted: either of them will do
    any_hour boolean NOT NULL,                      -- hours not restricted: it follows real time through clock changes
    queue text NOT NULL,
    kind text NOT NULL,
    prio smallint NOT NULL DEFAULT 0,
    payload jsonb NOT NULL DEFAULT '{}',
    catchup text NOT NULL DEFAULT 'one' CHECK (catchup IN ('none', 'one', 'all')),
    paused boolean NOT NULL DEFAULT false,
    next_at timestamptz NOT NULL,
    last_at timestamptz,                            -- the slot that was enqueued last
    missed bigint NOT NULL DEFAULT 0,               -- slots that passed while nobody ran
    problem text                                    -- why it could not be fired: next_at is infinity until somebody mends it
);

-- Requests that were accepted; the same key again gives the same job for as long as it is kept.
CREATE TABLE q.dedup (
    key text PRIMARY KEY,
    job bigint NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX dedup_expires ON q.dedup (expires_at);

CREATE TABLE q.audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    who text NOT NULL,
    command text NOT NULL,
    filter jsonb NOT NULL DEFAULT '{}',
    jobs bigint NOT NULL,
    complete boolean NOT NULL DEFAULT true          -- false: still under way, or interrupted
);

-- For graphs. depth: one row a queue each time somebody counted. flow: what one instance did since its last row.
CREATE TABLE q.depth (
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    queue text NOT NULL,
    ready bigint NOT NULL, waiting bigint NOT NULL, blocked bigint NOT NULL, running bigint NOT NULL, dead bigint NOT NULL,
    oldest_s real,                                  -- age of the ready job that waits longest
    count_ms real NOT NULL
);
CREATE INDEX depth_at ON q.depth (at);
CREATE TABLE q.flow (
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    queue text NOT NULL,
    instance bigint NOT NULL,
    claimed bigint NOT NULL, finished bigint NOT NULL, retried bigint NOT NULL, buried bigint NOT NULL,
    fenced bigint NOT NULL, rescued bigint NOT NULL,
    run_ms bigint NOT NULL                          -- of the batches that ended, together
);
CREATE INDEX flow_at ON q.flow (at);

-- ---- lanes --------------------------------------------------------------------------------------

-- Whoever adds to a lane or takes from it holds the lane until he commits; the new statement after the lock sees what
-- the one before him did. In order of the hash, so that two with several lanes cannot wait for each other.
CREATE FUNCTION q.lock_lanes(lanes text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7301, h) FROM (SELECT DISTINCT hashtext(l) AS h FROM unnest(lanes) l ORDER BY 1) x;
END $$;

-- The next of each lane without a head. The lanes must be locked. Returns how many.
CREATE FUNCTION q.promote(lanes text[]) RETURNS integer LANGUAGE plpgsql SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    n integer;
BEGIN
    UPDATE q.job j SET state = CASE WHEN j.run_at > now() THEN 'waiting'::q.state ELSE 'ready'::q.state END,
        run_at = CASE WHEN j.run_at > now() THEN j.run_at END
    WHERE j.id IN (SELECT (SELECT min(b.id) FROM q.job b WHERE b.lane = l AND b.state = 'blocked')
                   FROM (SELECT DISTINCT l FROM unnest(lanes) l WHERE l IS NOT NULL) x
                   WHERE NOT EXISTS (SELECT FROM q.job h WHERE h.lane = l AND h.state <> 'blocked')
                     AND NOT EXISTS (SELECT FROM q.halted s WHERE s.lane = l));
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;

-- Lanes that should have a head and have none. Must find nothing: whoever calls it counts what it found.
CREATE FUNCTION q.repair_lanes() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    stuck text[] := ARRAY(
        SELECT DISTINCT b.lane FROM q.job b
        WHERE b.state = 'blocked'
            AND NOT EXISTS (SELECT FROM q.job h WHERE h.lane = b.lane AND h.state <> 'blocked')
            AND NOT EXISTS (SELECT FROM q.halted s WHERE s.lane = b.lane));
BEGIN
    IF stuck = '{}' THEN
        RETURN 0;
    END IF;
    PERFORM q.lock_lanes(stuck);
    RETURN q.promote(stuck); -- looks again, now that nobody is about to do it
END $$;

-- ---- into the queue -----------------------------------------------------------------------------

-- Where a tenant's next job stands on the clock, less one: behind his own, but never behind others' backlog.
CREATE FUNCTION q.fair_base(of_queue text, of_prio smallint, of_tenant bigint) RETURNS bigint LANGUAGE sql AS $$
    SELECT greatest(
        (SELECT max(fair) FROM q.job WHERE queue = of_queue AND tenant = of_tenant AND prio = of_prio AND state <> 'running'),
        (SELECT fair FROM q.clock WHERE queue = of_queue AND prio = of_prio), 0)
$$;

-- Adds jobs: an array of objects with queue, kind and, where wanted, payload, prio, max_attempts, run_at, ukey, tenant,
-- lane, halt, timeout_s, parent. One whose ukey is queued already joins it; that twin is touched, so that it cannot be
-- claimed, and end, before our transaction is seen. Two of one call with one ukey are one job, the first of them. Ids
-- rise in the order given within a lane. Returns ids in no order, the twins' among them.
CREATE FUNCTION q.add(jobs jsonb) RETURNS SETOF bigint LANGUAGE plpgsql SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    lanes text[];
BEGIN
    IF jsonb_path_exists(jobs, '$[*].lane') THEN
        lanes := ARRAY(SELECT DISTINCT x->>'lane' FROM jsonb_array_elements(jobs) x WHERE x->>'lane' IS NOT NULL);
        PERFORM q.lock_lanes(lanes);
    END IF;
    IF lanes IS NULL AND NOT jsonb_path_exists(jobs, '$[*].tenant') THEN
        RETURN QUERY WITH given AS MATERIALIZED (
            SELECT *, row_number() OVER (PARTITION BY ukey ORDER BY ordinality) AS nth FROM ROWS FROM (jsonb_to_recordset(jobs) AS (
                queue text, kind text, prio smallint, max_attempts smallint, run_at timestamptz, ukey text,
                timeout_s integer, parent bigint, payload jsonb)) WITH ORDINALITY
        )
        INSERT INTO q.job AS j (queue, kind, state, prio, max_attempts, run_at, ukey, timeout_s, parent, payload)
        SELECT x.queue, x.kind, CASE WHEN x.run_at > now() THEN 'waiting'::q.state ELSE 'ready'::q.state END,
               coalesce(x.prio, 0), coalesce(x.max_attempts, 8), CASE WHEN x.run_at > now() THEN x.run_at END, x.ukey,
               x.timeout_s, x.parent, coalesce(x.payload, '{}')
        FROM given x WHERE x.ukey IS NULL OR x.nth = 1
        ORDER BY x.ukey, x.ordinality -- two that add the same keys must not wait for each other
        ON CONFLICT (ukey) WHERE ukey IS NOT NULL AND state <> 'running' DO UPDATE SET last_error = j.last_error
        RETURNING j.id;
        RETURN;
    END IF;
    RETURN QUERY WITH given AS MATERIALIZED ( -- ids first: what follows is in order of the keys
        SELECT r.*, row_number() OVER (PARTITION BY ukey ORDER BY ordinality) AS nth
        FROM (SELECT *, nextval('q.job_id_seq') AS id FROM ROWS FROM (jsonb_to_recordset(jobs) AS (
            queue text, kind text, prio smallint, max_attempts smallint, run_at timestamptz, ukey text, tenant bigint,
            lane text, halt boolean, timeout_s integer, parent bigint, payload jsonb)) WITH ORDINALITY) r
    ), tenants AS MATERIALIZED (
        SELECT g.queue, coalesce(g.prio, 0::smallint) AS prio, g.tenant, q.fair_base(g.queue, coalesce(g.prio, 0::smallint), g.tenant) AS base
        FROM given g WHERE g.tenant IS NOT NULL GROUP BY 1, 2, 3
    )
    INSERT INTO q.job AS j (id, queue, kind, state, prio, fair, max_attempts, run_at, ukey, tenant, lane, halt, timeout_s, parent, payload)
    OVERRIDING SYSTEM VALUE
    SELECT x.id, x.queue, x.kind,
           CASE WHEN x.lane IS NOT NULL THEN 'blocked'::q.state WHEN x.run_at > now() THEN 'waiting'::q.state ELSE 'ready'::q.state END,
           coalesce(x.prio, 0::smallint),
           coalesce(t.base + row_number() OVER (PARTITION BY x.queue, coalesce(x.prio, 0), x.tenant ORDER BY x.ordinality), 0),
           coalesce(x.max_attempts, 8::smallint), CASE WHEN x.run_at > now() THEN x.run_at END, x.ukey, x.tenant, x.lane,
           coalesce(x.halt, false), x.timeout_s, x.parent, coalesce(x.payload, '{}')
    FROM given x LEFT JOIN tenants t ON t.queue = x.queue AND t.prio = coalesce(x.prio, 0) AND t.tenant = x.tenant
    WHERE x.ukey IS NULL OR x.nth = 1
    ORDER BY x.ukey, x.ordinality
    ON CONFLICT (ukey) WHERE ukey IS NOT NULL AND state <> 'running' DO UPDATE SET last_error = j.last_error
    RETURNING j.id;
    IF lanes IS NOT NULL THEN
        PERFORM q.promote(lanes);
    END IF;
END $$;

-- One request, once: the same key again, within its time, adds nothing and gives the same job.
CREATE FUNCTION q.add_once(request_key text, keep interval, job jsonb) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    was bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(7302, hashtext(request_key)); -- two at the same moment: the second waits, then sees
    SELECT d.job INTO was FROM q.dedup d WHERE d.key = request_key AND d.expires_at > now();
    IF FOUND THEN
        RETURN was;
    END IF;
    SELECT a INTO was FROM q.add(jsonb_build_array(job)) a;
    INSERT INTO q.dedup (key, job, expires_at) VALUES (request_key, was, now() + keep)
    ON CONFLICT (key) DO UPDATE SET job = excluded.job, expires_at = excluded.expires_at;
    RETURN was;
END $$;

-- Activities of one athlete take turns with those of others. See 0003 for the conflict clause; but attempts go on counting,
-- so that no two of a job have one number: the fence tells a late one, whose job was taken away, from the one that has it now.
CREATE OR REPLACE FUNCTION waymark_queue_matches(ids bigint[], athletes bigint[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT SET jit = off SET enable_seqscan = off AS $$
    DELETE FROM q.dead WHERE ukey = ANY (ARRAY(SELECT 'match:' || id FROM unnest(ids) id));
    INSERT INTO q.job (queue, kind, prio, ukey, tenant, fair, payload)
    SELECT 'trails', 'match', 10, 'match:' || u.id, u.athlete,
           b.base + row_number() OVER (PARTITION BY u.athlete ORDER BY u.id), jsonb_build_object('activity', u.id)
    FROM unnest(ids, athletes) u(id, athlete)
    JOIN (SELECT a, q.fair_base('trails', 10::smallint, a) AS base FROM (SELECT DISTINCT a FROM unnest(athletes) a) d) b
        ON b.a = u.athlete
    ORDER BY 4 -- as q.add does: two that add the same keys must not wait for each other
    ON CONFLICT (ukey) WHERE ukey IS NOT NULL AND state <> 'running' DO UPDATE SET state = 'ready', run_at = NULL,
        max_attempts = least(q.job.attempt + 8, 32767);
$$;
CREATE OR REPLACE FUNCTION waymark_queue_stats(athletes bigint[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    DELETE FROM q.dead WHERE ukey = ANY (ARRAY(SELECT 'stats:' || athlete FROM unnest(athletes) athlete));
    INSERT INTO q.job (queue, kind, prio, ukey, tenant, payload)
    SELECT 'trails', 'stats', 20, 'stats:' || u.athlete, u.athlete, jsonb_build_object('athlete', u.athlete)
    FROM (SELECT DISTINCT a FROM unnest(athletes) a) u(athlete) ORDER BY 4
    ON CONFLICT (ukey) WHERE ukey IS NOT NULL AND state <> 'running' DO UPDATE SET state = 'ready', run_at = NULL,
        max_attempts = least(q.job.attempt + 8, 32767);
$$;
CREATE OR REPLACE FUNCTION waymark_queue_routes(ids text[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    DELETE FROM q.dead WHERE ukey = ANY (ARRAY(SELECT 'route:' || id FROM unnest(ids) id));
    INSERT INTO q.job (queue, kind, prio, ukey, payload)
    SELECT 'trails', 'route', 0, 'route:' || u.id, jsonb_build_object('route', u.id)
    FROM unnest(ids) u(id) ORDER BY 4
    ON CONFLICT (ukey) WHERE ukey IS NOT NULL AND state <> 'running' DO UPDATE SET state = 'ready', run_at = NULL,
        max_attempts = least(q.job.attempt + 8, 32767);
$$;

-- ---- claims -------------------------------------------------------------------------------------

-- How many more of a queue may run, at most so many. Counted from the rows, under a lock: a counter of its own would drift.
CREATE FUNCTION q.take_room(from_queue text, many integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    cap integer;
BEGIN
    SELECT x.max_running INTO cap FROM q.queue x WHERE x.name = from_queue AND x.max_running IS NOT NULL FOR UPDATE;
    IF FOUND THEN
        many := least(many, cap - (SELECT count(*) FROM q.job j WHERE j.state = 'running' AND j.queue = from_queue));
    END IF;
    RETURN greatest(0, coalesce(many, 0));
END $$;

-- Those of the kinds that are not paused as a whole: what is paused is not even looked at, however much of it waits.
CREATE FUNCTION q.unpaused(from_queue text, kinds text[]) RETURNS text[] LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM q.pause p WHERE p.queue = from_queue AND p.tenant IS NULL) THEN
        RETURN kinds;
    END IF;
    RETURN ARRAY(SELECT k FROM unnest(kinds) k WHERE NOT EXISTS (
        SELECT FROM q.pause p WHERE p.queue = from_queue AND p.tenant IS NULL AND (p.kind IS NULL OR p.kind = k)));
END $$;

-- The next ready jobs from the cursor on, in order of (prio, fair, id), for an owner. The cursor spares a busy claimer the
-- index entries of what was done before, which a transaction held open somewhere keeps from being cleaned away. For the
-- settings and the materialised CTE see q.claim. timeouts: seconds, for each kind, NULL for none.
CREATE FUNCTION q.take(from_queue text, many integer, me bigint, kinds text[], timeouts integer[],
                       c_prio smallint, c_fair bigint, c_id bigint)
RETURNS TABLE (job bigint, job_kind text, job_prio bigint, job_fair bigint, job_attempt integer, job_max_attempts integer,
               job_crashes integer, job_tenant bigint, job_timeout_s integer, job_lane text, job_payload text)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    allowed text[];
    room integer;
BEGIN
    -- The usual case, in one statement: no operator has said anything.
    IF NOT EXISTS (SELECT FROM q.pause p WHERE p.queue = from_queue)
        AND NOT EXISTS (SELECT FROM q.queue x WHERE x.name = from_queue AND x.max_running IS NOT NULL) THEN
        RETURN QUERY WITH c AS MATERIALIZED (
            SELECT j.id FROM q.job j
            WHERE j.queue = from_queue AND j.state = 'ready' AND NOT j.suspect AND j.kind = ANY (kinds)
                AND (j.prio, j.fair, j.id) >= (c_prio, c_fair, c_id)
            ORDER BY j.prio, j.fair, j.id LIMIT greatest(0, coalesce(many, 0))
            FOR NO KEY UPDATE SKIP LOCKED
        ) UPDATE q.job j SET state = 'running', attempt = j.attempt + 1, owner = me, started_at = clock_timestamp(),
            deadline_at = clock_timestamp() + make_interval(secs => coalesce(j.timeout_s, timeouts[array_position(kinds, j.kind)]))
        WHERE j.id = ANY (ARRAY(SELECT c.id FROM c))
        RETURNING j.id, j.kind, j.prio::bigint, j.fair, j.attempt, j.max_attempts::integer, j.crashes::integer, j.tenant,
                  j.timeout_s, j.lane, j.payload::text;
        RETURN;
    END IF;
    allowed := q.unpaused(from_queue, kinds);
    IF allowed = '{}' THEN
        RETURN;
    END IF;
    room := q.take_room(from_queue, many);
    IF room = 0 THEN
        RETURN;
    END IF;
    RETURN QUERY WITH c AS MATERIALIZED (
        SELECT j.id FROM q.job j
        WHERE j.queue = from_queue AND j.state = 'ready' AND NOT j.suspect AND j.kind = ANY (allowed)
            AND (j.prio, j.fair, j.id) >= (c_prio, c_fair, c_id)
            AND NOT EXISTS (SELECT FROM q.pause p WHERE p.queue = from_queue AND p.tenant = j.tenant
                            AND (p.kind IS NULL OR p.kind = j.kind))
        ORDER BY j.prio, j.fair, j.id LIMIT room
        FOR NO KEY UPDATE OF j SKIP LOCKED
    ) UPDATE q.job j SET state = 'running', attempt = j.attempt + 1, owner = me, started_at = clock_timestamp(),
        deadline_at = clock_timestamp() + make_interval(secs => coalesce(j.timeout_s, timeouts[array_position(kinds, j.kind)]))
    WHERE j.id = ANY (ARRAY(SELECT c.id FROM c))
    RETURNING j.id, j.kind, j.prio::bigint, j.fair, j.attempt, j.max_attempts::integer, j.crashes::integer, j.tenant,
              j.timeout_s, j.lane, j.payload::text;
END $$;

-- For instances of the previous version, in the new order.
CREATE OR REPLACE FUNCTION q.claim(from_queue text, many integer, me bigint, kinds text[])
RETURNS TABLE (job bigint, job_kind text, job_prio bigint, job_attempt integer, job_max_attempts integer,
               job_crashes integer, job_tenant bigint, job_payload text)
LANGUAGE sql AS $$
    SELECT t.job, t.job_kind, t.job_prio, t.job_attempt, t.job_max_attempts, t.job_crashes, t.job_tenant, t.job_payload
    FROM q.take(from_queue, many, me, kinds, '{}', (-32768)::smallint, (-1)::bigint, 0) t
$$;

-- What is due becomes ready, schedules fire, and what the claimer needs to know: milliseconds until something is due again
-- (NULL: nothing is), and whether a job waits that must run alone. c_prio, c_fair: the last job that was claimed, which
-- sets the clock of its prio.
CREATE FUNCTION q.due(of_queue text, kinds text[], c_prio smallint, c_fair bigint)
RETURNS TABLE (next_ms bigint, suspects boolean)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    soonest timestamptz;
    t timestamptz := clock_timestamp(); -- as a variable: an index cannot be searched for what changes meanwhile
BEGIN
    -- What may wait for others comes first, while we hold nothing that they may want.
    IF EXISTS (SELECT FROM q.job WHERE state = 'running' AND deadline_at < t - interval '30 seconds') THEN
        PERFORM q.rescue_late(interval '30 seconds'); -- long enough for its own instance to have given it up
    END IF;
    IF EXISTS (SELECT FROM q.cron WHERE next_at <= t AND NOT paused) THEN
        PERFORM q.cron_fire();
    END IF;
    UPDATE q.job SET state = 'ready', run_at = NULL
    WHERE id = ANY (ARRAY(SELECT id FROM q.job WHERE state = 'waiting' AND queue = of_queue AND run_at <= t
                          ORDER BY run_at LIMIT 500 FOR UPDATE SKIP LOCKED));
    IF c_fair > 0 THEN
        INSERT INTO q.clock (queue, prio, fair) SELECT of_queue, c_prio, c_fair
        WHERE NOT EXISTS (SELECT FROM q.clock WHERE queue = of_queue AND prio = c_prio) ON CONFLICT DO NOTHING;
        UPDATE q.clock SET fair = c_fair WHERE ctid = ANY (ARRAY( -- a moment's clock is not worth a wait
            SELECT ctid FROM q.clock WHERE queue = of_queue AND prio = c_prio AND fair < c_fair FOR UPDATE SKIP LOCKED));
    END IF;
    SELECT least((SELECT run_at FROM q.job WHERE state = 'waiting' AND queue = of_queue ORDER BY run_at LIMIT 1),
                 (SELECT min(next_at) FROM q.cron WHERE NOT paused)) INTO soonest;
    next_ms := CASE WHEN isfinite(soonest) THEN (greatest(0, extract(epoch FROM soonest - clock_timestamp())) * 1000)::bigint END;
    suspects := EXISTS (SELECT FROM q.job WHERE queue = of_queue AND state = 'ready' AND suspect AND kind = ANY (kinds));
    RETURN NEXT;
END $$;

-- ---- ends ---------------------------------------------------------------------------------------

-- The fence, as in 0002, whose join went through all pairs of a batch once its plan was a generic one: jobs are found by
-- their ids alone (an owner means running), in order of id, as all do who lock many; and attempts compared by a hash.
CREATE OR REPLACE FUNCTION q.finish(ids bigint[], attempts integer[], me bigint) RETURNS void
LANGUAGE plpgsql SET enable_nestloop = off SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    n integer;
BEGIN
    WITH gone AS (
        DELETE FROM q.job j WHERE j.id = ANY (ids) AND j.owner IS NOT NULL AND j.owner IS NOT DISTINCT FROM me RETURNING j.*
    )
    INSERT INTO q.done (id, attempt, queue, kind, tenant, owner, outcome, created_at, started_at)
    SELECT g.id, g.attempt, g.queue, g.kind, g.tenant, g.owner, 'done', g.created_at, g.started_at
    FROM gone g JOIN (SELECT DISTINCT id, attempt FROM unnest(ids, attempts) x(id, attempt)) u ON u.id = g.id AND u.attempt = g.attempt;
    GET DIAGNOSTICS n = ROW_COUNT;
    IF n <> cardinality(ids) THEN
        RAISE EXCEPTION 'fenced: % of % jobs are no longer ours', cardinality(ids) - n, cardinality(ids)
            USING ERRCODE = 'WM001';
    END IF;
END $$;

-- The fence for jobs of lanes: the next of each is ready once this is committed.
CREATE FUNCTION q.finish(ids bigint[], attempts integer[], me bigint, lanes text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM q.lock_lanes(lanes);
    PERFORM q.finish(ids, attempts, me);
    PERFORM q.promote(lanes);
END $$;

-- See 0002. A job that was to be cancelled is; lanes go on. Rows are locked in order of id, as all do who lock many; keys
-- are taken in their order, as q.add does.
CREATE OR REPLACE FUNCTION q.requeue(ids bigint[], me bigint, delays float8[], error text, refund boolean, crashed boolean)
RETURNS integer LANGUAGE plpgsql SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    one record;
    n integer := 0;
    turn integer;
    alone boolean := crashed AND cardinality(ids) = 1;
    lanes text[] := ARRAY(SELECT DISTINCT lane FROM q.job WHERE id = ANY (ids) AND lane IS NOT NULL);
    violated text;
BEGIN
    PERFORM q.lock_lanes(lanes);
    PERFORM FROM q.job WHERE id = ANY (ids) AND owner = me ORDER BY id FOR NO KEY UPDATE;
    FOR one IN
        SELECT j.id, j.ukey, j.crashes, j.cancel, u.delay
        FROM (SELECT id, max(delay) AS delay FROM unnest(ids, delays) x(id, delay) GROUP BY id) u JOIN q.job j ON j.id = u.id
        WHERE j.owner = me AND j.state = 'running' ORDER BY j.ukey, j.id
    LOOP
        n := n + 1;
        IF alone AND one.crashes >= 9 THEN
            PERFORM q.bury(ARRAY[one.id], me, 'crashes', coalesce(error, 'its process died ten times while it ran alone'));
            CONTINUE;
        END IF;
        turn := 0;
        LOOP
            WITH gone AS (
                DELETE FROM q.job j WHERE j.id = one.id AND (one.cancel
                    OR EXISTS (SELECT FROM q.job twin WHERE twin.ukey = one.ukey AND twin.state <> 'running'))
                RETURNING j.*
            )
            INSERT INTO q.done (id, attempt, queue, kind, tenant, owner, outcome, created_at, started_at)
            SELECT g.id, g.attempt, g.queue, g.kind, g.tenant, g.owner, CASE WHEN g.cancel THEN 'cancelled' ELSE 'superseded' END,
                   g.created_at, g.started_at FROM gone g;
            EXIT WHEN FOUND;
            BEGIN
                UPDATE q.job SET state = CASE WHEN one.delay > 0 THEN 'waiting'::q.state ELSE 'ready'::q.state END,
                    run_at = CASE WHEN one.delay > 0 THEN clock_timestamp() + make_interval(secs => one.delay) END,
                    owner = NULL, deadline_at = NULL, last_error = coalesce(error, last_error),
                    attempt = attempt - CASE WHEN refund THEN 1 ELSE 0 END,
                    crashes = crashes + CASE WHEN alone THEN 1 ELSE 0 END,
                    suspect = suspect OR crashed
                WHERE id = one.id;
                EXIT;
            EXCEPTION WHEN unique_violation THEN
                -- A twin was queued this moment: the next turn of the loop sees it. It never would under a snapshot
                -- older than that.
                GET STACKED DIAGNOSTICS violated = CONSTRAINT_NAME;
                turn := turn + 1;
                IF violated <> 'job_ukey' OR turn > 100 THEN
                    RAISE;
                END IF;
            END;
        END LOOP;
    END LOOP;
    PERFORM q.promote(lanes);
    RETURN n;
END $$;

CREATE OR REPLACE FUNCTION q.bury(ids bigint[], me bigint, why text, error text) RETURNS void
LANGUAGE plpgsql SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    lanes text[] := ARRAY(SELECT DISTINCT lane FROM q.job WHERE id = ANY (ids) AND lane IS NOT NULL);
BEGIN
    PERFORM q.lock_lanes(lanes);
    WITH gone AS (
        DELETE FROM q.job j WHERE j.id = ANY (ids) AND j.owner = me AND j.state = 'running' RETURNING j.*
    ), stops AS (
        INSERT INTO q.halted (lane, job) SELECT lane, id FROM gone WHERE halt AND lane IS NOT NULL ON CONFLICT DO NOTHING
    )
    INSERT INTO q.dead (id, queue, kind, prio, attempt, max_attempts, crashes, ukey, tenant, payload, last_error, created_at,
                        reason, lane, halt, timeout_s, parent, owner)
    SELECT g.id, g.queue, g.kind, g.prio, g.attempt, g.max_attempts, g.crashes, g.ukey, g.tenant, g.payload,
           coalesce(error, g.last_error), g.created_at, why, g.lane, g.halt, g.timeout_s, g.parent, g.owner FROM gone g;
    PERFORM q.promote(lanes);
END $$;

-- See 0002. An instance that hangs may hang in the middle of what it sends: its transaction then stands open, with locks on
-- its jobs and on what it was about to write, and no timeout of the server ends it, since to the server it is active. No
-- session of a healthy instance waits for its client within a transaction, because all of a transaction is sent at once:
-- whoever does for 15 s, among the sessions called as the dead one's are, is ended first.
CREATE OR REPLACE FUNCTION q.rescue(dead bigint, expected_beat bigint) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    n integer;
BEGIN
    PERFORM pg_terminate_backend(s.pid, 5000) FROM pg_stat_activity s
    WHERE s.datname = current_database() AND s.usename = current_user AND s.state = 'active' AND s.wait_event = 'ClientRead'
        AND s.xact_start IS NOT NULL AND s.state_change < clock_timestamp() - interval '15 seconds'
        AND starts_with(s.application_name, split_part((SELECT i.sessions FROM q.instance i WHERE i.id = dead), '-', 1));
    DELETE FROM q.instance WHERE id = dead AND beat = expected_beat;
    IF NOT FOUND AND EXISTS (SELECT FROM q.instance WHERE id = dead) THEN
        RETURN -1; -- perhaps since this moment: the deletion waits for a beat that is about to commit
    END IF;
    SELECT q.requeue(array_agg(id), dead, array_agg(0::float8), NULL, true, true) INTO n
    FROM q.job WHERE owner = dead AND state = 'running';
    RETURN coalesce(n, 0);
END $$;

-- Jobs of living instances that are long past their deadline: whoever has them hangs or cannot reach us. Back they go, or
-- to the dead letters after the last attempt; the fence drops what a late one still brings. Returns how many.
CREATE FUNCTION q.rescue_late(grace interval) RETURNS integer LANGUAGE plpgsql SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    one record;
    n integer := 0;
    late bigint[];
    due timestamptz := clock_timestamp() - grace;
BEGIN
    late := ARRAY(SELECT id FROM q.job WHERE state = 'running' AND deadline_at < due ORDER BY deadline_at LIMIT 100);
    PERFORM q.lock_lanes(ARRAY(SELECT DISTINCT lane FROM q.job WHERE id = ANY (late) AND lane IS NOT NULL));
    FOR one IN -- as they are now: another may have been here, and a job be running anew; one that ends is let go
        SELECT id, owner, attempt, max_attempts, cancel FROM q.job
        WHERE id = ANY (late) AND state = 'running' AND deadline_at < due ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        IF one.attempt >= one.max_attempts AND NOT one.cancel THEN
            PERFORM q.bury(ARRAY[one.id], one.owner, 'attempts', 'it was not done by its deadline');
        ELSE
            PERFORM q.requeue(ARRAY[one.id], one.owner, ARRAY[least(3600, 2 ^ least(one.attempt, 12))],
                              'it was not done by its deadline', false, false);
        END IF;
        n := n + 1;
    END LOOP;
    RETURN n;
END $$;

-- ---- what an operator does ----------------------------------------------------------------------

-- Dead letters become jobs again, each with its id and its place in its lane, and behind what its tenant has queued. One
-- whose twin is queued already leaves as superseded: the twin does the work.
CREATE FUNCTION q.retry(ids bigint[]) RETURNS integer LANGUAGE plpgsql SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    lanes text[] := ARRAY(SELECT DISTINCT lane FROM q.dead WHERE id = ANY (ids) AND lane IS NOT NULL);
    n integer;
BEGIN
    PERFORM q.lock_lanes(lanes);
    PERFORM FROM q.dead WHERE id = ANY (ids) ORDER BY id FOR UPDATE;
    -- The attempts go on counting: so no two attempts of a job have one number, and the fence holds.
    WITH gone AS (
        DELETE FROM q.dead WHERE id = ANY (ids) RETURNING *
    ), tenants AS MATERIALIZED (
        SELECT g.queue, g.prio, g.tenant, q.fair_base(g.queue, g.prio, g.tenant) AS base
        FROM gone g WHERE g.tenant IS NOT NULL GROUP BY 1, 2, 3
    ), back AS (
        INSERT INTO q.job (id, queue, kind, state, prio, fair, attempt, max_attempts, suspect, ukey, tenant, lane, halt, timeout_s,
                           parent, payload, last_error, created_at)
        OVERRIDING SYSTEM VALUE
        SELECT g.id, g.queue, g.kind, CASE WHEN g.lane IS NULL THEN 'ready'::q.state ELSE 'blocked'::q.state END, g.prio,
               coalesce(t.base + row_number() OVER (PARTITION BY g.queue, g.prio, g.tenant ORDER BY g.id), 0), g.attempt,
               least(g.attempt + 8, 32767), g.reason = 'crashes', g.ukey, g.tenant, g.lane, g.halt, g.timeout_s, g.parent, g.payload,
               g.last_error, g.created_at
        FROM gone g LEFT JOIN tenants t ON t.queue = g.queue AND t.prio = g.prio AND t.tenant = g.tenant
        ORDER BY g.ukey, g.id
        ON CONFLICT (ukey) WHERE ukey IS NOT NULL AND state <> 'running' DO NOTHING
        RETURNING id
    ), superseded AS (
        INSERT INTO q.done (id, attempt, queue, kind, tenant, owner, outcome, created_at)
        SELECT g.id, g.attempt, g.queue, g.kind, g.tenant, g.owner, 'superseded', g.created_at
        FROM gone g WHERE g.id NOT IN (SELECT b.id FROM back b)
    ), freed AS (
        DELETE FROM q.halted h USING gone g WHERE h.job = g.id
    )
    SELECT count(*) INTO n FROM gone;
    PERFORM q.promote(lanes);
    RETURN n;
END $$;

-- Dead letters are thrown away; a lane that one of them stopped goes on.
CREATE FUNCTION q.discard(ids bigint[]) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    lanes text[] := ARRAY(SELECT DISTINCT lane FROM q.dead WHERE id = ANY (ids) AND lane IS NOT NULL);
    n integer;
BEGIN
    PERFORM q.lock_lanes(lanes);
    PERFORM FROM q.dead WHERE id = ANY (ids) ORDER BY id FOR UPDATE;
    DELETE FROM q.halted WHERE job = ANY (ids);
    DELETE FROM q.dead WHERE id = ANY (ids);
    GET DIAGNOSTICS n = ROW_COUNT;
    PERFORM q.promote(lanes);
    RETURN n;
END $$;

-- Jobs that wait are taken out, as cancelled; those that run are asked to stop, and their instance hears of it at its next
-- beat. Returns how many of either. One is waited for if somebody holds it. Of many, whoever holds one may come to wait for
-- another: they are tried a few times, and what is held for longer stays (it ends just now, or somebody adds to it).
CREATE FUNCTION q.cancel(ids bigint[]) RETURNS integer LANGUAGE plpgsql SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    lanes text[] := ARRAY(SELECT DISTINCT lane FROM q.job WHERE id = ANY (ids) AND lane IS NOT NULL);
    held bigint[];
    n integer;
    total integer := 0;
BEGIN
    PERFORM q.lock_lanes(lanes);
    IF cardinality(ids) = 1 THEN
        PERFORM FROM q.job WHERE id = ids[1] FOR UPDATE;
    END IF;
    FOR turn IN 1..20 LOOP
        held := ARRAY(SELECT id FROM q.job WHERE id = ANY (ids) AND (state <> 'running' OR NOT cancel) FOR UPDATE SKIP LOCKED);
        WITH gone AS (
            DELETE FROM q.job j WHERE j.id = ANY (held) AND j.state <> 'running' RETURNING j.*
        )
        INSERT INTO q.done (id, attempt, queue, kind, tenant, owner, outcome, created_at, started_at)
        SELECT g.id, g.attempt, g.queue, g.kind, g.tenant, g.owner, 'cancelled', g.created_at, g.started_at FROM gone g;
        GET DIAGNOSTICS n = ROW_COUNT;
        total := total + n;
        UPDATE q.job SET cancel = true WHERE id = ANY (held) AND state = 'running';
        GET DIAGNOSTICS n = ROW_COUNT;
        total := total + n;
        EXIT WHEN NOT EXISTS (SELECT FROM q.job WHERE id = ANY (ids) AND (state <> 'running' OR NOT cancel));
        PERFORM pg_sleep(0.01);
    END LOOP;
    PERFORM q.promote(lanes);
    RETURN total;
END $$;

-- ---- rates --------------------------------------------------------------------------------------

-- The row of a rate, locked, in the windows of this moment.
CREATE FUNCTION q.rate_roll(of_name text) RETURNS q.rate LANGUAGE plpgsql AS $$
DECLARE
    r q.rate;
    e float8;
BEGIN
    SELECT * INTO r FROM q.rate WHERE name = of_name FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    e := extract(epoch FROM clock_timestamp()) + r.offset_s;
    -- A window is never left backwards: a clock that was set back must not give out what was used up.
    IF floor(e / 900) > r.win15 THEN
        r.win15 := floor(e / 900);
        r.used15 := 0;
    END IF;
    IF floor(e / 86400) > r.winday THEN
        r.winday := floor(e / 86400);
        r.usedday := 0;
    END IF;
    RETURN r;
END $$;

-- How many may be taken now, of a row that was rolled. Nothing at either end of a window: clocks differ to both sides, and
-- a call that is early by theirs counts in the window that we believe is over.
CREATE FUNCTION q.rate_room(r q.rate, live boolean) RETURNS integer LANGUAGE sql AS $$
    SELECT CASE
        WHEN r.paused_until > clock_timestamp() THEN 0
        WHEN extract(epoch FROM clock_timestamp()) + r.offset_s > (r.win15 + 1) * 900 - r.guard_s THEN 0
        WHEN extract(epoch FROM clock_timestamp()) + r.offset_s BETWEEN r.win15 * 900 AND r.win15 * 900 + r.guard_s THEN 0
        WHEN live THEN greatest(0, least(r.cap15 - r.used15, r.capday - r.usedday))
        ELSE greatest(0, least(r.cap15 - round(r.cap15 * r.reserve)::integer - r.used15,
                               r.capday - round(r.capday * r.reserve)::integer - r.usedday)) END
$$;

-- Takes up to so many tokens; returns how many it got. A rate that nobody defined is no limit.
CREATE FUNCTION q.rate_take(of_name text, many integer, live boolean) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    r q.rate := q.rate_roll(of_name);
    n integer := greatest(0, coalesce(many, 0));
BEGIN
    IF r.name IS NULL THEN
        RETURN n;
    END IF;
    n := least(n, q.rate_room(r, live));
    UPDATE q.rate SET win15 = r.win15, used15 = r.used15 + n, winday = r.winday, usedday = r.usedday + n WHERE name = of_name;
    RETURN n;
END $$;

-- Milliseconds until there may be room again, an hour at most; 0: there is now.
CREATE FUNCTION q.rate_wait_ms(of_name text, live boolean) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    r q.rate := q.rate_roll(of_name);
    e float8 := extract(epoch FROM clock_timestamp()) + r.offset_s;
    full_day boolean := r.usedday >= CASE WHEN live THEN r.capday ELSE r.capday - round(r.capday * r.reserve)::integer END;
    full15 boolean := r.used15 >= CASE WHEN live THEN r.cap15 ELSE r.cap15 - round(r.cap15 * r.reserve)::integer END;
BEGIN
    IF r.name IS NULL OR q.rate_room(r, live) > 0 THEN
        RETURN 0;
    END IF;
    RETURN ceil(1000 * least(3600, greatest(0.001,
        CASE WHEN full_day THEN (r.winday + 1) * 86400 + r.guard_s - e
             WHEN full15 OR e > (r.win15 + 1) * 900 - r.guard_s THEN (r.win15 + 1) * 900 + r.guard_s - e
             WHEN e >= r.win15 * 900 THEN r.win15 * 900 + r.guard_s - e END,
        extract(epoch FROM r.paused_until) + r.offset_s - e)))::bigint;
END $$;

-- What the other side says of limits and use; NULL where it says nothing. server_time: its clock, as of that answer.
CREATE FUNCTION q.rate_learn(of_name text, say_cap15 integer, say_capday integer, say_used15 integer, say_usedday integer,
                             server_time timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    r q.rate;
BEGIN
    -- Only whole seconds are said: less than that is no difference.
    UPDATE q.rate SET offset_s = extract(epoch FROM server_time - clock_timestamp())
    WHERE name = of_name AND abs(extract(epoch FROM server_time - clock_timestamp()) - offset_s) > 1.5;
    r := q.rate_roll(of_name);
    IF r.name IS NULL THEN
        RETURN;
    END IF;
    UPDATE q.rate SET win15 = r.win15, winday = r.winday,
        -- A limit of none would be the last thing we ever asked and heard: it is not believed.
        cap15 = CASE WHEN say_cap15 > 0 THEN say_cap15 ELSE r.cap15 END,
        capday = CASE WHEN say_capday > 0 THEN say_capday ELSE r.capday END,
        -- An answer from the last window says nothing about this one.
        used15 = CASE WHEN server_time IS NULL OR floor(extract(epoch FROM server_time) / 900) = r.win15
                      THEN greatest(r.used15, say_used15) ELSE r.used15 END,
        usedday = CASE WHEN server_time IS NULL OR floor(extract(epoch FROM server_time) / 86400) = r.winday
                       THEN greatest(r.usedday, say_usedday) ELSE r.usedday END,
        learnt_at = clock_timestamp()
    WHERE name = of_name;
END $$;

-- The other side refused us: this window, or this day, is used up whatever we counted.
CREATE FUNCTION q.rate_full(of_name text, whole_day boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    r q.rate := q.rate_roll(of_name);
BEGIN
    UPDATE q.rate SET win15 = r.win15, winday = r.winday, used15 = greatest(r.used15, r.cap15),
        usedday = CASE WHEN whole_day THEN greatest(r.usedday, r.capday) ELSE r.usedday END
    WHERE name = of_name;
END $$;

-- q.take for kinds that spend a token of a rate each: as many as there are tokens, in the transaction that takes them.
-- Jobs of prio 9 and less are live work, for which the reserve is kept.
CREATE FUNCTION q.take_rated(from_queue text, many integer, me bigint, kinds text[], timeouts integer[], of_rate text)
RETURNS TABLE (job bigint, job_kind text, job_prio bigint, job_fair bigint, job_attempt integer, job_max_attempts integer,
               job_crashes integer, job_tenant bigint, job_timeout_s integer, job_lane text, job_payload text)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    r q.rate;
    allowed text[] := q.unpaused(from_queue, kinds);
    room integer;
    n integer := 0;
BEGIN
    IF NOT EXISTS (SELECT FROM q.job j WHERE j.queue = from_queue AND j.state = 'ready' AND NOT j.suspect AND j.kind = ANY (allowed)) THEN
        RETURN; -- nobody waits for tokens: leave the row alone
    END IF;
    timeouts := ARRAY(SELECT timeouts[array_position(kinds, k)] FROM unnest(allowed) k);
    kinds := allowed;
    many := q.take_room(from_queue, many);
    IF many = 0 THEN
        RETURN;
    END IF;
    room := many;
    r := q.rate_roll(of_rate);
    IF r.name IS NOT NULL THEN
        room := least(many, q.rate_room(r, true));
    END IF;
    IF room > 0 THEN
        RETURN QUERY SELECT * FROM q.take_below(from_queue, room, me, kinds, timeouts, 9::smallint);
        GET DIAGNOSTICS n = ROW_COUNT;
        room := least(many - n, CASE WHEN r.name IS NULL THEN many ELSE greatest(0, q.rate_room(r, false) - n) END);
    END IF;
    IF room > 0 THEN
        RETURN QUERY SELECT * FROM q.take_below(from_queue, room, me, kinds, timeouts, 32767::smallint);
        GET DIAGNOSTICS room = ROW_COUNT;
        n := n + room;
    END IF;
    IF r.name IS NOT NULL AND n > 0 THEN
        -- Claims may commit without waiting for the disk, tokens may not: what they are spent on happens elsewhere, and a
        -- crash here does not undo it.
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    IF r.name IS NOT NULL THEN
        UPDATE q.rate SET win15 = r.win15, used15 = r.used15 + n, winday = r.winday, usedday = r.usedday + n WHERE name = of_rate;
    END IF;
END $$;

-- The part of q.take_rated that claims. Kinds and queues that are paused as a whole are its caller's business.
CREATE FUNCTION q.take_below(from_queue text, many integer, me bigint, kinds text[], timeouts integer[], max_prio smallint)
RETURNS TABLE (job bigint, job_kind text, job_prio bigint, job_fair bigint, job_attempt integer, job_max_attempts integer,
               job_crashes integer, job_tenant bigint, job_timeout_s integer, job_lane text, job_payload text)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY WITH c AS MATERIALIZED (
        SELECT j.id FROM q.job j
        WHERE j.queue = from_queue AND j.state = 'ready' AND NOT j.suspect AND j.kind = ANY (kinds) AND j.prio <= max_prio
            AND NOT EXISTS (SELECT FROM q.pause p WHERE p.queue = from_queue AND p.tenant = j.tenant
                            AND (p.kind IS NULL OR p.kind = j.kind))
        ORDER BY j.prio, j.fair, j.id LIMIT many
        FOR NO KEY UPDATE OF j SKIP LOCKED
    )
    UPDATE q.job j SET state = 'running', attempt = j.attempt + 1, owner = me, started_at = clock_timestamp(),
        deadline_at = clock_timestamp() + make_interval(secs => coalesce(j.timeout_s, timeouts[array_position(kinds, j.kind)]))
    WHERE j.id = ANY (ARRAY(SELECT c.id FROM c))
    RETURNING j.id, j.kind, j.prio::bigint, j.fair, j.attempt, j.max_attempts::integer, j.crashes::integer, j.tenant,
              j.timeout_s, j.lane, j.payload::text;
END $$;

-- ---- schedules ----------------------------------------------------------------------------------

CREATE FUNCTION q.cron_day(c q.cron, d timestamp) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT extract(month FROM d)::smallint = ANY (c.months)
       AND CASE WHEN c.any_day
                THEN extract(day FROM d)::smallint = ANY (c.days) OR extract(dow FROM d)::smallint = ANY (c.weekdays)
                ELSE extract(day FROM d)::smallint = ANY (c.days) AND extract(dow FROM d)::smallint = ANY (c.weekdays) END
$$;

-- The first moment after `after` that the schedule names, NULL if there is none within forty years (29 February, and on a
-- certain day of the week, comes every 28, and 1900 had none). It goes through real time and looks at the zone's clock: an
-- hour that comes twice counts twice only for schedules that do not name hours, and a time that the clock jumps over
-- happens at the jump.
CREATE FUNCTION q.cron_next(c q.cron, after timestamptz) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
DECLARE
    t timestamptz := date_trunc('minute', after, 'UTC');
    l timestamp := t AT TIME ZONE c.tz; -- what its clock shows
    last timestamptz := after + interval '40 years';
    step interval;
    u timestamptz;
    shows timestamp;
    back interval; -- what its clock was turned back within a day
BEGIN
    IF after IS NULL OR NOT isfinite(after) THEN
        RETURN NULL;
    END IF;
    WHILE t < last LOOP
        -- As far as nothing can be, but never past the moment at which the clock is turned.
        step := CASE
            WHEN extract(month FROM l)::smallint <> ALL (c.months) THEN date_trunc('month', l) + interval '1 month' - l
            WHEN NOT q.cron_day(c, l) THEN date_trunc('day', l) + interval '1 day' - l
            WHEN extract(hour FROM l)::smallint <> ALL (c.hours) THEN date_trunc('hour', l) + interval '1 hour' - l
            ELSE interval '1 minute' END;
        -- In seconds: days would follow the clock of the session's zone.
        step := make_interval(secs => extract(epoch FROM step)::float8);
        shows := (t + step) AT TIME ZONE c.tz;
        IF shows <> l + step AND step > interval '24 hours' THEN
            step := make_interval(secs => extract(epoch FROM date_trunc('day', l) + interval '1 day' - l)::float8);
            shows := (t + step) AT TIME ZONE c.tz;
        END IF;
        IF shows <> l + step AND step > interval '1 hour' THEN
            step := date_trunc('hour', l) + interval '1 hour' - l;
            shows := (t + step) AT TIME ZONE c.tz;
        END IF;
        IF shows <> l + step THEN
            step := interval '1 minute';
            shows := (t + step) AT TIME ZONE c.tz;
        END IF;
        u := t + step;
        IF NOT c.any_hour AND shows > l + step AND EXISTS (
                SELECT FROM generate_series(l + step, shows - interval '1 minute', interval '1 minute') g(m)
                WHERE extract(hour FROM m)::smallint = ANY (c.hours) AND extract(minute FROM m)::smallint = ANY (c.minutes)
                    AND q.cron_day(c, m)) THEN
            RETURN u;
        END IF;
        t := u;
        l := shows;
        IF extract(minute FROM l)::smallint = ANY (c.minutes) AND extract(hour FROM l)::smallint = ANY (c.hours)
            AND q.cron_day(c, l) THEN
            back := ((t - interval '24 hours') AT TIME ZONE c.tz + interval '24 hours') - l;
            IF c.any_hour OR back <= interval '0' OR (t - back) AT TIME ZONE c.tz <> l THEN
                RETURN t;
            END IF;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

-- The slots of a schedule from its next one up to a moment, in order. Of more than a thousand, those of last: the whole
-- history of a clock that was wrong by years is nobody's wish.
CREATE FUNCTION q.cron_slots(c q.cron, until timestamptz) RETURNS timestamptz[] LANGUAGE plpgsql STABLE AS $$
DECLARE
    slots timestamptz[] := '{}';
    late timestamptz[];
    slot timestamptz := c.next_at;
    back interval;
BEGIN
    WHILE slot <= until AND cardinality(slots) < 1000 LOOP
        slots := slots || slot;
        slot := q.cron_next(c, slot);
    END LOOP;
    IF slot <= until THEN
        FOREACH back IN ARRAY ARRAY[interval '2 hours', interval '5 days', interval '300 days'] LOOP
            late := '{}';
            slot := q.cron_next(c, greatest(until - back, slots[1]));
            WHILE slot <= until LOOP
                late := late || slot;
                slot := q.cron_next(c, slot);
            END LOOP;
            EXIT WHEN cardinality(late) >= 100;
        END LOOP;
        slots := ARRAY(SELECT s FROM unnest(slots) s WHERE s < late[1] OR late = '{}') || late;
    END IF;
    RETURN slots;
END $$;

-- Fires one, whose row is locked. Slots that passed while nobody looked: none of them is made up for, or one job for all,
-- or one each (at most a hundred). Returns how many jobs.
CREATE FUNCTION q.cron_fire_one(c q.cron) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    t timestamptz := clock_timestamp();
    slots timestamptz[] := q.cron_slots(c, t);
    gone bigint := (SELECT count(*) FROM unnest(slots) s WHERE s <= t - interval '1 minute');
BEGIN
    slots := CASE c.catchup
        WHEN 'all' THEN slots[greatest(1, cardinality(slots) - 99):]
        WHEN 'one' THEN slots[cardinality(slots):]
        ELSE ARRAY(SELECT s FROM unnest(slots) s WHERE s > t - interval '1 minute' ORDER BY s DESC LIMIT 1) END;
    PERFORM q.add(coalesce(jsonb_agg(jsonb_build_object('queue', c.queue, 'kind', c.kind, 'prio', c.prio,
        'ukey', 'cron:' || c.name || CASE WHEN c.catchup = 'all' THEN ':' || extract(epoch FROM s)::bigint ELSE '' END,
        'payload', c.payload || jsonb_build_object('slot', s)) ORDER BY s), '[]')) FROM unnest(slots) s;
    UPDATE q.cron SET next_at = coalesce(q.cron_next(c, t), 'infinity'), last_at = coalesce(slots[cardinality(slots)], last_at),
        missed = missed + gone, problem = NULL WHERE name = c.name;
    RETURN cardinality(slots);
END $$;

-- Fires what is due, each slot once whoever looks first; no leader. One that cannot be fired (a zone that is no more) says
-- why, waits until somebody mends it, and stops nobody else.
CREATE FUNCTION q.cron_fire() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    c q.cron;
    n integer := 0;
BEGIN
    FOR c IN SELECT * FROM q.cron WHERE next_at <= clock_timestamp() AND NOT paused ORDER BY name FOR UPDATE SKIP LOCKED LOOP
        -- The claim that fires may commit without waiting for the disk, and may take the new job with it. Should a crash
        -- undo all that, the id would be given out again, to another job, while its owner still does this one.
        PERFORM set_config('synchronous_commit', 'on', true);
        BEGIN
            n := n + q.cron_fire_one(c);
        EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
            UPDATE q.cron SET next_at = 'infinity', problem = SQLERRM WHERE name = c.name;
        END;
    END LOOP;
    RETURN n;
END $$;

-- ---- upkeep -------------------------------------------------------------------------------------

-- History by day: the next days' partitions are made, those past their time dropped, old samples and requests forgotten.
-- Whoever comes first does it; another finds it done. What somebody reads is left for another time, at once: whoever ends a
-- job stands in line behind us. Returns how many partitions were made and dropped.
CREATE FUNCTION q.maintain(keep_days integer) RETURNS integer LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
    d date;
    part text;
    n integer := 0;
    old record;
BEGIN
    IF NOT pg_try_advisory_xact_lock(7303) THEN
        RETURN 0;
    END IF;
    FOR d IN SELECT (now() AT TIME ZONE 'UTC')::date + k FROM generate_series(0, 2) k LOOP
        part := 'done_' || to_char(d, 'YYYYMMDD');
        CONTINUE WHEN to_regclass('q.' || part) IS NOT NULL;
        BEGIN
            -- Before anything is done: attaching needs the default one for itself, and it may hold rows of that day.
            LOCK TABLE q.done_default IN ACCESS EXCLUSIVE MODE;
            EXECUTE format('CREATE TABLE q.%I (LIKE q.done INCLUDING DEFAULTS)', part);
            EXECUTE format('WITH moved AS (DELETE FROM q.done_default WHERE finished_at >= %L AND finished_at < %L RETURNING *)'
                           ' INSERT INTO q.%I SELECT * FROM moved', d || ' 00:00+00', d + 1 || ' 00:00+00', part);
            EXECUTE format('ALTER TABLE q.done ATTACH PARTITION q.%I FOR VALUES FROM (%L) TO (%L)', part, d || ' 00:00+00', d + 1 || ' 00:00+00');
            n := n + 1;
        EXCEPTION WHEN lock_not_available THEN
            EXIT;
        END;
    END LOOP;
    FOR old IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'q.done'::regclass AND c.relname ~ '^done_\d{8}$'
            AND substr(c.relname, 6) < to_char((now() AT TIME ZONE 'UTC')::date - greatest(keep_days, 0), 'YYYYMMDD')
        ORDER BY 1
    LOOP
        BEGIN
            EXECUTE format('DROP TABLE q.%I', old.relname);
            n := n + 1;
        EXCEPTION WHEN lock_not_available THEN
            NULL;
        END;
    END LOOP;
    DELETE FROM q.dedup WHERE expires_at < now();
    DELETE FROM q.depth WHERE at < now() - make_interval(days => keep_days);
    DELETE FROM q.flow WHERE at < now() - make_interval(days => keep_days);
    DELETE FROM q.audit WHERE at < now() - interval '400 days';
    RETURN n;
END $$;

-- Counts what stands in each queue, for the graphs. Returns false when somebody else is at it or was a moment ago.
CREATE FUNCTION q.count_depth(min_age interval) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    t timestamptz := clock_timestamp();
BEGIN
    IF NOT pg_try_advisory_xact_lock(7304) OR EXISTS (SELECT FROM q.depth WHERE at > t - min_age) THEN
        RETURN false;
    END IF;
    INSERT INTO q.depth (queue, ready, waiting, blocked, running, dead, oldest_s, count_ms)
    SELECT coalesce(j.queue, d.queue), coalesce(j.ready, 0), coalesce(j.waiting, 0), coalesce(j.blocked, 0), coalesce(j.running, 0),
           coalesce(d.n, 0), extract(epoch FROM t - j.oldest), extract(epoch FROM clock_timestamp() - t) * 1000
    FROM (SELECT queue, count(*) FILTER (WHERE state = 'ready') AS ready, count(*) FILTER (WHERE state = 'waiting') AS waiting,
                 count(*) FILTER (WHERE state = 'blocked') AS blocked, count(*) FILTER (WHERE state = 'running') AS running,
                 min(created_at) FILTER (WHERE state = 'ready') AS oldest
          FROM q.job GROUP BY queue) j
    FULL JOIN (SELECT queue, count(*) AS n FROM q.dead GROUP BY queue) d ON d.queue = j.queue;
    RETURN true;
END $$;

SELECT q.maintain(7);
