-- The programs at work on this database.
SELECT id, host, pid::bigint, version, draining, started_at, (extract(epoch FROM clock_timestamp() - beat_at) * 1000)::bigint
FROM q.instance ORDER BY id
