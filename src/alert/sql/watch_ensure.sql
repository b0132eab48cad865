-- The schedule of that look, unless there is one of this name: an operator may have paused or changed it.
-- $1 text queue
INSERT INTO q.cron (name, spec, minutes, hours, days, months, weekdays, any_day, any_hour, queue, kind, prio, next_at)
SELECT c.*, q.cron_next(jsonb_populate_record(NULL::q.cron, jsonb_build_object('tz', 'UTC', 'minutes', c.minutes, 'hours', c.hours,
    'days', c.days, 'months', c.months, 'weekdays', c.weekdays, 'any_day', false, 'any_hour', true)), clock_timestamp())
FROM (SELECT 'alert.watch', '7 * * * *', ARRAY[7::smallint] AS minutes, ARRAY(SELECT generate_series(0, 23))::smallint[] AS hours,
             ARRAY(SELECT generate_series(1, 31))::smallint[] AS days, ARRAY(SELECT generate_series(1, 12))::smallint[] AS months,
             ARRAY(SELECT generate_series(0, 6))::smallint[] AS weekdays, false, true, $1, 'alert.watch', 5) c
ON CONFLICT (name) DO NOTHING
