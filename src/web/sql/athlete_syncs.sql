-- An athlete's latest syncs.
-- $1 bigint athlete id
SELECT to_char(s.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), s.mode, s.requested_by, s.state, s.pages::bigint, s.listed::bigint,
       s.added::bigint, s.changed::bigint, s.gone::bigint, s.parked::bigint, s.problem
FROM strava.sync s WHERE s.athlete_id = $1 ORDER BY s.id DESC LIMIT 10
