-- The number of the subscription that there was is no more.
UPDATE strava.app SET subscription_id = NULL WHERE subscription_id IS NOT NULL
