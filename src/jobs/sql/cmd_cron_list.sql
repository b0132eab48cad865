-- The schedules, with the times as the clocks of their zones show them; of a zone that is no more, in UTC.
SELECT c.name, c.spec, c.tz, c.queue, c.kind, c.prio, c.catchup, c.paused, c.next_at,
       to_char(c.next_at AT TIME ZONE z.zone, 'YYYY-MM-DD HH24:MI'), c.last_at,
       to_char(c.last_at AT TIME ZONE z.zone, 'YYYY-MM-DD HH24:MI'), c.missed, c.payload::text, c.problem
FROM q.cron c, LATERAL (SELECT q.zone_or_utc(c.tz) AS zone) z
ORDER BY c.name
