-- Looks after the subscription now, and every day.
SELECT strava.want_subscription()
