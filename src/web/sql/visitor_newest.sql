-- The newest activities of whoever holds this token.
-- $1 bytea SHA-256 of the token
SELECT x.id, coalesce(nullif(x.name, ''), x.activity_type), x.activity_type,
       to_char((x.start_date AT TIME ZONE 'UTC') AT TIME ZONE q.zone_or_utc(coalesce(regexp_replace(x.local_tz, '^[(].*[)] ', ''), 'UTC')), 'YYYY-MM-DD'),
       x.distance, x.source = 'strava' AND x.id > 0
FROM web.visitor v JOIN activities x ON x.athlete_id = v.athlete_id
WHERE v.token = $1 AND v.expires_at > now()
ORDER BY x.start_date DESC NULLS LAST, x.id DESC LIMIT 10
