-- The durable queue. q.job holds live jobs only; a finished job leaves by DELETE and a row in q.done, a hopeless one
-- by DELETE and a row in q.dead. See src/jobs/jobs.h for the rules these tables serve.

CREATE SCHEMA q;

CREATE TYPE q.state AS ENUM ('waiting', 'ready', 'running');

CREATE TABLE q.job (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue text NOT NULL,
    kind text NOT NULL,
    state q.state NOT NULL DEFAULT 'ready',
    prio smallint NOT NULL DEFAULT 0,               -- lower first
    attempt integer NOT NULL DEFAULT 0,             -- counted at claim; given back when it never ran to its end
    max_attempts smallint NOT NULL DEFAULT 8,
    crashes smallint NOT NULL DEFAULT 0,            -- of its process, while nothing else ran there
    suspect boolean NOT NULL DEFAULT false,         -- its process died: it runs alone from now on
    owner bigint,                                   -- q.instance.id while running
    run_at timestamptz,                             -- waiting until
    started_at timestamptz,
    ukey text,                                      -- coalesces: at most one queued job a key
    tenant bigint,                                  -- athlete, where there is one
    payload jsonb NOT NULL DEFAULT '{}',
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((state = 'running') = (owner IS NOT NULL)),
    CHECK (state <> 'waiting' OR run_at IS NOT NULL)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);

CREATE INDEX job_claim ON q.job (queue, prio, id) WHERE state = 'ready' AND NOT suspect;
CREATE INDEX job_suspect ON q.job (queue, prio, id) WHERE state = 'ready' AND suspect;
CREATE INDEX job_due ON q.job (run_at) WHERE state = 'waiting';
CREATE INDEX job_owner ON q.job (owner) WHERE state = 'running';
-- A running job may have read what has changed since: one successor may queue beside it.
CREATE UNIQUE INDEX job_ukey ON q.job (ukey) WHERE ukey IS NOT NULL AND state <> 'running';

