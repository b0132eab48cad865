-- Makes jobs of events: how many events, how many jobs; and the id of the newest event. See strava.dispatch.
-- $1 integer at most so many events
SELECT events::bigint, jobs::bigint, coalesce((SELECT max(id) FROM strava.event), 0) FROM strava.dispatch($1)
