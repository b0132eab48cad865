-- Makes jobs of events: how many events, how many jobs. See strava.dispatch.
-- $1 integer at most so many events
SELECT events::bigint, jobs::bigint FROM strava.dispatch($1)
