-- The other instances, and owners without an instance, as they look from here.
-- $1 bigint ourselves
SELECT i.id, i.beat, i.place, i.pid, i.pid_started,
       EXISTS (SELECT FROM pg_stat_activity s WHERE s.pid = i.session
               -- a backend of another role hides its start: give it the benefit of the doubt
               AND (s.backend_start = i.session_start OR s.backend_start IS NULL)) AS session_alive
FROM q.instance i WHERE i.id <> $1
UNION ALL
SELECT DISTINCT j.owner, -1::bigint, '', 0, 0::bigint, false
FROM q.job j WHERE j.state = 'running' AND NOT EXISTS (SELECT FROM q.instance i WHERE i.id = j.owner)
ORDER BY 1
