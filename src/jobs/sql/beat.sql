-- I live. No row comes back when somebody took us for dead and rescued our jobs.
-- $1 bigint owner
UPDATE q.instance SET beat = beat + 1, beat_at = clock_timestamp(), session = pg_backend_pid(),
    session_start = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
WHERE id = $1
RETURNING draining
