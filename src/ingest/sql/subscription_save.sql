-- The subscription as it is; all is well.
-- $1 bigint its number; NULL: there is none, and none is wanted
-- $2 text the address it pushes to
-- $3 boolean whether somebody is waiting for events
-- $4 text where another one pushed to, which this one took the place of; NULL: there was none
WITH known AS (
    UPDATE strava.app SET subscription_id = $1, subscription_url = $2, subscription_at = now(), subscription_problem = NULL
)
SELECT CASE WHEN $3 THEN alert.set('strava:subscription', 'ok', false, 'Strava pushes events',
                                   'The subscription to events is in order.') END,
       CASE WHEN $4 IS NOT NULL THEN alert.tell('strava:subscription', false, 'The subscription to events was moved here',
                                                format('Strava pushed them to %s until now.', $4))::text END
