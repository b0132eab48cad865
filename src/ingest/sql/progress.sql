-- How far syncs are, in place of one that was given up its successor: athlete, mode, state, pages, listed, added, changed, gone,
-- parked, problem; and what follows from them: calls that wait or are under way, and activities to match.
-- $1 bigint[] sync ids
SELECT s.athlete_id, s.mode, s.state, s.pages, s.listed, s.added, s.changed, s.gone, s.parked, s.problem,
       (SELECT count(*) FROM q.job j WHERE j.queue = 'strava' AND j.tenant = s.athlete_id
        AND j.kind IN ('strava.page', 'strava.look', 'strava.streams') AND j.prio > 2),
       (SELECT count(*) FROM q.job j WHERE j.queue = 'trails' AND j.tenant = s.athlete_id)
FROM strava.sync r CROSS JOIN LATERAL (
    SELECT * FROM strava.sync x WHERE x.athlete_id = r.athlete_id AND (x.id = r.id OR x.id > r.id AND r.state = 'superseded')
    ORDER BY x.id DESC LIMIT 1) s
WHERE r.id = ANY ($1) ORDER BY s.athlete_id
