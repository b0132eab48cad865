-- Makes jobs of events: how many events, how many jobs; and how many events have been kept so far. See strava.dispatch.
-- $1 integer at most so many events
SELECT events::bigint, jobs::bigint, coalesce(pg_sequence_last_value('strava.event_id_seq'), 0) FROM strava.dispatch($1)
