-- I live; and what concerns me: one row for myself (none when somebody took us for dead and rescued our jobs), one for each
-- other instance and each owner without an instance, one for each job of mine that is to be cancelled. A beat need not wait
-- for the disk; said here, it costs an idle instance no statement of its own.
-- $1 bigint owner
-- $2 integer jobs in flight
WITH me AS (
    UPDATE q.instance SET beat = beat + 1, beat_at = clock_timestamp(), running = $2, session = pg_backend_pid(),
        session_start = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
    WHERE id = $1 AND set_config('synchronous_commit', 'off', true) = 'off'
    RETURNING draining
)
SELECT 0 AS what, $1 AS id, 0::bigint AS beat, '' AS place, 0 AS pid, 0::bigint AS pid_started, draining AS flag FROM me
UNION ALL
SELECT 1, i.id, i.beat, i.place, i.pid, i.pid_started,
       EXISTS (SELECT FROM pg_stat_activity s WHERE s.pid = i.session
               -- a backend of another role hides its start: give it the benefit of the doubt
               AND (s.backend_start = i.session_start OR s.backend_start IS NULL))
FROM q.instance i WHERE i.id <> $1
UNION ALL
SELECT 1, o.owner, -1, '', 0, 0, false
FROM (SELECT DISTINCT j.owner FROM q.job j WHERE j.state = 'running') o
WHERE NOT EXISTS (SELECT FROM q.instance i WHERE i.id = o.owner)
UNION ALL
SELECT 2, j.id, 0, '', 0, 0, false FROM q.job j WHERE j.owner = $1 AND j.state = 'running' AND j.cancel
ORDER BY 1, 2
