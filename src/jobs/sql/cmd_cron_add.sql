-- A schedule. No row when the name is taken, or when it never comes.
-- $1 text name
-- $2 text spec
-- $3 text time zone
-- $4 smallint[] minutes
-- $5 smallint[] hours
-- $6 smallint[] days
-- $7 smallint[] months
-- $8 smallint[] weekdays
-- $9 boolean any day field will do
-- $10 boolean any hour
-- $11 text queue
-- $12 text kind
-- $13 smallint prio
-- $14 jsonb payload
-- $15 text catchup
-- $16 text who
-- $17 jsonb filter, for the audit
WITH new AS (
    INSERT INTO q.cron (name, spec, tz, minutes, hours, days, months, weekdays, any_day, any_hour, queue, kind, prio, payload,
                        catchup, next_at)
    SELECT c.*, n.next_at
    FROM (SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) c,
         (SELECT q.cron_next(jsonb_populate_record(NULL::q.cron, jsonb_build_object('tz', $3, 'minutes', $4, 'hours', $5,
              'days', $6, 'months', $7, 'weekdays', $8, 'any_day', $9, 'any_hour', $10)), clock_timestamp()) AS next_at) n
    WHERE n.next_at IS NOT NULL
    ON CONFLICT (name) DO NOTHING
    RETURNING next_at, tz
), said AS (
    INSERT INTO q.audit (who, command, filter, jobs) SELECT $16, 'jobs cron add', $17, 0 FROM new
)
SELECT next_at, to_char(next_at AT TIME ZONE tz, 'YYYY-MM-DD HH24:MI') FROM new
