-- Who is here. none: there are no tokens to ask Strava with.
SELECT h.id, a.name, array_to_string(a.scopes, ','),
       CASE WHEN a.state = 'reauth' THEN 'reauth'
            WHEN EXISTS (SELECT FROM refresh_tokens t WHERE t.athlete_id = h.id)
                 OR EXISTS (SELECT FROM access_tokens t WHERE t.athlete_id = h.id) THEN 'connected'
            ELSE 'none' END,
       (SELECT count(*) FROM activities x WHERE x.athlete_id = h.id),
       (SELECT max(x.inserted_at) FROM activities x WHERE x.athlete_id = h.id)::timestamptz
FROM athletes h LEFT JOIN strava.account a ON a.athlete_id = h.id ORDER BY h.id
