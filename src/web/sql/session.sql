-- Whoever holds this token is logged in.
-- $1 bytea what is kept of the token (web__session_hash)
SELECT 1 FROM web.session WHERE token = $1 AND expires_at > now()
