-- How far syncs are: for each its id, athlete, mode, state, pages, listed, added, changed, gone, parked, problem, seconds of the
-- list that were gone through and that it has (of those up to the oldest known), and the jobs that follow from it: calls
-- that are queued or under way, and those whose attempts failed.
-- $1 bigint[] sync ids
SELECT s.id, s.athlete_id, s.mode, s.state, s.pages, s.listed, s.added, s.changed, s.gone, s.parked, s.problem,
       coalesce(j.calls, 0), coalesce(j.failing, 0)
FROM strava.sync s
LEFT JOIN LATERAL (
    SELECT count(*) AS calls, count(*) FILTER (WHERE q.last_error IS NOT NULL) AS failing FROM q.job q
    WHERE q.queue = 'strava' AND q.tenant = s.athlete_id AND q.kind IN ('strava.page', 'strava.look', 'strava.streams') AND q.prio > 2
) j ON true
WHERE s.id = ANY ($1) ORDER BY s.athlete_id
