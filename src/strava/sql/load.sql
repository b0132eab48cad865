-- What a call starts from: the athlete's tokens as they are stored, the seconds that are left of the access token, how the
-- account and the application stand, whether calls are refused at this time or paused, the ticket of the answer, and whether
-- what a refresh gave may have got lost: somebody said so, or died of it.
-- Times of the contract's tables are in UTC; they are compared here, by the one clock that all instances share.
-- $1 bigint athlete id
SELECT t.access_token, CASE WHEN isfinite(t.expires_at)
           THEN extract(epoch FROM t.expires_at AT TIME ZONE 'UTC' - clock_timestamp())::bigint ELSE 0 END,
       r.refresh_token, coalesce(a.state = 'reauth', false), a.refused, coalesce(p.state = 'inactive', false),
       coalesce(q.paused_until > clock_timestamp(), false)
           OR coalesce(floor((extract(epoch FROM clock_timestamp()) + q.offset_s) / 900) = p.refused15, false)
           OR coalesce(floor((extract(epoch FROM clock_timestamp()) + q.offset_s) / 86400) = p.refusedday, false),
       nextval('strava.ticket'), coalesce(a.doubtful OR a.refresh_until < clock_timestamp(), false)
FROM (VALUES ($1)) v(athlete_id)
LEFT JOIN access_tokens t ON t.athlete_id = v.athlete_id
LEFT JOIN refresh_tokens r ON r.athlete_id = v.athlete_id
LEFT JOIN strava.account a ON a.athlete_id = v.athlete_id
LEFT JOIN strava.app p ON true
LEFT JOIN q.rate q ON q.name = 'strava'
