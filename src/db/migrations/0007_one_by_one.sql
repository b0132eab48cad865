-- Jobs done one by one, where each costs a claim and an end of its own: fewer statements, fewer settings in each, and less
-- to look at for each row that changes. The server compiles every check and the condition of every partial index anew for
-- every statement that writes: together they were a quarter of the cost of a claim.

SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true); -- as in 0003

ALTER TABLE q.job DROP CONSTRAINT job_check, DROP CONSTRAINT job_check1,
    ADD CONSTRAINT job_state CHECK ((state = 'running') = (owner IS NOT NULL) AND (state <> 'waiting' OR run_at IS NOT NULL));
DROP INDEX q.job_claim, q.job_suspect;
CREATE INDEX job_claim ON q.job (queue, suspect, prio, fair, id) WHERE state = 'ready';
DROP INDEX q.job_cancel; -- job_owner finds the few that one instance runs

-- Whether an operator has said anything that a claim must heed.
CREATE FUNCTION q.is_limited(of_queue text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM q.pause p WHERE p.queue = of_queue)
        OR EXISTS (SELECT FROM q.queue x WHERE x.name = of_queue AND x.max_running IS NOT NULL)
$$;

-- As in 0006. quick is for claims that follow each other closely: their commit does not wait for the disk (nothing else in
-- the transaction may have to; a crash may undo such a claim, and the fence then drops what came of it), and they do not
-- look for pauses and limits, which whoever claims has just done and does again a few times a second. A sort costs what is
-- forbidden here, so that a bitmap or a scan of the table would, too; a plan for any number of rows might still be worth
-- compiling.
CREATE FUNCTION q.take(from_queue text, many integer, me bigint, kinds text[], timeouts integer[],
                       c_prio smallint, c_fair bigint, c_id bigint, quick boolean)
RETURNS TABLE (job bigint, job_kind text, job_prio bigint, job_fair bigint, job_attempt integer, job_max_attempts integer,
               job_crashes integer, job_tenant bigint, job_timeout_s integer, job_lane text, job_payload text)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_sort = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    allowed text[];
    room integer;
    unused text;
    limited boolean := false;
BEGIN
    IF quick THEN
        unused := set_config('synchronous_commit', 'off', true);
    ELSE
        limited := q.is_limited(from_queue);
    END IF;
    -- The usual case, in one statement: no operator has said anything.
    IF NOT limited THEN
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

-- For instances of the previous version.
CREATE OR REPLACE FUNCTION q.take(from_queue text, many integer, me bigint, kinds text[], timeouts integer[],
                                  c_prio smallint, c_fair bigint, c_id bigint)
RETURNS TABLE (job bigint, job_kind text, job_prio bigint, job_fair bigint, job_attempt integer, job_max_attempts integer,
               job_crashes integer, job_tenant bigint, job_timeout_s integer, job_lane text, job_payload text)
LANGUAGE sql AS $$
    SELECT * FROM q.take(from_queue, many, me, kinds, timeouts, c_prio, c_fair, c_id, false)
$$;
ALTER FUNCTION q.take(text, integer, bigint, text[], integer[], smallint, bigint, bigint) RESET ALL;

-- The fence for one job of no lane.
CREATE FUNCTION q.finish_one(one bigint, of_attempt integer, me bigint) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    g q.job;
BEGIN
    DELETE FROM q.job j WHERE j.id = one AND j.owner = me AND j.attempt = of_attempt RETURNING * INTO g;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'fenced: 1 of 1 jobs are no longer ours' USING ERRCODE = 'WM001';
    END IF;
    INSERT INTO q.done (id, attempt, queue, kind, tenant, owner, outcome, created_at, started_at)
    VALUES (g.id, g.attempt, g.queue, g.kind, g.tenant, g.owner, 'done', g.created_at, g.started_at);
END $$;
