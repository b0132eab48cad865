-- An athlete has logged in, if still there; whoever was logged in with this browser is so no more, and what has expired is forgotten.
-- $1 bytea SHA-256 of the token
-- $2 bigint athlete id
-- $3 integer seconds it lasts
-- $4 bytea SHA-256 of the token that the browser held; NULL: none
WITH old AS (
    DELETE FROM web.visitor WHERE expires_at < now() OR token = $4
), there AS MATERIALIZED (
    SELECT id FROM athletes WHERE id = $2 FOR KEY SHARE
)
INSERT INTO web.visitor (token, athlete_id, expires_at) SELECT $1, id, now() + make_interval(secs => $3::integer) FROM there
RETURNING athlete_id
