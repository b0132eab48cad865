-- Somebody has logged in; what has expired is forgotten.
-- $1 bytea SHA-256 of the token
-- $2 text address
-- $3 integer seconds it lasts
WITH old AS (
    DELETE FROM web.session WHERE expires_at < now()
), said AS (
    INSERT INTO q.audit (who, command, filter, jobs) VALUES ('admin@' || $2, 'login', '{}', 0)
)
INSERT INTO web.session (token, address, expires_at) VALUES ($1, $2, now() + make_interval(secs => $3::integer))
