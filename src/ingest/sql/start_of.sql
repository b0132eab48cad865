-- When an activity started, if it is here.
-- $1 bigint activity id
-- $2 bigint athlete id
SELECT a.start_date AT TIME ZONE 'UTC' FROM activities a JOIN strava.activity k ON k.activity_id = a.id
WHERE a.id = $1 AND k.athlete_id = $2 AND k.state = 'there'
