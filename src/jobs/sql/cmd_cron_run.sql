-- The job of a schedule, now, besides its slots. One that is queued already does it. No row: there is no such schedule.
-- $1 text name
-- $2 text who
-- $3 jsonb filter, for the audit
-- $4 text channel on which the instances are told
WITH t AS MATERIALIZED (
    SELECT clock_timestamp() AS at
), added AS MATERIALIZED (
    SELECT a.job FROM q.cron c, t, LATERAL q.add(jsonb_build_array(jsonb_build_object('queue', c.queue, 'kind', c.kind,
        'prio', c.prio, 'payload', c.payload || jsonb_build_object('slot', t.at),
        'ukey', 'cron:' || c.name || CASE WHEN c.catchup = 'all' THEN ':' || extract(epoch FROM t.at)::bigint ELSE '' END))) a(job)
    WHERE c.name = $1
), said AS (
    INSERT INTO q.audit (who, command, filter, jobs) SELECT $2, 'jobs cron run', $3, 1 FROM added
)
SELECT job, pg_notify($4, '')::text FROM added
