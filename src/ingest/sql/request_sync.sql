-- Asks for syncs; see strava.request_sync. A row for each: its id, athlete, mode, whether it was under way already. None: the
-- athlete is not connected, or nobody is.
-- $1 bigint athlete id; NULL: all who are connected
-- $2 text mode
-- $3 timestamptz from then on, or NULL
-- $4 text who asks
SELECT s.id, s.athlete_id, s.mode, s.started_at < now() FROM strava.request_sync($1, $2, $3, $4) s ORDER BY s.athlete_id
