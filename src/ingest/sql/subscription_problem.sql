-- Why there is no subscription that we know to be in order.
-- $1 text why, in words
-- $2 boolean there is none: what was known of one is over
-- $3 text in a word, for the alert; NULL: it is not worth one, yet
WITH known AS (
    UPDATE strava.app SET subscription_problem = $1,
        subscription_id = CASE WHEN $2 THEN NULL ELSE subscription_id END,
        subscription_url = CASE WHEN $2 THEN NULL ELSE subscription_url END
)
SELECT CASE WHEN $3 IS NOT NULL THEN alert.set('strava:subscription', $3, true, 'Strava pushes no events', $1) END
