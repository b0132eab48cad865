-- Whoever holds this token is logged in.
-- $1 bytea SHA-256 of the token
SELECT 1 FROM web.session WHERE token = $1 AND expires_at > now()
