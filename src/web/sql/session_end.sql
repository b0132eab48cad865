-- $1 bytea SHA-256 of the token
DELETE FROM web.session WHERE token = $1
