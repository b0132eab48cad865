-- Where a sync stands; no row: it is over, or gone.
-- $1 bigint sync id
SELECT athlete_id, mode, extract(epoch FROM from_at)::bigint, extract(epoch FROM cursor_at)::bigint, page::bigint,
       extract(epoch FROM low_at)::bigint, fresh
FROM strava.sync WHERE id = $1 AND state = 'running'
