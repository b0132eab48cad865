-- The operator is told that somebody may have withdrawn.
-- $1 bigint athlete id
SELECT strava.tell_unproven($1)
