-- People: who is logged in to the public pages, and their departure, which leaves nothing of them.

SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true); -- as in 0003

-- Whoever logged in with Strava, on whichever instance.
-- token: SHA-256 of what the browser holds.
CREATE TABLE web.visitor (
    token bytea PRIMARY KEY,
    athlete_id bigint NOT NULL REFERENCES athletes(id) ON DELETE CASCADE ON UPDATE CASCADE,
    made_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX visitor_athlete ON web.visitor (athlete_id);
CREATE INDEX visitor_expires ON web.visitor (expires_at);

-- What signs the way to Strava and back. One row; every instance uses it. gen_random_uuid gives 122 bits from the system's
-- source of secrets, and needs no extension.
CREATE TABLE web.login_key (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    key bytea NOT NULL CHECK (length(key) = 32)
);
INSERT INTO web.login_key (key) VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));

-- Ways that were gone to their end: none is gone twice. Only what we signed gets here.
CREATE TABLE web.login_used (
    nonce bytea PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX login_used_expires ON web.login_used (expires_at);

-- Seconds until so many calls to Strava can have been made, at what is left of the limits when live work takes all that is
-- kept for it: today's, a quarter hour's share after the other, and then day by day. NULL: no limit is known.
CREATE FUNCTION strava.calls_take(calls bigint) RETURNS float8 LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN calls <= 0 THEN 0
        WHEN x.day < 1 OR x.quarter < 1 THEN NULL
        WHEN calls <= x.left_quarter THEN 60
        WHEN calls <= x.left_day THEN 900 * ceil((calls - x.left_quarter) / x.quarter)
        ELSE 86400 - x.second_of_day + 86400 * floor((calls - x.left_day) / x.day)
            + 900 * ceil((calls - x.left_day - x.day * floor((calls - x.left_day) / x.day)) / x.quarter) END
    FROM (
        SELECT o.day, o.quarter, t.at - 86400 * floor(t.at / 86400) AS second_of_day, l.day AS left_day, least(l.quarter, l.day) AS left_quarter
        FROM q.rate r
        CROSS JOIN LATERAL (SELECT extract(epoch FROM clock_timestamp())::float8 + r.offset_s AS at) t
        CROSS JOIN LATERAL (SELECT r.capday - round(r.capday * r.reserve) AS day, r.cap15 - round(r.cap15 * r.reserve) AS quarter) o
        CROSS JOIN LATERAL (SELECT greatest(0, o.day - CASE WHEN r.winday = floor(t.at / 86400) THEN r.usedday ELSE 0 END) AS day,
                                   greatest(0, o.quarter - CASE WHEN r.win15 = floor(t.at / 900) THEN r.used15 ELSE 0 END) AS quarter) l
        WHERE r.name = 'strava'
    ) x
$$;

-- ---- departure -----------------------------------------------------------------------------------

-- Where something of an athlete may be: tables, each with what is true of such a row, where $1 is the athlete's id, $2 the
-- ids of the athlete's activities, $3 those of jobs about the athlete, and $4 is $2 as texts. Most are found by the names
-- of their columns, so that one which comes later, a frontend's too, is not forgotten.
CREATE FUNCTION waymark_athlete_places() RETURNS TABLE (place text, clause text) LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT x.tab::text, string_agg(x.clause, ' OR ' ORDER BY x.clause)
    FROM (
        SELECT c.oid::regclass AS tab, quote_ident(a.attname) || CASE a.attname WHEN 'activity_id' THEN ' = ANY ($2)' ELSE ' = $1' END AS clause
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.atttypid IN ('bigint'::regtype, 'integer'::regtype)
            AND (n.nspname IN ('q', 'strava', 'web', 'alert') AND a.attname IN ('athlete_id', 'owner_id', 'tenant', 'activity_id')
                 OR n.oid = (SELECT relnamespace FROM pg_class WHERE oid = 'athletes'::regclass) AND a.attname IN ('athlete_id', 'activity_id'))
        UNION ALL
        SELECT v.tab::regclass, v.clause FROM (VALUES
            ('athletes', 'id = $1'),
            ('route_pages', 'activity_ids && $2'),
            ('adopted_orphans', 'content->>''athlete_id'' = $1::text OR content->>''activity_id'' = ANY ($4)'),
            ('q.job', 'payload->>''athlete'' = $1::text OR payload->>''activity'' = ANY ($4) OR payload->>''key'' ~ ('':'' || $1 || ''$'')'),
            ('q.dead', 'payload->>''athlete'' = $1::text OR payload->>''activity'' = ANY ($4) OR payload->>''key'' ~ ('':'' || $1 || ''$'')'),
            ('q.cron', 'payload->>''athlete'' = $1::text'),
            ('q.try', 'job = ANY ($3)'),
            ('q.dedup', 'job = ANY ($3)'),
            ('q.halted', 'job = ANY ($3)'),
            ('q.audit', 'filter->>''athlete'' = $1::text'),
            ('alert.state', 'key ~ ('':'' || $1 || ''$'')') -- what is told of one athlete is called so
        ) AS v(tab, clause)
        UNION ALL
        SELECT to_regclass('strava.event'), 'object_id = ANY ($2) OR is_athlete AND object_id = $1' WHERE to_regclass('strava.event') IS NOT NULL
    ) x
    GROUP BY x.tab
$$;

-- Activities of the athlete, those too that are only known to have been.
CREATE FUNCTION waymark_athlete_activities(athlete bigint) RETURNS bigint[] LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT ARRAY(
        SELECT id FROM activities WHERE athlete_id = athlete
        UNION SELECT activity_id FROM strava.activity WHERE athlete_id = athlete
        UNION SELECT (content->>'id')::bigint FROM adopted_orphans WHERE table_name = 'activities' AND content->>'athlete_id' = athlete::text)
$$;

CREATE FUNCTION waymark_athlete_jobs(athlete bigint) RETURNS bigint[] LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT ARRAY(SELECT id FROM q.job WHERE tenant = athlete UNION SELECT id FROM q.dead WHERE tenant = athlete
                 UNION SELECT id FROM q.done WHERE tenant = athlete)
$$;

-- Rows of these, table by table, those without any too.
CREATE FUNCTION waymark_athlete_rows(athlete bigint, activity_ids bigint[], job_ids bigint[]) RETURNS TABLE (place text, n bigint)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    p record;
BEGIN
    FOR p IN SELECT x.place, x.clause FROM waymark_athlete_places() x ORDER BY 1 LOOP
        place := p.place;
        EXECUTE format('SELECT count(*) FROM %s WHERE %s', p.place, p.clause) INTO n USING athlete, activity_ids, job_ids, activity_ids::text[];
        RETURN NEXT;
    END LOOP;
END $$;

-- What there is of an athlete now.
CREATE FUNCTION waymark_count_athlete(athlete bigint) RETURNS TABLE (place text, n bigint) LANGUAGE sql SET search_path FROM CURRENT AS $$
    SELECT * FROM waymark_athlete_rows(athlete, waymark_athlete_activities(athlete), waymark_athlete_jobs(athlete))
$$;

-- Takes away everything of an athlete, and the athlete: table by table, how many rows there were, and how many are left, which
-- must be none. Whoever works for the athlete at the same time is either waited for or finds nothing to write to; what such
-- a job leaves in the history of the queue after this has been committed, a second call takes away.
--
-- Locks are taken in the order of all writers: lanes, jobs, epoch (no route lists activities meanwhile), athlete, what
-- Strava says of activities, activities.
CREATE FUNCTION waymark_erase_athlete(athlete bigint) RETURNS TABLE (place text, erased bigint, remaining bigint)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    p record;
    lanes text[] := ARRAY(SELECT lane FROM q.job WHERE tenant = athlete AND lane IS NOT NULL
                          UNION SELECT lane FROM q.dead WHERE tenant = athlete AND lane IS NOT NULL);
    mine bigint[]; -- activities
    work bigint[]; -- jobs
    had jsonb;
BEGIN
    PERFORM q.lock_lanes(lanes);
    PERFORM FROM q.job j WHERE j.tenant = athlete ORDER BY j.id FOR UPDATE;
    PERFORM pg_advisory_xact_lock_shared('route_epoch'::regclass::oid::bigint);
    PERFORM FROM athletes h WHERE h.id = athlete FOR UPDATE;
    mine := waymark_athlete_activities(athlete);
    work := waymark_athlete_jobs(athlete);
    SELECT jsonb_object_agg(r.place, r.n) INTO had FROM waymark_athlete_rows(athlete, mine, work) r;

    -- Deleting tracks before their activities would have these matched anew.
    FOR p IN SELECT x.place, x.clause FROM waymark_athlete_places() x
             WHERE x.place NOT IN ('athletes', 'activities', 'activity_tracks', 'route_pages', 'q.audit', 'q.job')
             ORDER BY NOT starts_with(x.place, 'strava.'), x.place LOOP
        EXECUTE format('DELETE FROM %s WHERE %s', p.place, p.clause) USING athlete, mine, work, mine::text[];
    END LOOP;
    DELETE FROM athletes h WHERE h.id = athlete;
    UPDATE route_pages g SET activity_ids = ARRAY(SELECT u FROM unnest(g.activity_ids) WITH ORDINALITY t(u, nth) WHERE u <> ALL (mine) ORDER BY nth)
    WHERE g.activity_ids && mine;
    -- Who did what stays on record, but not to whom.
    UPDATE q.audit a SET filter = a.filter - 'athlete' WHERE a.filter->>'athlete' = athlete::text;
    -- Last: the deletion of activities has just queued another one.
    FOR p IN SELECT x.place, x.clause FROM waymark_athlete_places() x WHERE x.place = 'q.job' LOOP
        EXECUTE format('DELETE FROM %s WHERE %s', p.place, p.clause) USING athlete, mine, work, mine::text[];
    END LOOP;
    PERFORM q.promote(lanes);

    RETURN QUERY SELECT r.place, coalesce((had->>r.place)::bigint, 0), r.n FROM waymark_athlete_rows(athlete, mine, work) r ORDER BY 1;
END $$;

-- The same, on record: who did it, but not to whom; and told to the operator, if asked for. Only of an athlete who was there.
CREATE FUNCTION waymark_depart(athlete bigint, by_whom text, tell boolean) RETURNS TABLE (place text, erased bigint, remaining bigint)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
BEGIN
    FOR place, erased, remaining IN SELECT * FROM waymark_erase_athlete(athlete) LOOP
        IF place = 'athletes' AND erased > 0 THEN
            INSERT INTO q.audit (who, command, jobs) VALUES (by_whom, 'athlete erase', 0);
            IF tell THEN
                PERFORM alert.tell('athlete.left', false, 'An athlete left',
                    format('Athlete %s left; everything of theirs was erased.', athlete));
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;
