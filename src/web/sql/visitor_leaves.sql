-- Whoever holds this token is about to leave. Should we end between telling Strava and erasing, a job finds out that the grant is
-- withdrawn, and does the rest; the erasure takes it away. And whether their tokens are dead. No row: nobody.
-- $1 bytea SHA-256 of the token
-- $2 boolean Strava will be told
SELECT v.athlete_id,
       CASE WHEN $2 THEN (SELECT count(*) FROM q.add(jsonb_build_array(jsonb_build_object('queue', 'strava', 'kind', 'strava.check', 'prio', 3,
           'tenant', v.athlete_id, 'ukey', 'check:' || v.athlete_id, 'run_at', clock_timestamp() + interval '5 minutes',
           'payload', jsonb_build_object('athlete', v.athlete_id))))) END,
       EXISTS (SELECT FROM strava.account a WHERE a.athlete_id = v.athlete_id AND a.state = 'reauth')
FROM web.visitor v WHERE v.token = $1 AND v.expires_at > now()
