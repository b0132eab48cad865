-- When an activity started, in Unix microseconds, if it is here.
-- $1 bigint activity id
-- $2 bigint athlete id
SELECT (extract(epoch FROM a.start_date) * 1000000)::bigint FROM activities a JOIN strava.activity k ON k.activity_id = a.id
WHERE a.id = $1 AND k.athlete_id = $2 AND k.state = 'there'