CREATE TABLE q.done (
    id bigint NOT NULL,
    attempt integer NOT NULL,
    queue text NOT NULL,
    kind text NOT NULL,
    tenant bigint,
    owner bigint,
    outcome text NOT NULL,                          -- done, superseded
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (finished_at);
CREATE TABLE q.done_default PARTITION OF q.done DEFAULT;
CREATE INDEX done_id ON q.done (id);
CREATE INDEX done_finished ON q.done (finished_at);

CREATE TABLE q.dead (
    id bigint PRIMARY KEY,
    queue text NOT NULL,
    kind text NOT NULL,
    prio smallint NOT NULL,
    attempt integer NOT NULL,
    max_attempts smallint NOT NULL,
    crashes smallint NOT NULL,
    ukey text,
    tenant bigint,
    payload jsonb NOT NULL,
    last_error text,
    created_at timestamptz NOT NULL,
    reason text NOT NULL,                           -- permanent, attempts, crashes
    died_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX dead_ukey ON q.dead (ukey);

-- One row a running process; ids come from a sequence and are never used again. beat counts up: whoever watches
-- compares counts over its own monotonic clock, never wall clocks. session and session_start name the backend
-- of its heartbeat connection; place, pid and pid_started the process: by them a dead one is told from a slow one.
CREATE TABLE q.instance (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    host text NOT NULL,
    place text NOT NULL,                            -- boot id and pid namespace
    pid integer NOT NULL,
    pid_started bigint NOT NULL,                    -- clock ticks after boot, as /proc/PID/stat says
    version text NOT NULL,
    beat bigint NOT NULL DEFAULT 0,
    session integer,                                -- backend of the heartbeat connection
    session_start timestamptz,
    draining boolean NOT NULL DEFAULT false,
    started_at timestamptz NOT NULL DEFAULT now(),
    beat_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- Claims the next ready jobs, in order of (prio, id), for an owner. A table that empties and fills has no statistics to
-- trust: taken for empty, all that is ready would be read and sorted for every claim. Hence the settings, which leave the
-- planner nothing but job_claim in its order. The CTE is materialised so that the LIMIT is not evaluated twice, nor
-- more locked than returned.
CREATE FUNCTION q.claim(from_queue text, many integer, me bigint, kinds text[])
RETURNS TABLE (job bigint, job_kind text, job_prio bigint, job_attempt integer, job_max_attempts integer,
               job_crashes integer, job_tenant bigint, job_payload text)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
BEGIN
    RETURN QUERY WITH c AS MATERIALIZED (
        SELECT id FROM q.job
        WHERE queue = from_queue AND state = 'ready' AND NOT suspect AND kind = ANY (kinds)
        ORDER BY prio, id
        LIMIT many
        FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE q.job j SET state = 'running', attempt = attempt + 1, owner = me, started_at = clock_timestamp()
    WHERE j.id = ANY (ARRAY(SELECT id FROM c))
    RETURNING j.id, j.kind, j.prio::bigint, j.attempt, j.max_attempts::integer, j.crashes::integer, j.tenant, j.payload::text;
END $$;

-- The fence: takes finished jobs out of the queue in the transaction of their results. Jobs that are no longer this
-- owner's at this attempt mean that somebody rescued them: nothing of this transaction may stay.
CREATE FUNCTION q.finish(ids bigint[], attempts integer[], me bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    n integer;
BEGIN
    WITH gone AS (
        DELETE FROM q.job j USING unnest(ids, attempts) u(id, attempt)
        WHERE j.id = u.id AND j.attempt = u.attempt AND j.owner = me AND j.state = 'running'
        RETURNING j.*
    )
    INSERT INTO q.done (id, attempt, queue, kind, tenant, owner, outcome, created_at, started_at)
    SELECT g.id, g.attempt, g.queue, g.kind, g.tenant, g.owner, 'done', g.created_at, g.started_at FROM gone g;
    GET DIAGNOSTICS n = ROW_COUNT;
    IF n <> cardinality(ids) THEN
        RAISE EXCEPTION 'fenced: % of % jobs are no longer ours', cardinality(ids) - n, cardinality(ids)
            USING ERRCODE = 'WM001';
    END IF;
END $$;

-- Puts running jobs of this owner back: with a delay (a retry) or at once. refund takes the attempt back (it never
-- ran). A job whose successor is queued already leaves as superseded: the successor does its work. Row by row, since two
-- running jobs may share a ukey.
--
-- crashed: their process died. Whoever was there is a suspect and runs alone from now on; one that was alone when its
-- process died, ten times, is buried. So a job that kills its process is found, and none is blamed for a neighbour
-- or for a power cut. Ten, since nobody can tell from outside whether the job did it or somebody who stopped a slow run
-- by force, again and again.
CREATE FUNCTION q.requeue(ids bigint[], me bigint, delays float8[], error text, refund boolean, crashed boolean)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    one record;
    n integer := 0;
    alone boolean := crashed AND cardinality(ids) = 1;
BEGIN
    FOR one IN
        SELECT j.id, j.ukey, j.crashes, u.delay FROM unnest(ids, delays) u(id, delay) JOIN q.job j ON j.id = u.id
        WHERE j.owner = me AND j.state = 'running' ORDER BY j.id FOR NO KEY UPDATE OF j
    LOOP
        n := n + 1;
        IF alone AND one.crashes >= 9 THEN
            PERFORM q.bury(ARRAY[one.id], me, 'crashes', coalesce(error, 'its process died ten times while it ran alone'));
            CONTINUE;
        END IF;
        LOOP
            WITH gone AS (
                DELETE FROM q.job j WHERE j.id = one.id
                    AND EXISTS (SELECT FROM q.job twin WHERE twin.ukey = one.ukey AND twin.state <> 'running')
                RETURNING j.*
            )
            INSERT INTO q.done (id, attempt, queue, kind, tenant, owner, outcome, created_at, started_at)
            SELECT g.id, g.attempt, g.queue, g.kind, g.tenant, g.owner, 'superseded', g.created_at, g.started_at FROM gone g;
            EXIT WHEN FOUND;
            BEGIN
                UPDATE q.job SET state = CASE WHEN one.delay > 0 THEN 'waiting'::q.state ELSE 'ready'::q.state END,
                    run_at = CASE WHEN one.delay > 0 THEN clock_timestamp() + make_interval(secs => one.delay) END,
                    owner = NULL, last_error = coalesce(error, last_error),
                    attempt = attempt - CASE WHEN refund THEN 1 ELSE 0 END,
                    crashes = crashes + CASE WHEN alone THEN 1 ELSE 0 END,
                    suspect = suspect OR crashed
                WHERE id = one.id;
                EXIT;
            EXCEPTION WHEN unique_violation THEN
                NULL; -- a twin was queued this moment: the next turn of the loop sees it
            END;
        END LOOP;
    END LOOP;
    RETURN n;
END $$;

-- To the dead letters, payload and all.
CREATE FUNCTION q.bury(ids bigint[], me bigint, why text, error text) RETURNS void LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM q.job j WHERE j.id = ANY (ids) AND j.owner = me AND j.state = 'running' RETURNING j.*
    )
    INSERT INTO q.dead (id, queue, kind, prio, attempt, max_attempts, crashes, ukey, tenant, payload, last_error, created_at, reason)
    SELECT g.id, g.queue, g.kind, g.prio, g.attempt, g.max_attempts, g.crashes, g.ukey, g.tenant, g.payload,
           coalesce(error, g.last_error), g.created_at, why FROM gone g;
$$;

-- Takes over the jobs of an instance that is gone. expected_beat: what the caller saw; a beat since then means it lives.
-- An owner without a row is gone for certain. Their attempt is given back, since crashes are counted apart: an instance
-- stopped by force now and then must not use up what is meant for failures. The fence does not need the attempt to tell
-- the dead from who has the job next: no two owners have one id. Returns how many jobs were taken over, -1 if the instance lives.
CREATE FUNCTION q.rescue(dead bigint, expected_beat bigint) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    n integer;
BEGIN
    DELETE FROM q.instance WHERE id = dead AND beat = expected_beat;
    IF NOT FOUND AND EXISTS (SELECT FROM q.instance WHERE id = dead) THEN
        RETURN -1; -- perhaps since this moment: the deletion waits for a beat that is about to commit
    END IF;
    SELECT q.requeue(array_agg(id), dead, array_agg(0::float8), NULL, true, true) INTO n
    FROM q.job WHERE owner = dead AND state = 'running';
    RETURN coalesce(n, 0);
END $$;
