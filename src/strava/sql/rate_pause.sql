-- No calls for a quarter hour.
UPDATE q.rate SET paused_until = greatest(paused_until, clock_timestamp() + interval '15 minutes') WHERE name = 'strava'
