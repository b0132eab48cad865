-- Tells the other instances to look.
-- $1 text channel
SELECT pg_notify($1, '')
