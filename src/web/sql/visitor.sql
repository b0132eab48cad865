-- Whoever holds this token: the athlete, what was granted, whether a new login is needed and why, activities, and how the
-- import goes: the state of the last sync, what it has listed, seconds since one came to its end, calls that wait,
-- and seconds until they can all have been made (NULL: nothing limits them). No row: nobody.
-- $1 bytea SHA-256 of the token
SELECT v.athlete_id, a.name, coalesce('activity:read_all' = ANY (a.scopes), false), a.scopes IS NOT NULL,
       coalesce(a.state = 'reauth', false), a.reason,
       (SELECT count(*) FROM activities x WHERE x.athlete_id = v.athlete_id),
       (SELECT count(*) FROM activities x LEFT JOIN activity_state t ON t.activity_id = x.id AND t.revision = x.revision
        WHERE x.athlete_id = v.athlete_id AND t.activity_id IS NULL),
       s.state, s.listed::bigint,
       (SELECT extract(epoch FROM now() - max(y.finished_at))::float8 FROM strava.sync y WHERE y.athlete_id = v.athlete_id AND y.state = 'done'),
       c.mine, strava.calls_take(c.everybodys)
FROM web.visitor v
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE j.tenant = v.athlete_id) AS mine, count(*) AS everybodys FROM q.job j WHERE j.queue = 'strava' AND j.kind <> 'strava.page'
) c
LEFT JOIN strava.account a ON a.athlete_id = v.athlete_id
LEFT JOIN LATERAL (
    SELECT y.state, y.listed FROM strava.sync y WHERE y.athlete_id = v.athlete_id ORDER BY y.id DESC LIMIT 1
) s ON true
WHERE v.token = $1 AND v.expires_at > now()
