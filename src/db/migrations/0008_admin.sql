-- What the admin pages need: who may see them, how each attempt of a job ended, and dead letters by their cause.

SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true); -- as in 0003

CREATE SCHEMA web;
-- The admin's secret, where the configuration gives none: PBKDF2 of it. One row.
CREATE TABLE web.secret (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    salt bytea NOT NULL,
    hash bytea NOT NULL,
    rounds integer NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);
-- token: SHA-256 of what the browser holds.
CREATE TABLE web.session (
    token bytea PRIMARY KEY,
    address text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE TABLE web.failed_login (
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    address text NOT NULL
);
CREATE INDEX failed_login_at ON web.failed_login (at);

-- Attempts that did not end a job well: those are in q.done.
CREATE TABLE q.try (
    job bigint NOT NULL,
    attempt integer NOT NULL,
    owner bigint,
    started_at timestamptz,
    ended_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    outcome text NOT NULL,                          -- failed (also by its time), given back, lost (its process), dead
    error text
);
CREATE INDEX try_job ON q.try (job);
CREATE INDEX try_ended ON q.try (ended_at);

-- Numbers differ from one letter to the next where the cause is the same.
ALTER TABLE q.dead ADD COLUMN cause text GENERATED ALWAYS AS (
    left(md5(regexp_replace(coalesce(last_error, reason), '[0-9]+', '#', 'g')), 12)) STORED;
CREATE INDEX dead_cause ON q.dead (cause, queue, kind, died_at);

-- A time zone that there is: this one, or UTC. Asking pg_timezone_names reads some 600 files.
CREATE FUNCTION q.zone_or_utc(tz text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM now() AT TIME ZONE tz;
    RETURN tz;
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN 'UTC';
END $$;

-- As in 0006, and what became of the attempt is kept.
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
        SELECT j.id, j.ukey, j.crashes, j.cancel, j.attempt, j.started_at, u.delay
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
                INSERT INTO q.try (job, attempt, owner, started_at, outcome, error) VALUES (one.id, one.attempt, me, one.started_at,
                    CASE WHEN crashed THEN 'lost' WHEN refund THEN 'given back' ELSE 'failed' END, error);
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
    ), kept AS (
        INSERT INTO q.try (job, attempt, owner, started_at, outcome, error)
        SELECT g.id, g.attempt, g.owner, g.started_at, 'dead', coalesce(error, g.last_error, why) FROM gone g
    )
    INSERT INTO q.dead (id, queue, kind, prio, attempt, max_attempts, crashes, ukey, tenant, payload, last_error, created_at,
                        reason, lane, halt, timeout_s, parent, owner)
    SELECT g.id, g.queue, g.kind, g.prio, g.attempt, g.max_attempts, g.crashes, g.ukey, g.tenant, g.payload,
           coalesce(error, g.last_error), g.created_at, why, g.lane, g.halt, g.timeout_s, g.parent, g.owner FROM gone g;
    PERFORM q.promote(lanes);
END $$;

-- As in 0006, and more to forget.
CREATE OR REPLACE FUNCTION q.maintain(keep_days integer) RETURNS integer LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
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
    DELETE FROM q.try WHERE ended_at < now() - make_interval(days => keep_days);
    DELETE FROM web.session WHERE expires_at < now();
    DELETE FROM web.failed_login WHERE at < now() - interval '1 day';
    DELETE FROM q.audit WHERE at < now() - interval '400 days';
    RETURN n;
END $$;
