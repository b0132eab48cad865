-- What is due once a day; see strava.upkeep and strava.event_upkeep. How many activities and events went.
-- $1 float8 seconds after which activities go; 0: never
-- $2 integer at most so many of them
SELECT strava.upkeep(make_interval(secs => $1), $2), strava.event_upkeep(interval '7 days')
