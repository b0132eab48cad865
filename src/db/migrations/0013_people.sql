-- People who log in with Strava, on whichever instance.

SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true); -- as in 0003

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
