-- Alerts on their way: what was told last, a message of one thing in five minutes, a job for each destination; and a look,
-- every hour, for what nobody says when it happens.

SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true); -- as in 0003

-- What the last message said of it, and when that was.
ALTER TABLE alert.state
    ADD COLUMN told_state text NOT NULL DEFAULT '',
    ADD COLUMN told_bad boolean NOT NULL DEFAULT false,
    ADD COLUMN told_at timestamptz;
UPDATE alert.state SET told_state = state, told_bad = bad, told_at = since;

-- One thing is told of at most once in this time.
CREATE FUNCTION alert.rest() RETURNS interval LANGUAGE sql IMMUTABLE AS $$ SELECT interval '5 minutes' $$;

-- A look at a state, now or when its rest is over, to tell of it if it is another one than was told last.
CREATE FUNCTION alert.look(about text, not_before timestamptz) RETURNS void LANGUAGE sql AS $$
    SELECT q.add(jsonb_build_array(jsonb_build_object('queue', 'trails', 'kind', 'alert', 'prio', 0, 'ukey', 'alert:' || about,
        'run_at', not_before, 'payload', jsonb_build_object('key', about))))
$$;

-- As in 0009, but what is told is the state as it is by then: one that came and went within the rest is not told of.
CREATE OR REPLACE FUNCTION alert.set(about text, new_state text, is_bad boolean, a_title text, a_body text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    was alert.state;
BEGIN
    INSERT INTO alert.state (key, state, bad, title, body) VALUES (about, '', false, '', '') ON CONFLICT DO NOTHING;
    SELECT * INTO was FROM alert.state WHERE key = about FOR UPDATE;
    IF was.state = new_state AND was.bad = is_bad THEN
        RETURN false;
    END IF;
    UPDATE alert.state SET state = new_state, bad = is_bad, title = a_title, body = a_body, since = now() WHERE key = about;
    IF is_bad OR was.bad OR was.told_bad THEN
        PERFORM alert.look(about, was.told_at + alert.rest());
    END IF;
    RETURN true;
END $$;

-- A message for each destination, in the transaction that ends the job with this payload. In a lane each, so that a later
-- message never overtakes an earlier one that is tried again. Bounded: who writes them quotes errors and names.
-- A row: what was told. None: nothing is to be told, now.
CREATE FUNCTION alert.fan(p jsonb, destinations text[], of_job bigint)
RETURNS TABLE (about text, is_bad boolean, headline text) LANGUAGE plpgsql AS $$
DECLARE
    s alert.state;
    t timestamptz := clock_timestamp();
BEGIN
    IF NOT p ? 'title' THEN
        SELECT * INTO s FROM alert.state x WHERE x.key = p->>'key' FOR UPDATE;
        IF s.key IS NULL OR (s.state, s.bad) = (s.told_state, s.told_bad) OR NOT (s.bad OR s.told_bad) THEN
            RETURN;
        ELSIF s.told_at + alert.rest() > t THEN
            PERFORM alert.look(s.key, s.told_at + alert.rest());
            RETURN;
        END IF;
        UPDATE alert.state x SET told_state = s.state, told_bad = s.bad, told_at = t WHERE x.key = s.key;
        p := jsonb_build_object('key', s.key, 'bad', s.bad, 'title', s.title, 'body', s.body, 'at', s.since);
    END IF;
    about := left(p->>'key', 200);
    is_bad := coalesce((p->>'bad')::boolean, false);
    headline := left(regexp_replace(p->>'title', '[[:space:][:cntrl:]]+', ' ', 'g'), 200);
    PERFORM q.add(coalesce(jsonb_agg(jsonb_build_object('queue', 'trails', 'kind', 'alert.send', 'prio', 0, 'max_attempts', 8,
        'parent', of_job, 'lane', 'alert:' || d || ':' || about, 'payload', jsonb_build_object('to', d, 'key', about, 'bad', is_bad,
        'title', headline, 'body', left(coalesce(p->>'body', ''), 2000), 'at', coalesce((p->>'at')::timestamptz, t)))), '[]'))
    FROM unnest(destinations) d;
    RETURN NEXT;
END $$;

-- ---- looks --------------------------------------------------------------------------------------

-- That it is well again; where it never was otherwise there is nothing to say.
CREATE FUNCTION alert.well(about text, new_state text, a_title text, a_body text) RETURNS boolean LANGUAGE sql AS $$
    SELECT CASE WHEN EXISTS (SELECT FROM alert.state s WHERE s.key = about) THEN alert.set(about, new_state, false, a_title, a_body)
           ELSE false END
$$;

-- Strava's calls of a day.
CREATE FUNCTION alert.watch_quota() RETURNS void LANGUAGE sql AS $$
    SELECT CASE WHEN r.winday = floor((extract(epoch FROM clock_timestamp()) + r.offset_s) / 86400) AND r.usedday >= r.capday
        THEN alert.set('strava:quota', 'used up', true, 'Today''s calls to Strava are used up',
            format('All %s calls that Strava allows in a day are made. What waits goes on after 00:00 UTC; events are kept meanwhile.', r.capday))
        ELSE alert.well('strava:quota', 'ok', 'Calls to Strava go on', 'The limit of the day is not reached any more.') END
    FROM q.rate r WHERE r.name = 'strava'
$$;

-- Who must log in again, and whether Strava lets the application in. Whoever calls says so when he meets it, with these very
-- keys and states: here is found what he could not say.
CREATE FUNCTION alert.watch_access() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM alert.set('token:' || a.athlete_id, 'reauth', true,
        coalesce(a.name, 'Athlete ' || a.athlete_id) || ' must log in with Strava again',
        format('Strava does not accept the tokens of athlete %s any more. Nothing new is fetched until a new login; what is here stays.', a.athlete_id))
    FROM strava.account a WHERE a.state = 'reauth' ORDER BY a.athlete_id;
    PERFORM alert.set(s.key, 'good', false, 'Strava works again for ' || coalesce(a.name, 'athlete ' || a.athlete_id), 'Activities are fetched again.')
    FROM strava.account a JOIN alert.state s ON s.key = 'token:' || a.athlete_id WHERE a.state = 'ok' AND s.bad ORDER BY a.athlete_id;
    -- Of who has left, nothing stays.
    DELETE FROM alert.state s WHERE s.key LIKE 'token:%' AND NOT EXISTS (SELECT FROM strava.account a WHERE s.key = 'token:' || a.athlete_id);
    PERFORM CASE WHEN a.state = 'inactive'
        THEN alert.set('strava:app', 'inactive', true, 'Strava has made the application inactive',
            'Strava refuses every call. Look at https://www.strava.com/settings/api; it is tried again, and goes on by itself.')
        ELSE alert.well('strava:app', 'active', 'Strava accepts the application again', 'Activities are fetched again.') END
    FROM strava.app a;
END $$;

-- The subscription to events. It may be out of order for a moment, which whoever mends it knows best: what is so at two
-- looks in a row is told.
CREATE FUNCTION alert.watch_subscription() RETURNS void LANGUAGE sql AS $$
    SELECT CASE WHEN a.subscription_problem IS NULL
        THEN alert.well('strava:subscription', 'ok', 'Strava pushes events', 'The subscription to events is in order.')
        WHEN s.bad THEN false
        WHEN s.state IS DISTINCT FROM 'doubtful'
        THEN alert.set('strava:subscription', 'doubtful', false, 'The subscription to events may be out of order', a.subscription_problem)
        ELSE alert.set('strava:subscription', 'broken', true, 'Strava pushes no events', a.subscription_problem) END
    FROM strava.app a LEFT JOIN alert.state s ON s.key = 'strava:subscription'
$$;

-- Nothing new, although somebody is connected: by a login here, or by one in a trail-progress frontend.
CREATE FUNCTION alert.watch_import(quiet_after interval) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    newest timestamptz;
BEGIN
    IF EXISTS (SELECT FROM strava.account) OR EXISTS (SELECT FROM refresh_tokens) THEN
        newest := greatest((SELECT max(connected_at) FROM strava.account), (SELECT max(inserted_at) FROM activities)::timestamptz);
    END IF;
    IF newest < now() - quiet_after THEN
        PERFORM alert.set('import:quiet', 'quiet', true, 'Nothing was imported for a while',
            format('Nothing new came since %s (UTC). Is the subscription to events in order, and does anybody still record?',
                   to_char(newest AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')));
    ELSIF newest IS NULL THEN
        PERFORM alert.well('import:quiet', 'nobody', 'Nobody is connected any more', 'Nothing new is expected.');
    ELSE
        PERFORM alert.well('import:quiet', 'ok', 'Activities come in again', 'Something new was imported.');
    END IF;
END $$;

-- Dead letters: told of when there are some, and again when there are some of a kind that was not among them. One kind less,
-- or one letter more, is no news.
CREATE FUNCTION alert.watch_dead() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    kinds text[];
    names text;
    total bigint;
    was alert.state;
BEGIN
    SELECT coalesce(array_agg(d.kind ORDER BY d.kind), '{}'), coalesce(sum(d.n), 0) INTO kinds, total
    FROM (SELECT left(x.kind, 40) AS kind, count(*) AS n FROM q.dead x GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20) d;
    names := array_to_string(kinds, ', ');
    SELECT * INTO was FROM alert.state WHERE key = 'queue:dead' FOR UPDATE;
    IF total = 0 THEN
        PERFORM alert.well('queue:dead', 'none', 'No dead letters are left', 'Every job that had failed for good was put back or discarded.');
    ELSIF was.bad AND kinds <@ string_to_array(was.state, ', ') THEN
        UPDATE alert.state SET state = names, told_state = CASE WHEN told_state = state THEN names ELSE told_state END
        WHERE key = 'queue:dead' AND state <> names;
    ELSE
        PERFORM alert.set('queue:dead', names, true, 'Jobs have failed for good',
            format('%s dead letter%s, of kind %s. "waymark jobs list --state dead" tells why; "waymark jobs retry" puts them back.',
                   total, CASE WHEN total = 1 THEN '' ELSE 's' END, names));
    END IF;
END $$;

CREATE FUNCTION alert.watch(quiet_after interval) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM alert.watch_quota();
    PERFORM alert.watch_access();
    PERFORM alert.watch_subscription();
    PERFORM alert.watch_import(quiet_after);
    PERFORM alert.watch_dead();
END $$;
