-- A row for this process; its id is the owner of what it claims.
-- $1 text host
-- $2 text place: boot id and pid namespace
-- $3 integer pid
-- $4 bigint start time of the process in clock ticks
-- $5 text version
-- $6 text queue
-- $7 integer batches at once
INSERT INTO q.instance (host, place, pid, pid_started, version, session, session_start, queue, slots)
VALUES ($1, $2, $3, $4, $5, pg_backend_pid(),
        (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()), $6, $7)
RETURNING id
