-- Which of these a sync has seen already.
-- $1 bigint sync id
-- $2 bigint[] activity ids
SELECT activity_id FROM strava.activity WHERE activity_id = ANY ($2) AND swept = $1
