-- How an athlete stands with Strava: state, why, what was granted, seconds since the login, calls that wait and seconds until
-- they can have been made (NULL: nothing limits them), activities that are set aside.
-- $1 bigint athlete id
SELECT CASE WHEN a.state = 'reauth' THEN 'must log in again' WHEN c.athlete_id IS NOT NULL THEN 'connected' ELSE 'not connected' END,
       a.reason, array_to_string(a.scopes, ', '), extract(epoch FROM now() - a.connected_at)::float8, j.mine,
       CASE WHEN j.mine > 0 THEN strava.calls_take(j.everybodys) END,
       (SELECT count(*) FROM strava.activity k WHERE k.athlete_id = h.id AND k.problem IS NOT NULL)
FROM athletes h
LEFT JOIN strava.account a ON a.athlete_id = h.id
LEFT JOIN strava.connected c ON c.athlete_id = h.id
CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE tenant = h.id) AS mine, count(*) AS everybodys FROM q.job WHERE queue = 'strava') j
WHERE h.id = $1
