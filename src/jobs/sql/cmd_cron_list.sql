-- The schedules, with the times as the clocks of their zones show them.
SELECT name, spec, tz, queue, kind, prio, catchup, paused, next_at, to_char(next_at AT TIME ZONE tz, 'YYYY-MM-DD HH24:MI'),
       last_at, to_char(last_at AT TIME ZONE tz, 'YYYY-MM-DD HH24:MI'), missed, payload::text
FROM q.cron ORDER BY name
