-- What Strava's API needs whoever calls it: who is connected, what is known of each activity there, the shared budget of
-- calls; and the states that people are alerted of.

SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true); -- as in 0003

CREATE SCHEMA strava;

-- An athlete who connected. Tokens are in access_tokens and refresh_tokens (0001), where a trail-progress frontend may
-- have put them: an athlete with tokens and no row here is connected too, with scopes that nobody knows.
CREATE TABLE strava.account (
    athlete_id bigint PRIMARY KEY REFERENCES athletes(id) ON DELETE CASCADE ON UPDATE CASCADE,
    name text,
    scopes text[],                                  -- as granted; NULL: not known
    state text NOT NULL DEFAULT 'ok' CHECK (state IN ('ok', 'reauth')), -- reauth: only the athlete can go on
    reason text,                                    -- of reauth, in words
    refused bytea,                                  -- SHA-256 of the refresh token that died: another one is worth a try
    state_at timestamptz NOT NULL DEFAULT now(),
    connected_at timestamptz NOT NULL DEFAULT now(),
    -- One refresh at a time over all instances: who holds this may spend the refresh token.
    refresh_owner bigint,
    refresh_until timestamptz
);

-- What we know of an activity at Strava; also of those that are not there, so that an older answer, which comes late, does
-- not bring them back. checked: the ticket of the request whose answer this is. Tickets are drawn before a request is
-- sent: an answer with a smaller one than this is older, and says nothing.
CREATE SEQUENCE strava.ticket;
CREATE TABLE strava.activity (
    activity_id bigint PRIMARY KEY,
    athlete_id bigint NOT NULL REFERENCES athletes(id) ON DELETE CASCADE ON UPDATE CASCADE,
    state text NOT NULL CHECK (state IN ('there', 'gone')),
    checked bigint NOT NULL,
    checked_at timestamptz NOT NULL DEFAULT now(),
    listed bytea,                                   -- SHA-256 of what a list says of it: whether it changed
    sport_type text,
    visibility text,
    detail_at timestamptz,                          -- of the newest detail taken over
    streams text NOT NULL DEFAULT 'none' CHECK (streams IN ('none', 'have', 'absent')), -- absent: Strava has none
    streams_at timestamptz,
    swept bigint,                                   -- the sweep that saw it last
    problem text,                                   -- parked: why it could not be taken over
    problem_at timestamptz
);
CREATE INDEX activity_athlete ON strava.activity (athlete_id);

-- The application as Strava sees it, and its subscription to events. One row.
CREATE TABLE strava.app (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'inactive')),
    state_at timestamptz NOT NULL DEFAULT now(),
    refused15 bigint,                               -- windows (as in q.rate) in which we were told to stop: jobs that were
    refusedday bigint,                              -- claimed before that must not call either
    subscription_id bigint,                         -- NULL: none that we know of
    subscription_url text,
    verify_token text,
    subscription_at timestamptz,
    subscription_problem text
);
INSERT INTO strava.app DEFAULT VALUES;

-- States that somebody wants to hear of when they change. bad: something is to be done.
CREATE SCHEMA alert;
CREATE TABLE alert.state (
    key text PRIMARY KEY,
    state text NOT NULL,
    bad boolean NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);

-- One message, in the transaction of what it is about.
CREATE FUNCTION alert.tell(about text, is_bad boolean, a_title text, a_body text) RETURNS void LANGUAGE sql AS $$
    SELECT q.add(jsonb_build_array(jsonb_build_object('queue', 'trails', 'kind', 'alert', 'prio', 0,
        'payload', jsonb_build_object('key', about, 'bad', is_bad, 'title', a_title, 'body', a_body, 'at', clock_timestamp()))))
$$;

-- A message when it changes: that it is bad, or bad in another way, or that it is well again. Whether it changed.
CREATE FUNCTION alert.set(about text, new_state text, is_bad boolean, a_title text, a_body text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    was alert.state;
BEGIN
    INSERT INTO alert.state AS s (key, state, bad, title, body) VALUES (about, '', false, '', '') ON CONFLICT DO NOTHING;
    SELECT * INTO was FROM alert.state WHERE key = about FOR UPDATE;
    IF was.state = new_state AND was.bad = is_bad THEN
        RETURN false;
    END IF;
    UPDATE alert.state SET state = new_state, bad = is_bad, title = a_title, body = a_body, since = now() WHERE key = about;
    IF is_bad OR was.bad THEN
        PERFORM alert.tell(about, is_bad, a_title, a_body);
    END IF;
    RETURN true;
END $$;
