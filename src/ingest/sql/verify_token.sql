-- The word by which our own listener knows that a subscription is ours; made when there is none.
-- $1 text a new one
UPDATE strava.app SET verify_token = coalesce(verify_token, $1) RETURNING verify_token
