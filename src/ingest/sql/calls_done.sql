-- Calls that were made for these syncs' athletes since a moment, as far as their jobs ended well.
-- $1 bigint[] sync ids
-- $2 timestamptz since
SELECT count(*) FROM q.done d
WHERE d.finished_at >= $2 AND d.queue = 'strava' AND d.outcome = 'done'
    AND d.tenant = ANY (ARRAY(SELECT s.athlete_id FROM strava.sync s WHERE s.id = ANY ($1)))
