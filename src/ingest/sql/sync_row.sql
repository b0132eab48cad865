-- What has become of a sync.
-- $1 bigint sync id
SELECT athlete_id, mode, state, pages, listed, added, changed, gone, parked, problem FROM strava.sync WHERE id = $1
