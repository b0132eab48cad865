-- The latest sync of each athlete who has one or is connected: athlete, whether connected, sync id, mode, state, from, pages, listed,
-- added, changed, gone, parked, problem, started, finished, who asked; activities that are parked, and calls that wait.
SELECT h.id, c.athlete_id IS NOT NULL, s.id, s.mode, s.state, s.from_at, s.pages, s.listed, s.added, s.changed, s.gone, s.parked,
       s.problem, s.started_at, s.finished_at, s.requested_by,
       (SELECT count(*) FROM strava.activity k WHERE k.athlete_id = h.id AND k.problem IS NOT NULL),
       (SELECT count(*) FROM q.job j WHERE j.queue = 'strava' AND j.tenant = h.id)
FROM athletes h LEFT JOIN strava.connected c ON c.athlete_id = h.id
LEFT JOIN LATERAL (SELECT * FROM strava.sync x WHERE x.athlete_id = h.id ORDER BY x.id DESC LIMIT 1) s ON true
WHERE c.athlete_id IS NOT NULL OR s.id IS NOT NULL
ORDER BY h.id
