-- Keeps events; one row: whether a job was made for them. See strava.receive.
-- $1 boolean[] about an athlete
-- $2 smallint[] aspects: 1 create, 2 update, 3 delete
-- $3 bigint[] objects
-- $4 bigint[] owners
-- $5 bigint[] subscriptions
-- $6 timestamptz[] times
-- $7 boolean[] withdrawn
SELECT strava.receive($1, $2, $3, $4, $5, $6, $7)
