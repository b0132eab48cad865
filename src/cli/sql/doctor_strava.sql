-- For waymark doctor: the subscription to Strava's events, as it was found last.
SELECT subscription_id, subscription_url, verify_token, subscription_problem, extract(epoch FROM now() - subscription_at)::bigint
FROM strava.app
