-- One row, if nobody has come back this way before; old ones are forgotten.
-- $1 bytea nonce
-- $2 integer seconds until it would have expired anyway
WITH old AS (
    DELETE FROM web.login_used WHERE expires_at < now() - interval '1 hour'
)
INSERT INTO web.login_used (nonce, expires_at) VALUES ($1, now() + make_interval(secs => $2::integer))
ON CONFLICT DO NOTHING RETURNING true
