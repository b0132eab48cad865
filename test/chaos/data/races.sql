-- One attempt of a few jobs, and whoever wants to end it: see test_races.c.
CREATE SCHEMA race;

CREATE UNLOGGED TABLE race.job (owner bigint NOT NULL, id bigint NOT NULL);
CREATE INDEX ON race.job (owner);
CREATE UNLOGGED TABLE race.effect (job bigint NOT NULL, attempt integer NOT NULL);
CREATE INDEX ON race.effect (job);

CREATE FUNCTION race.instance() RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO q.instance (host, place, pid, pid_started, version, sessions) VALUES ('race', 'race', 1, 1, '0', 'race')
    RETURNING id
$$;

-- n jobs that an instance of their own has claimed; its id. twins: each has one queued beside it. late: their deadline is
-- over. last: it is their last attempt.
CREATE FUNCTION race.begin(of_queue text, n integer, lanes boolean, twins boolean, late boolean, last boolean)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    me bigint := race.instance();
    jobs jsonb := (SELECT jsonb_agg(jsonb_build_object('queue', of_queue, 'kind', 'k')
        || CASE WHEN lanes THEN jsonb_build_object('lane', of_queue || k) ELSE '{}' END
        || CASE WHEN twins THEN jsonb_build_object('ukey', of_queue || k) ELSE '{}' END
        || CASE WHEN last THEN '{"max_attempts": 1}'::jsonb ELSE '{}' END) FROM generate_series(1, n) k);
BEGIN
    PERFORM q.add(jobs);
    INSERT INTO race.job SELECT me, t.job FROM q.take(of_queue, 99, me, '{k}', '{NULL}', (-32768)::smallint, -1, 0) t;
    IF late THEN
        UPDATE q.job SET deadline_at = clock_timestamp() - interval '1 h' WHERE owner = me;
    END IF;
    IF twins THEN
        PERFORM q.add(jobs);
    END IF;
    RETURN me;
END $$;

-- As an owner does, in the transaction of its results.
CREATE FUNCTION race.finish(me bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    ids bigint[] := ARRAY(SELECT id FROM race.job WHERE owner = me ORDER BY id);
BEGIN
    PERFORM q.finish(ids, array_fill(1, ARRAY[cardinality(ids)]), me,
                     ARRAY(SELECT DISTINCT lane FROM q.job WHERE id = ANY (ids) AND lane IS NOT NULL));
    INSERT INTO race.effect SELECT id, 1 FROM unnest(ids) id;
END $$;

-- What was given back (a rescuer refunds the attempt) is claimed again.
CREATE FUNCTION race.claim(of_queue text, me bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    UPDATE q.job SET suspect = false WHERE id = ANY (ARRAY(
        SELECT id FROM q.job WHERE queue = of_queue AND suspect ORDER BY id FOR NO KEY UPDATE SKIP LOCKED));
    RETURN (SELECT count(*) FROM q.take(of_queue, 99, me, '{k}', '{NULL}', (-32768)::smallint, -1, 0));
END $$;

-- When all have had their answers: what is wrong, '' for nothing. The next owner ends what it claimed, and everything that
-- is left goes.
CREATE FUNCTION race.judge(of_queue text, me bigint, next bigint, finished boolean, claimed bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    one record;
    wrong text := '';
BEGIN
    PERFORM q.rescue(me, (SELECT beat FROM q.instance WHERE id = me)); -- nobody got to it
    FOR one IN
        SELECT r.id, d.n AS done, d.ended, x.n AS dead, j.state, j.attempt, j.owner, e.n AS effects
        FROM race.job r LEFT JOIN q.job j ON j.id = r.id
        CROSS JOIN LATERAL (SELECT count(*) AS n, count(*) FILTER (WHERE outcome = 'done' AND owner = me) AS ended FROM q.done WHERE id = r.id
                            AND attempt = 1) d
        CROSS JOIN LATERAL (SELECT count(*) AS n FROM q.dead WHERE id = r.id) x
        CROSS JOIN LATERAL (SELECT count(*) AS n FROM race.effect WHERE job = r.id) e
        WHERE r.owner = me
    LOOP
        IF one.done + one.dead + (one.state IS NOT NULL)::int <> 1 OR one.effects <> one.ended OR one.ended <> finished::int
            OR (one.state = 'running' AND one.owner <> next) OR one.attempt > 2 THEN
            wrong := wrong || one || ' ';
        END IF;
    END LOOP;
    IF claimed <> (SELECT count(*) FROM q.job WHERE owner = next) THEN
        wrong := wrong || 'the next owner lost what it claimed';
    END IF;
    PERFORM q.finish(array_agg(id ORDER BY id), array_agg(attempt ORDER BY id), next,
                     array_agg(DISTINCT lane) FILTER (WHERE lane IS NOT NULL))
    FROM q.job WHERE owner = next;
    DELETE FROM q.job WHERE queue = of_queue;
    DELETE FROM q.dead WHERE queue = of_queue;
    DELETE FROM q.halted;
    DELETE FROM q.instance WHERE id IN (me, next);
    DELETE FROM race.effect WHERE job IN (SELECT id FROM race.job WHERE owner = me);
    DELETE FROM race.job WHERE owner = me;
    RETURN wrong;
END $$;
