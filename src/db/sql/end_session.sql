-- Ends a session of ours that we can no longer reach. By its start as well: process ids come again.
-- $1 integer pid
-- $2 text backend_start, as it was told when the session began
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start::text = $2 AND usename = current_user
