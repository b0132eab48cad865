-- Somebody has logged out.
-- $1 bytea SHA-256 of the token
DELETE FROM web.visitor WHERE token = $1
