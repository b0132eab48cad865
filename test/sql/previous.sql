-- Made by previous.sh: every statement of an earlier program, which runs beside a newer one during an upgrade.
-- schema 6
-- ==== jobs add
-- Adds jobs; see q.add. Zeros mean that nothing is said.
-- $1 text[] queues
-- $2 text[] kinds
-- $3 text[] payloads
-- $4 integer[] prios
-- $5 integer[] attempts at most
-- $6 bigint[] tenants
-- $7 text[] lanes
-- $8 text[] ukeys
-- $9 boolean[] halt
-- $10 bigint[] milliseconds from now
-- $11 bigint[] seconds of one attempt
-- $12 bigint[] parents
SELECT q.add(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
    'queue', queue, 'kind', kind, 'prio', prio, 'max_attempts', nullif(most, 0), 'tenant', nullif(tenant, 0), 'lane', lane,
    'ukey', ukey, 'halt', nullif(halt, false), 'timeout_s', nullif(timeout_s, 0), 'parent', nullif(parent, 0),
    'run_at', CASE WHEN delay_ms > 0 THEN clock_timestamp() + delay_ms * interval '1 millisecond' END))
    || CASE WHEN payload IS NULL THEN '{}' ELSE jsonb_build_object('payload', payload::jsonb) END))
FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    u(queue, kind, payload, prio, most, tenant, lane, ukey, halt, delay_ms, timeout_s, parent)
-- ==== jobs add_flow
-- What this instance did since its last row.
-- $1 text queue
-- $2 bigint instance
-- $3 bigint claimed
-- $4 bigint finished
-- $5 bigint retried
-- $6 bigint buried
-- $7 bigint fenced
-- $8 bigint rescued
-- $9 bigint milliseconds that batches ran
INSERT INTO q.flow (queue, instance, claimed, finished, retried, buried, fenced, rescued, run_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
-- ==== jobs add_once
-- One request, once; see q.add_once.
-- $1 text key of the request
-- $2 float8 seconds for which the key is kept
-- $3 jsonb the job, as for q.add
SELECT q.add_once($1, make_interval(secs => $2), $3)
-- ==== jobs beat
-- I live; and what concerns me: one row for myself (none when somebody took us for dead and rescued our jobs), one for each
-- other instance and each owner without an instance, one for each job of mine that is to be cancelled. A beat need not wait
-- for the disk; said here, it costs an idle instance no statement of its own.
-- $1 bigint owner
-- $2 integer jobs in flight
WITH me AS (
    UPDATE q.instance SET beat = beat + 1, beat_at = clock_timestamp(), running = $2, session = pg_backend_pid(),
        session_start = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
    WHERE id = $1 AND set_config('synchronous_commit', 'off', true) = 'off'
    RETURNING draining
)
SELECT 0 AS what, $1 AS id, 0::bigint AS beat, '' AS place, 0 AS pid, 0::bigint AS pid_started, draining AS flag FROM me
UNION ALL
SELECT 1, i.id, i.beat, i.place, i.pid, i.pid_started,
       EXISTS (SELECT FROM pg_stat_activity s WHERE s.pid = i.session
               -- a backend of another role hides its start: give it the benefit of the doubt
               AND (s.backend_start = i.session_start OR s.backend_start IS NULL))
FROM q.instance i WHERE i.id <> $1
UNION ALL
SELECT 1, o.owner, -1, '', 0, 0, false
FROM (SELECT DISTINCT j.owner FROM q.job j WHERE j.state = 'running') o
WHERE NOT EXISTS (SELECT FROM q.instance i WHERE i.id = o.owner)
UNION ALL
SELECT 2, j.id, 0, '', 0, 0, false FROM q.job j WHERE j.owner = $1 AND j.state = 'running' AND j.cancel
ORDER BY 1, 2
-- ==== jobs bury
-- To the dead letters; see q.bury.
-- $1 bigint[] ids
-- $2 bigint owner
-- $3 text reason
-- $4 text error
SELECT q.bury($1, $2, $3, $4)
-- ==== jobs cmd_audit
-- Who did this to the page: one row for a command, made with its first page that was not empty, counted up with each. The
-- answer is that row, if there is one, and how many this page was.
-- $1 bigint the row, or NULL when there is none yet
-- $2 text who
-- $3 text command
-- $4 jsonb filter
-- $5 boolean complete with this page, if it was shorter than it could be
-- $6 integer how long it could be
WITH page AS (
    SELECT current_setting('waymark.did')::bigint AS did, cardinality(current_setting('waymark.page')::bigint[]) AS n
), had AS (
    UPDATE q.audit a SET jobs = a.jobs + p.did, complete = $5 AND p.n < $6 FROM page p WHERE a.id = $1 RETURNING a.id
), made AS (
    INSERT INTO q.audit (who, command, filter, jobs, complete)
    SELECT $2, $3, $4, p.did, $5 AND p.n < $6 FROM page p WHERE $1 IS NULL AND p.n > 0 RETURNING id
)
SELECT coalesce((SELECT id FROM had), (SELECT id FROM made)), (SELECT did FROM page)
-- ==== jobs cmd_cancel
-- The jobs of the page are cancelled, or asked to stop; how many stays in the setting waymark.did.
SELECT set_config('waymark.did', q.cancel(current_setting('waymark.page')::bigint[])::text, true)
-- ==== jobs cmd_count
-- How many jobs a command is about; and how many of them run.
-- $1 text[] states: those of q.state, dead, done
-- $2 bigint[] ids, or NULL for any; so are the next ones
-- $3 text queue
-- $4 text kind
-- $5 bigint athlete
-- $6 text part of the last error
-- $7 float8 added, died or ended so many seconds ago at least
-- $8 float8 at most
SELECT j.n + d.n + h.n, j.running
FROM (SELECT count(*) AS n, count(*) FILTER (WHERE state = 'running') AS running FROM q.job
      WHERE state::text = ANY ($1) AND ($2 IS NULL OR id = ANY ($2)) AND ($3 IS NULL OR queue = $3) AND ($4 IS NULL OR kind = $4)
          AND ($5 IS NULL OR tenant = $5) AND ($6 IS NULL OR strpos(last_error, $6) > 0)
          AND ($7 IS NULL OR created_at <= now() - make_interval(secs => $7))
          AND ($8 IS NULL OR created_at >= now() - make_interval(secs => $8))) j,
     (SELECT count(*) AS n FROM q.dead
      WHERE 'dead' = ANY ($1) AND ($2 IS NULL OR id = ANY ($2)) AND ($3 IS NULL OR queue = $3) AND ($4 IS NULL OR kind = $4)
          AND ($5 IS NULL OR tenant = $5) AND ($6 IS NULL OR strpos(last_error, $6) > 0)
          AND ($7 IS NULL OR died_at <= now() - make_interval(secs => $7))
          AND ($8 IS NULL OR died_at >= now() - make_interval(secs => $8))) d,
     (SELECT count(*) AS n FROM q.done
      WHERE 'done' = ANY ($1) AND $6 IS NULL AND ($2 IS NULL OR id = ANY ($2)) AND ($3 IS NULL OR queue = $3)
          AND ($4 IS NULL OR kind = $4) AND ($5 IS NULL OR tenant = $5)
          AND ($7 IS NULL OR finished_at <= now() - make_interval(secs => $7))
          AND ($8 IS NULL OR finished_at >= now() - make_interval(secs => $8))) h
-- ==== jobs cmd_cron_add
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
-- ==== jobs cmd_cron_check
-- Before a schedule is added: whether there is such a time zone, what it may have been meant to be, whether the name is taken.
-- $1 text time zone
-- $2 text name
SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = $1),
       (SELECT string_agg(z.name, ', ') FROM (
            SELECT name FROM pg_timezone_names
            WHERE name !~ '^(posix|right)/' AND strpos(lower(name), lower($1)) > 0 ORDER BY length(name), name LIMIT 3) z),
       EXISTS (SELECT FROM q.cron WHERE name = $2)
-- ==== jobs cmd_cron_list
-- The schedules, with the times as the clocks of their zones show them; of a zone that is no more, in UTC.
SELECT c.name, c.spec, c.tz, c.queue, c.kind, c.prio, c.catchup, c.paused, c.next_at,
       to_char(c.next_at AT TIME ZONE z.zone, 'YYYY-MM-DD HH24:MI'), c.last_at,
       to_char(c.last_at AT TIME ZONE z.zone, 'YYYY-MM-DD HH24:MI'), c.missed, c.payload::text, c.problem
FROM q.cron c,
     LATERAL (SELECT CASE WHEN c.tz IN (SELECT name FROM pg_timezone_names) THEN c.tz ELSE 'UTC' END AS zone) z
ORDER BY c.name
-- ==== jobs cmd_cron_pause
-- Schedules that do not come for a time, or come again: then from now on, what passed meanwhile was not wanted; and one
-- that could not be fired is tried again. The answer: those that there are.
-- $1 text[] names
-- $2 boolean paused
-- $3 text who
-- $4 text command
WITH told AS (
    UPDATE q.cron c SET paused = $2,
        next_at = CASE WHEN NOT $2 AND (c.paused OR c.problem IS NOT NULL) THEN coalesce(q.cron_next(c, clock_timestamp()), 'infinity')
                       ELSE c.next_at END,
        problem = CASE WHEN $2 THEN c.problem END
    WHERE name = ANY ($1) RETURNING name
), said AS (
    INSERT INTO q.audit (who, command, filter, jobs)
    SELECT $3, $4, jsonb_build_object('names', jsonb_agg(name)), 0 FROM told HAVING count(*) > 0
)
SELECT name FROM told
-- ==== jobs cmd_cron_remove
-- Schedules that come no more. The answer: those that there were.
-- $1 text[] names
-- $2 text who
WITH gone AS (
    DELETE FROM q.cron WHERE name = ANY ($1) RETURNING name
), said AS (
    INSERT INTO q.audit (who, command, filter, jobs)
    SELECT $2, 'jobs cron remove', jsonb_build_object('names', jsonb_agg(name)), 0 FROM gone HAVING count(*) > 0
)
SELECT name FROM gone
-- ==== jobs cmd_cron_run
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
-- ==== jobs cmd_discard
-- The dead letters of the page are thrown away; how many stays in the setting waymark.did.
SELECT set_config('waymark.did', q.discard(current_setting('waymark.page')::bigint[])::text, true)
-- ==== jobs cmd_drain
-- An instance is to claim nothing more, or may again. It hears of it at its next beat. No row: there is no such instance.
-- $1 bigint instance
-- $2 boolean nothing more
-- $3 text who
-- $4 jsonb filter, for the audit
WITH told AS (
    UPDATE q.instance SET draining = $2 WHERE id = $1 RETURNING id, beat
), said AS (
    INSERT INTO q.audit (who, command, filter, jobs) SELECT $3, 'jobs drain', $4, 0 FROM told
)
SELECT beat FROM told
-- ==== jobs cmd_drained
-- How far an instance is: whether it is there, its beat and how long ago that was, whether it drains, and what it runs, as it
-- says and as the jobs say.
-- $1 bigint instance
SELECT i.id IS NOT NULL, i.beat, (extract(epoch FROM clock_timestamp() - i.beat_at) * 1000)::bigint, coalesce(i.draining, true),
       greatest(i.running, (SELECT count(*) FROM q.job WHERE owner = $1 AND state = 'running'))
FROM (SELECT) x LEFT JOIN q.instance i ON i.id = $1
-- ==== jobs cmd_find
-- What became of these jobs: NULL where nobody knows of one.
-- $1 bigint[] ids
SELECT u.id, coalesce((SELECT state::text FROM q.job WHERE id = u.id), (SELECT 'dead' FROM q.dead WHERE id = u.id),
                      (SELECT 'done' FROM q.done WHERE id = u.id LIMIT 1))
FROM unnest($1) u(id)
-- ==== jobs cmd_instances
-- The programs at work, for status: as store/instances, and what each may and does run.
SELECT id, queue, slots, greatest(i.running, (SELECT count(*) FROM q.job j WHERE j.owner = i.id AND j.state = 'running')), draining
FROM q.instance i ORDER BY id
-- ==== jobs cmd_last_minute
-- What the instances did in the last minute, by queue; they write it down now and then.
SELECT queue, sum(finished)::bigint, sum(retried)::bigint, sum(buried)::bigint
FROM q.flow WHERE at > clock_timestamp() - interval '1 minute' GROUP BY queue ORDER BY queue
-- ==== jobs cmd_list
-- Jobs for a table: what runs, what is dead, what else lives, what is done; the newest first in each.
-- $1 text[] states: those of q.state, dead, done
-- $2 bigint[] ids, or NULL for any; so are the next ones
-- $3 text queue
-- $4 text kind
-- $5 bigint athlete
-- $6 text part of the last error
-- $7 float8 added, died or ended so many seconds ago at least
-- $8 float8 at most
-- $9 integer how many
WITH x AS (
    (SELECT 1 AS rank, id, queue, kind, state::text AS state, prio, attempt, max_attempts, tenant, lane, created_at AS at, last_error
     FROM q.job
     WHERE state = 'running' AND 'running' = ANY ($1) AND ($2 IS NULL OR id = ANY ($2)) AND ($3 IS NULL OR queue = $3)
         AND ($4 IS NULL OR kind = $4) AND ($5 IS NULL OR tenant = $5) AND ($6 IS NULL OR strpos(last_error, $6) > 0)
         AND ($7 IS NULL OR created_at <= now() - make_interval(secs => $7))
         AND ($8 IS NULL OR created_at >= now() - make_interval(secs => $8))
     ORDER BY id DESC LIMIT $9)
    UNION ALL
    (SELECT 2, id, queue, kind, 'dead', prio, attempt, max_attempts, tenant, lane, died_at, coalesce(last_error, reason)
     FROM q.dead
     WHERE 'dead' = ANY ($1) AND ($2 IS NULL OR id = ANY ($2)) AND ($3 IS NULL OR queue = $3)
         AND ($4 IS NULL OR kind = $4) AND ($5 IS NULL OR tenant = $5) AND ($6 IS NULL OR strpos(last_error, $6) > 0)
         AND ($7 IS NULL OR died_at <= now() - make_interval(secs => $7))
         AND ($8 IS NULL OR died_at >= now() - make_interval(secs => $8))
     ORDER BY id DESC LIMIT $9)
    UNION ALL
    (SELECT 3, id, queue, kind, state::text, prio, attempt, max_attempts, tenant, lane, created_at, last_error
     FROM q.job
     WHERE state <> 'running' AND state::text = ANY ($1) AND ($2 IS NULL OR id = ANY ($2)) AND ($3 IS NULL OR queue = $3)
         AND ($4 IS NULL OR kind = $4) AND ($5 IS NULL OR tenant = $5) AND ($6 IS NULL OR strpos(last_error, $6) > 0)
         AND ($7 IS NULL OR created_at <= now() - make_interval(secs => $7))
         AND ($8 IS NULL OR created_at >= now() - make_interval(secs => $8))
     ORDER BY id DESC LIMIT $9)
    UNION ALL
    (SELECT 4, id, queue, kind, outcome, NULL, attempt, NULL, tenant, NULL, finished_at, NULL
     FROM q.done
     WHERE 'done' = ANY ($1) AND $6 IS NULL AND ($2 IS NULL OR id = ANY ($2)) AND ($3 IS NULL OR queue = $3)
         AND ($4 IS NULL OR kind = $4) AND ($5 IS NULL OR tenant = $5)
         AND ($7 IS NULL OR finished_at <= now() - make_interval(secs => $7))
         AND ($8 IS NULL OR finished_at >= now() - make_interval(secs => $8))
     ORDER BY id DESC LIMIT $9)
)
SELECT id, queue, kind, state, prio, attempt, max_attempts, tenant, lane, at, extract(epoch FROM clock_timestamp() - at)::float8,
       left(last_error, 500)
FROM x ORDER BY rank, id DESC LIMIT $9
-- ==== jobs cmd_move
-- The jobs of the page go to another queue, unless they run by now; how many stays in the setting waymark.did. There each
-- athlete's stand behind his own, on that queue's clock, and not behind or before everybody by the clock they came from.
-- $1 text queue
WITH page AS MATERIALIZED ( -- in order of id, as whoever puts jobs back
    SELECT id, prio, fair, tenant FROM q.job
    WHERE id = ANY (current_setting('waymark.page')::bigint[]) AND state <> 'running' AND queue <> $1
    ORDER BY id FOR NO KEY UPDATE
), tenants AS MATERIALIZED (
    SELECT prio, tenant, q.fair_base($1, prio, tenant) AS base FROM page WHERE tenant IS NOT NULL GROUP BY prio, tenant
), place AS MATERIALIZED (
    SELECT p.id, coalesce(t.base + row_number() OVER (PARTITION BY p.prio, p.tenant ORDER BY p.fair, p.id), 0) AS fair
    FROM page p LEFT JOIN tenants t ON t.prio = p.prio AND t.tenant = p.tenant
), moved AS (
    UPDATE q.job j SET queue = $1, fair = p.fair FROM place p WHERE j.id = p.id RETURNING j.id
)
SELECT set_config('waymark.did', count(*)::text, true) FROM moved
-- ==== jobs cmd_move_dead
-- The dead letters of the page are another queue's; how many stays in the setting waymark.did.
-- $1 text queue
WITH moved AS (
    UPDATE q.dead SET queue = $1 WHERE id = ANY (current_setting('waymark.page')::bigint[]) AND queue <> $1 RETURNING id
)
SELECT set_config('waymark.did', count(*)::text, true) FROM moved
-- ==== jobs cmd_page_dead
-- The next dead letters that a command is about, along the ids. The ids stay in the setting waymark.page for the statements
-- that follow in this transaction; the answer is how many and the last one.
-- $1 bigint after this id
-- $2 integer how many at most
-- $3 bigint[] ids, or NULL for any; so are the next ones
-- $4 text queue
-- $5 text kind
-- $6 bigint athlete
-- $7 text part of the error
-- $8 float8 died so many seconds ago at least
-- $9 float8 at most
SELECT set_config('waymark.page', coalesce(array_agg(x.id)::text, '{}'), true), count(*), max(x.id)
FROM (SELECT d.id FROM q.dead d
      WHERE d.id > $1 AND ($3 IS NULL OR d.id = ANY ($3)) AND ($4 IS NULL OR d.queue = $4) AND ($5 IS NULL OR d.kind = $5)
          AND ($6 IS NULL OR d.tenant = $6) AND ($7 IS NULL OR strpos(d.last_error, $7) > 0)
          AND ($8 IS NULL OR d.died_at <= now() - make_interval(secs => $8))
          AND ($9 IS NULL OR d.died_at >= now() - make_interval(secs => $9))
      ORDER BY d.id LIMIT $2) x
-- ==== jobs cmd_page_done
-- The next finished jobs that a command is about; see cmd_page_dead. History keeps no errors.
-- $1 bigint after this id
-- $2 integer how many at most
-- $3 bigint[] ids, or NULL for any; so are the next ones
-- $4 text queue
-- $5 text kind
-- $6 bigint athlete
-- $7 float8 ended so many seconds ago at least
-- $8 float8 at most
SELECT set_config('waymark.page', coalesce(array_agg(x.id)::text, '{}'), true), count(*), max(x.id)
FROM (SELECT h.id FROM q.done h
      WHERE h.id > $1 AND ($3 IS NULL OR h.id = ANY ($3)) AND ($4 IS NULL OR h.queue = $4) AND ($5 IS NULL OR h.kind = $5)
          AND ($6 IS NULL OR h.tenant = $6)
          AND ($7 IS NULL OR h.finished_at <= now() - make_interval(secs => $7))
          AND ($8 IS NULL OR h.finished_at >= now() - make_interval(secs => $8))
      ORDER BY h.id LIMIT $2) x
-- ==== jobs cmd_page_job
-- The next live jobs that a command is about; see cmd_page_dead.
-- $1 bigint after this id
-- $2 integer how many at most
-- $3 bigint[] ids, or NULL for any; so are the next ones
-- $4 text queue
-- $5 text kind
-- $6 bigint athlete
-- $7 text part of the last error
-- $8 float8 added so many seconds ago at least
-- $9 float8 at most
-- $10 text[] states
SELECT set_config('waymark.page', coalesce(array_agg(x.id)::text, '{}'), true), count(*), max(x.id)
FROM (SELECT j.id FROM q.job j
      WHERE j.id > $1 AND ($3 IS NULL OR j.id = ANY ($3)) AND ($4 IS NULL OR j.queue = $4) AND ($5 IS NULL OR j.kind = $5)
          AND ($6 IS NULL OR j.tenant = $6) AND ($7 IS NULL OR strpos(j.last_error, $7) > 0)
          AND ($8 IS NULL OR j.created_at <= now() - make_interval(secs => $8))
          AND ($9 IS NULL OR j.created_at >= now() - make_interval(secs => $9))
          AND j.state::text = ANY ($10)
      ORDER BY j.id LIMIT $2) x
-- ==== jobs cmd_pause
-- Nothing of this is claimed from now on. The answer: whether that is new, and how much of it still runs.
-- $1 text queue
-- $2 text kind, or NULL for any
-- $3 bigint athlete, or NULL for any
-- $4 text who
-- $5 jsonb filter, for the audit
WITH new AS (
    INSERT INTO q.pause (queue, kind, tenant) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING at
), said AS (
    INSERT INTO q.audit (who, command, filter, jobs) SELECT $4, 'jobs pause', $5, 0 FROM new
)
SELECT EXISTS (SELECT FROM new),
       (SELECT count(*) FROM q.job WHERE state = 'running' AND queue = $1 AND ($2 IS NULL OR kind = $2) AND ($3 IS NULL OR tenant = $3))
-- ==== jobs cmd_pauses
-- What is paused.
SELECT queue, kind, tenant, extract(epoch FROM clock_timestamp() - at)::float8 FROM q.pause ORDER BY queue, kind NULLS FIRST, tenant NULLS FIRST
-- ==== jobs cmd_plan
-- For the transaction of a command on many jobs: its pages are read along the ids, whatever the statistics say of a table
-- that was empty a minute ago, so that a million jobs in pages of a thousand are read once and not once a page.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_seqscan', 'off', true),
       set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true), set_config('jit', 'off', true)
-- ==== jobs cmd_purge
-- The finished jobs of the page are forgotten; how many stays in the setting waymark.did.
WITH gone AS (
    DELETE FROM q.done WHERE id = ANY (current_setting('waymark.page')::bigint[]) RETURNING id
)
SELECT set_config('waymark.did', count(*)::text, true) FROM gone
-- ==== jobs cmd_rate_remove
-- Rates that limit nothing any more. The answer: those that there were.
-- $1 text[] names
-- $2 text who
WITH gone AS (
    DELETE FROM q.rate WHERE name = ANY ($1) RETURNING name
), said AS (
    INSERT INTO q.audit (who, command, filter, jobs)
    SELECT $2, 'jobs rates remove', jsonb_build_object('names', jsonb_agg(name)), 0 FROM gone HAVING count(*) > 0
)
SELECT name FROM gone
-- ==== jobs cmd_rate_set
-- A rate with these caps; what was used of its windows stays used. The answer: whether it is new.
-- $1 text name
-- $2 integer a quarter of an hour
-- $3 integer a day
-- $4 float8 share kept for live work; NULL: as it is, 0.3 for a new one
-- $5 text who
-- $6 jsonb filter, for the audit
WITH new AS (
    INSERT INTO q.rate AS r (name, cap15, capday, reserve) VALUES ($1, $2, $3, coalesce($4::float8, 0.3))
    ON CONFLICT (name) DO UPDATE SET cap15 = $2, capday = $3, reserve = coalesce($4::float8, r.reserve)
    RETURNING xmax = 0 AS is_new
), said AS (
    INSERT INTO q.audit (who, command, filter, jobs) VALUES ($5, 'jobs rates set', $6, 0)
)
SELECT is_new FROM new
-- ==== jobs cmd_rates
-- Every rate in the windows of this moment, and what may be taken for live and for background work. Nothing is locked, and
-- the rows stay as they are.
SELECT r.name, n.used15, r.cap15, n.usedday, r.capday, q.rate_room(n, true), q.rate_room(n, false),
       greatest(0, (n.win15 + 1) * 900 - e)::float8, greatest(0, (n.winday + 1) * 86400 - e)::float8, r.reserve::float8,
       greatest(0, extract(epoch FROM r.paused_until - clock_timestamp()))::float8, r.learnt_at
FROM q.rate r, LATERAL (SELECT extract(epoch FROM clock_timestamp()) + r.offset_s AS e) t,
     LATERAL jsonb_populate_record(r, jsonb_build_object(
         'win15', greatest(r.win15, floor(e / 900)), 'used15', CASE WHEN floor(e / 900) > r.win15 THEN 0 ELSE r.used15 END,
         'winday', greatest(r.winday, floor(e / 86400)), 'usedday', CASE WHEN floor(e / 86400) > r.winday THEN 0 ELSE r.usedday END)) n
ORDER BY r.name
-- ==== jobs cmd_release
-- The jobs of the page that still wait are ready now; how many stays in the setting waymark.did.
WITH mine AS MATERIALIZED ( -- in order of id, as whoever puts jobs back
    SELECT id FROM q.job WHERE id = ANY (current_setting('waymark.page')::bigint[]) AND state = 'waiting'
    ORDER BY id FOR NO KEY UPDATE
), due AS (
    UPDATE q.job SET state = 'ready', run_at = NULL WHERE id = ANY (ARRAY(SELECT id FROM mine)) RETURNING id
)
SELECT set_config('waymark.did', count(*)::text, true) FROM due
-- ==== jobs cmd_resume
-- This is claimed again. The answer: how many pauses ended, and how many of the queue go on.
-- $1 text queue
-- $2 text kind, or NULL for the pause of any
-- $3 bigint athlete, or NULL for the pause of any
-- $4 boolean every pause of the queue
-- $5 text who
-- $6 jsonb filter, for the audit
-- $7 text channel on which the instances are told
WITH gone AS (
    DELETE FROM q.pause WHERE queue = $1 AND ($4 OR (kind IS NOT DISTINCT FROM $2 AND tenant IS NOT DISTINCT FROM $3)) RETURNING queue
), said AS (
    INSERT INTO q.audit (who, command, filter, jobs) SELECT $5, 'jobs resume', $6, 0 FROM gone LIMIT 1
)
SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM q.pause WHERE queue = $1) - (SELECT count(*) FROM gone), pg_notify($7, '')::text
-- ==== jobs cmd_retry
-- The dead letters of the page become jobs again; how many stays in the setting waymark.did.
SELECT set_config('waymark.did', q.retry(current_setting('waymark.page')::bigint[])::text, true)
-- ==== jobs cmd_show
-- All that is known of one job, wherever it is. The columns that its table lacks are NULL.
-- $1 bigint id
SELECT x.state, x.queue, x.kind, x.prio, x.attempt, x.max_attempts, x.crashes, x.tenant, x.lane, x.ukey, x.parent, x.halt,
       x.suspect, x.cancel, x.timeout_s, x.owner, i.host, i.pid, x.created_at, x.run_at, x.started_at, x.deadline_at, x.ended_at,
       x.last_error, x.reason, x.payload::text, EXISTS (SELECT FROM q.halted s WHERE s.lane = x.lane) AS halted, x.fair
FROM (SELECT state::text AS state, queue, kind, prio, attempt, max_attempts, crashes, tenant, lane, ukey, parent, halt, suspect,
             cancel, timeout_s, owner, created_at, run_at, started_at, deadline_at, NULL::timestamptz AS ended_at, last_error,
             NULL AS reason, payload, fair
      FROM q.job WHERE id = $1
      UNION ALL
      SELECT 'dead', queue, kind, prio, attempt, max_attempts, crashes, tenant, lane, ukey, parent, halt, reason = 'crashes',
             false, timeout_s, owner, created_at, NULL, NULL, NULL, died_at, last_error, reason, payload, NULL
      FROM q.dead WHERE id = $1
      UNION ALL
      SELECT 'done', queue, kind, NULL, attempt, NULL, NULL, tenant, NULL, NULL, NULL, NULL, NULL,
             NULL, NULL, owner, created_at, NULL, started_at, NULL, finished_at, NULL, outcome, NULL, NULL
      FROM q.done WHERE id = $1) x
LEFT JOIN q.instance i ON i.id = x.owner
LIMIT 1
-- ==== jobs cmd_show_near
-- The jobs that one has to do with: its parent, its children, the others of its lane; some of each.
-- $1 bigint id
WITH me AS MATERIALIZED (
    SELECT lane, parent FROM q.job WHERE id = $1 UNION ALL SELECT lane, parent FROM q.dead WHERE id = $1
)
SELECT y.role, y.id, y.kind, y.state FROM (
    SELECT 'parent' AS role, 1 AS rank, p.id, p.kind, p.state
    FROM me, LATERAL (SELECT id, kind, state::text AS state FROM q.job WHERE id = me.parent
                      UNION ALL SELECT id, kind, 'dead' FROM q.dead WHERE id = me.parent
                      UNION ALL SELECT id, kind, outcome FROM q.done WHERE id = me.parent) p
    UNION ALL
    (SELECT 'child', 2, c.id, c.kind, c.state
     FROM (SELECT id, kind, state::text AS state FROM q.job WHERE parent = $1
           UNION ALL SELECT id, kind, 'dead' FROM q.dead WHERE parent = $1) c ORDER BY c.id LIMIT 20)
    UNION ALL
    SELECT 'lane', 3, h.id, h.kind, h.state::text FROM me JOIN q.job h ON h.lane = me.lane AND h.state <> 'blocked' WHERE h.id <> $1
    UNION ALL
    (SELECT 'lane', 3, b.id, b.kind, 'blocked' FROM me JOIN q.job b ON b.lane = me.lane AND b.state = 'blocked'
     WHERE b.id < $1 ORDER BY b.id DESC LIMIT 5)
    UNION ALL
    (SELECT 'lane', 3, b.id, b.kind, 'blocked' FROM me JOIN q.job b ON b.lane = me.lane AND b.state = 'blocked'
     WHERE b.id > $1 ORDER BY b.id LIMIT 5)
    UNION ALL
    (SELECT 'lane', 3, d.id, d.kind, 'dead' FROM me JOIN q.dead d ON d.lane = me.lane WHERE d.id <> $1 ORDER BY d.id DESC LIMIT 5)
) y ORDER BY y.rank, y.id
-- ==== jobs cmd_standing
-- What stands in each queue, by kind, and how old the ready job is that was added first.
SELECT queue, kind, sum((state = 'ready')::int)::bigint, sum((state = 'waiting')::int)::bigint, sum((state = 'blocked')::int)::bigint,
       sum((state = 'running')::int)::bigint, sum((state IS NULL)::int)::bigint,
       extract(epoch FROM clock_timestamp() - min(created_at) FILTER (WHERE state = 'ready'))::float8
FROM (SELECT queue, kind, state, created_at FROM q.job UNION ALL SELECT queue, kind, NULL, NULL FROM q.dead) x
GROUP BY queue, kind ORDER BY queue, kind
-- ==== jobs count_depth
-- A row for the graphs of each queue, unless somebody has just counted.
-- $1 float8 seconds
SELECT q.count_depth(make_interval(secs => $1))
-- ==== jobs counts
-- What stands in a queue, by kind. What is paused, or behind another job of its lane, waits; nobody does it soon.
-- $1 text queue, or NULL for all
SELECT kind, sum((state = 'ready' AND NOT paused)::int)::bigint, sum((state = 'running')::int)::bigint,
       sum((state IN ('waiting', 'blocked') OR state = 'ready' AND paused)::int)::bigint,
       sum((state = 'waiting' AND NOT paused AND run_at < now() + interval '5 s')::int)::bigint, sum((state IS NULL)::int)::bigint
FROM (SELECT queue, kind, state, run_at,
             EXISTS (SELECT FROM q.pause) AND EXISTS (SELECT FROM q.pause p WHERE p.queue = j.queue AND (p.kind IS NULL OR p.kind = j.kind)
                     AND (p.tenant IS NULL OR p.tenant = j.tenant)) AS paused FROM q.job j
      UNION ALL SELECT queue, kind, NULL, NULL, false FROM q.dead) x
WHERE $1 IS NULL OR queue = $1
GROUP BY kind ORDER BY kind
-- ==== jobs dead_reasons
-- Dead letters by kind and cause, the most frequent first.
SELECT kind, count(*), coalesce(last_error, reason) FROM q.dead GROUP BY 1, 3 ORDER BY 2 DESC, 1 LIMIT 5
-- ==== jobs due
-- What is due becomes ready, schedules fire; see q.due.
-- $1 text queue
-- $2 text[] kinds this program knows
-- $3 smallint prio of the last job claimed
-- $4 bigint its fair tag; 0: none was claimed
SELECT next_ms, suspects FROM q.due($1, $2, $3, $4)
-- ==== jobs finish
-- The fence; see q.finish.
-- $1 bigint[] ids
-- $2 integer[] attempts
-- $3 bigint owner
SELECT q.finish($1, $2, $3)
-- ==== jobs finish_lanes
-- The fence for a batch with jobs of lanes; see q.finish.
-- $1 bigint[] ids
-- $2 integer[] attempts
-- $3 bigint owner
-- $4 text[] lanes
SELECT q.finish($1, $2, $3, $4)
-- ==== jobs hint
-- Tells the other instances to look.
-- $1 text channel
SELECT pg_notify($1, '')
-- ==== jobs maintain
-- History partitions, and what is past its time.
-- $1 integer days
SELECT q.maintain($1)
-- ==== jobs rate_full
-- The other side refused us: the window is used up. See q.rate_full.
-- $1 text rate
-- $2 boolean of the whole day
SELECT q.rate_full($1, $2)
-- ==== jobs rate_learn
-- What the other side says of its limits and their use; NULL where it says nothing. See q.rate_learn.
-- $1 text rate
-- $2 integer calls a quarter hour
-- $3 integer calls a day
-- $4 integer used of the quarter hour
-- $5 integer used of the day
-- $6 timestamptz its clock, as of that answer
SELECT q.rate_learn($1, $2, $3, $4, $5, $6)
-- ==== jobs rate_take
-- Takes up to so many tokens; how many it got. See q.rate_take.
-- $1 text rate
-- $2 integer how many
-- $3 boolean live work, which may use the reserve
SELECT q.rate_take($1, $2, $3)
-- ==== jobs rate_wait
-- Milliseconds until a rate may have tokens again, for work of any prio; 0: it has some now.
-- $1 text rate
SELECT q.rate_wait_ms($1, false)
-- ==== jobs register
-- A row for this process; its id is the owner of what it claims.
-- $1 text host
-- $2 text place: boot id and pid namespace
-- $3 integer pid
-- $4 bigint start time of the process in clock ticks
-- $5 text version
-- $6 text queue
-- $7 integer batches at once
INSERT INTO q.instance (host, place, pid, pid_started, version, session, session_start, queue, slots)
VALUES ($1, $2, $3, $4, $5, pg_backend_pid(),
        (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()), $6, $7)
RETURNING id
-- ==== jobs release_unknown
-- After a claim whose answer was lost: gives back what runs under our name without our knowing.
-- $1 bigint owner
-- $2 bigint[] ids we know
SELECT q.requeue(array_agg(id), $1, array_agg(0::float8), NULL, true, false)
FROM q.job WHERE owner = $1 AND state = 'running' AND id <> ALL ($2)
HAVING count(*) > 0
-- ==== jobs repair_lanes
-- Lanes that stand still for no reason go on; must be none.
SELECT q.repair_lanes()
-- ==== jobs requeue
-- Puts jobs back; see q.requeue.
-- $1 bigint[] ids
-- $2 bigint owner
-- $3 float8[] delays in seconds
-- $4 text error
-- $5 boolean refund the attempt
SELECT q.requeue($1, $2, $3, $4, $5, false)
-- ==== jobs rescue
-- Takes over the jobs of a dead instance; see q.rescue.
-- $1 bigint the dead
-- $2 bigint its beat as we last saw it
SELECT q.rescue($1, $2)
-- ==== jobs revive
-- Every dead letter of a queue is a job again; see q.retry.
-- $1 text queue
SELECT q.retry(ARRAY(SELECT id FROM q.dead WHERE queue = $1))::bigint
-- ==== jobs still_ours
-- Which of these jobs are still this owner's.
-- $1 bigint[] ids
-- $2 bigint owner
SELECT id FROM q.job WHERE id = ANY ($1) AND owner = $2 AND state = 'running'
-- ==== jobs sweep
-- Forgets some of the oldest finished jobs; by their places, so that never more than these are read.
-- $1 bigint how many at most
-- $2 integer days they are kept
WITH gone AS (
    DELETE FROM q.done_default WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM q.done_default WHERE finished_at < now() - make_interval(days => $2) ORDER BY finished_at LIMIT $1))
    RETURNING id
)
SELECT count(*) FROM gone
-- ==== jobs take
-- Claims the next ready jobs from the cursor on; see q.take. They come back in no order.
-- $1 text queue
-- $2 integer how many
-- $3 bigint owner
-- $4 text[] kinds this program knows: others are left for who does
-- $5 integer[] seconds one attempt may take, by kind
-- $6 smallint cursor: prio
-- $7 bigint cursor: fair
-- $8 bigint cursor: id
SELECT * FROM q.take($1, $2, $3, $4, $5, $6, $7, $8)
-- ==== jobs take_rated
-- Claims jobs whose kinds spend a token of a rate each, as many as there are tokens; see q.take_rated. Rows as take.
-- $1 text queue
-- $2 integer how many
-- $3 bigint owner
-- $4 text[] kinds with that rate
-- $5 integer[] seconds one attempt may take, by kind
-- $6 text rate
SELECT * FROM q.take_rated($1, $2, $3, $4, $5, $6)
-- ==== jobs take_suspect
-- Claims the next job whose process died before; it runs alone. Rows as take. The CTE is materialised so that the planner
-- can neither evaluate the LIMIT twice nor lock more than it returns.
-- $1 text queue
-- $2 bigint owner
-- $3 text[] kinds this program knows: others are left for who does
-- $4 integer[] seconds one attempt may take, by kind
WITH c AS MATERIALIZED (
    SELECT id FROM q.job j
    WHERE queue = $1 AND state = 'ready' AND suspect AND kind = ANY ($3)
        AND NOT EXISTS (SELECT FROM q.pause p WHERE p.queue = $1 AND (p.kind IS NULL OR p.kind = j.kind)
                        AND (p.tenant IS NULL OR p.tenant = j.tenant))
    ORDER BY prio, id
    LIMIT 1
    FOR NO KEY UPDATE OF j SKIP LOCKED
)
UPDATE q.job j SET state = 'running', attempt = attempt + 1, owner = $2, started_at = clock_timestamp(),
    deadline_at = clock_timestamp() + make_interval(secs => coalesce(j.timeout_s, $4[array_position($3, j.kind)]))
WHERE j.id = ANY (ARRAY(SELECT id FROM c))
RETURNING j.id, j.kind, j.prio::bigint, j.fair, j.attempt, j.max_attempts::integer, j.crashes::integer, j.tenant, j.timeout_s,
    j.lane, j.payload::text
-- ==== jobs unregister
-- Goodbye: what we still hold goes back unspent, our row goes away.
-- $1 bigint owner
WITH back AS (
    SELECT q.requeue(array_agg(id), $1, array_agg(0::float8), NULL, true, false) AS n
    FROM q.job WHERE owner = $1 AND state = 'running' HAVING count(*) > 0
)
DELETE FROM q.instance WHERE id = $1 AND (SELECT count(n) FROM back) >= 0
-- ==== store activity_put
-- A recorded activity with its track, unless it is here already. They commit together: the match that the triggers queue
-- finds both.
-- $1 bigint id
-- $2 bigint athlete id
-- $3 text name
-- $4 text type
-- $5 text external id
-- $6 float8 distance in metres
-- $7 integer elapsed seconds
-- $8 timestamptz start
-- $9 bytea summary as EWKB
-- $10 bytea track as EWKB
-- $11 text origin of the track
WITH fresh AS (
    INSERT INTO activities (id, athlete_id, name, activity_type, external_id, distance, elapsed_time, start_date,
                            summary_track, start_latlng, end_latlng, source)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8 AT TIME ZONE 'UTC', g.line, ST_StartPoint(g.line::geometry)::geography,
           ST_EndPoint(g.line::geometry)::geography, 'file'
    FROM (SELECT $9::geography AS line) g
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), tracked AS (
    INSERT INTO activity_tracks (activity_id, track, origin) SELECT id, $10::geography, $11 FROM fresh
)
SELECT EXISTS (SELECT FROM fresh)
-- ==== store athlete_ensure
-- Makes the athlete if there is none.
-- $1 bigint athlete id
INSERT INTO athletes (id) VALUES ($1) ON CONFLICT DO NOTHING
-- ==== store athletes
-- Who is here.
SELECT h.id, (SELECT count(*) FROM activities a WHERE a.athlete_id = h.id) FROM athletes h ORDER BY h.id
-- ==== store instances
-- The programs at work on this database.
SELECT id, host, pid::bigint, version, draining, started_at, (extract(epoch FROM clock_timestamp() - beat_at) * 1000)::bigint
FROM q.instance ORDER BY id
-- ==== store overview
-- For status: what is stored, and how far the matching is.
SELECT (SELECT count(*) FROM athletes), (SELECT count(*) FROM activities), (SELECT count(*) FROM routes),
       (SELECT count(*) FROM activities a LEFT JOIN activity_state s ON s.activity_id = a.id AND s.revision = a.revision
        WHERE s.activity_id IS NULL),
       (SELECT coalesce(sum(cardinality(activity_ids)), 0) FROM route_pages),
       (SELECT count(*) FROM activity_state WHERE note IS NOT NULL AND note <> 'no track'),
       (SELECT coalesce(max(version), 0)::bigint FROM schema_migration),
       pg_database_size(current_database())
-- ==== store route_list
-- Every route, with what one athlete has of it (none: zeros). On a ring the gaps at both ends of the measure are one.
-- $1 bigint athlete id, or NULL
SELECT r.id, r.display_name, coalesce(r.length, 0), r.tolerance_m, ST_NPoints(r.track::geometry)::bigint,
       coalesce(t.covered_length, 0),
       (SELECT count(DISTINCT s.activity_id) FROM route_sections s WHERE s.athlete_id = $1 AND s.route_id = r.id),
       coalesce(g.longest, 0),
       (SELECT coalesce(sum(cardinality(p.activity_ids)), 0) FROM route_pages p WHERE p.route_id = r.id),
       st.note
FROM routes r
LEFT JOIN route_stats t ON t.route_id = r.id AND t.athlete_id = $1
LEFT JOIN route_state st ON st.route_id = r.id AND st.revision = r.revision
CROSS JOIN LATERAL (
    SELECT metre_multirange(metre_range(0, greatest(r.length, 0.001))) - coalesce((
               SELECT range_agg(metre_range(s.start_m, s.end_m)) FROM route_sections s
               WHERE s.athlete_id = $1 AND s.route_id = r.id AND s.start_m IS NOT NULL), '{}') AS missing,
           ST_DWithin(ST_StartPoint(r.track::geometry)::geography, ST_EndPoint(r.track::geometry)::geography,
                      least(50, r.length / 4)) AS ring
) m
CROSS JOIN LATERAL (
    SELECT greatest(max(upper(x) - lower(x)),
                    CASE WHEN m.ring AND count(*) > 1 AND min(lower(x)) = 0 AND max(upper(x)) = r.length
                         THEN sum(upper(x) - lower(x)) FILTER (WHERE lower(x) = 0 OR upper(x) = r.length) END) AS longest
    FROM unnest(m.missing) x
) g
ORDER BY r.display_name, r.id
-- ==== store route_put
-- A route, new or in place of the one with this id.
-- $1 text id
-- $2 text name
-- $3 text description
-- $4 float8 tolerance in metres
-- $5 bytea line as EWKB
INSERT INTO routes (id, display_name, description, tolerance_m, track, thumbnail)
VALUES ($1, $2, $3, $4, $5::geography, '')
ON CONFLICT (id) DO UPDATE SET display_name = excluded.display_name, tolerance_m = excluded.tolerance_m, track = excluded.track,
    description = coalesce(excluded.description, routes.description)
RETURNING xmax = 0
-- ==== store route_remove
-- A route, with all credit on it.
-- $1 text id
DELETE FROM routes WHERE id = $1
-- ==== trails add_intersections
-- The parts of an activity inside a route's corridor.
-- $1 bigint[] activity ids
-- $2 bigint[] their revisions
-- $3 text[] route ids
-- $4 bigint[] their revisions
-- $5 bytea[] piece as EWKB
INSERT INTO intersections (activity_id, route_id, intersection_track)
SELECT a.id, r.id, u.wkb::geography
FROM unnest($1, $2, $3, $4, $5) u(activity, arev, route, rrev, wkb)
JOIN activities a ON a.id = u.activity AND a.revision = u.arev
JOIN routes r ON r.id = u.route AND r.revision = u.rrev
-- ==== trails add_relevant
-- Which activities came into a route's corridor at all.
-- $1 bigint[] activity ids
-- $2 bigint[] their revisions
-- $3 text[] route ids
-- $4 bigint[] their revisions
INSERT INTO relevant_activities (activity_id, route_id, relevant)
SELECT a.id, r.id, true
FROM unnest($1, $2, $3, $4) u(activity, arev, route, rrev)
JOIN activities a ON a.id = u.activity AND a.revision = u.arev
JOIN routes r ON r.id = u.route AND r.revision = u.rrev
ON CONFLICT (activity_id, route_id) DO UPDATE SET relevant = true
-- ==== trails add_sections
-- The new credit, one row an interval; what was read in an older revision of activity or route adds nothing.
-- $1 bigint[] activity ids
-- $2 bigint[] their revisions
-- $3 text[] route ids
-- $4 bigint[] their revisions
-- $5 float8[] start_m
-- $6 float8[] end_m
-- $7 bytea[] section as EWKB
WITH fresh AS (
    INSERT INTO route_sections (activity_id, route_id, athlete_id, start_m, end_m, section_track)
    SELECT a.id, r.id, a.athlete_id, u.start_m, u.end_m, u.wkb::geography
    FROM unnest($1, $2, $3, $4, $5, $6, $7) u(activity, arev, route, rrev, start_m, end_m, wkb)
    JOIN activities a ON a.id = u.activity AND a.revision = u.arev
    JOIN routes r ON r.id = u.route AND r.revision = u.rrev
    ORDER BY a.id, r.id, u.start_m
    RETURNING athlete_id, route_id
)
INSERT INTO route_stats (athlete_id, route_id, covered_length, stale)
SELECT DISTINCT athlete_id, route_id, 0::float8, true FROM fresh ORDER BY 1, 2
ON CONFLICT (athlete_id, route_id) DO UPDATE SET stale = true
-- ==== trails bump_epoch
-- Before a route's activities are listed; waits for matches that are about to commit, and holds later ones off until we do.
SELECT waymark_bump_epoch()
-- ==== trails check_epoch
-- Fails WM002 if routes were listed since we read them; holds further listings off until we commit.
-- $1 bigint epoch
SELECT waymark_check_epoch($1)
-- ==== trails check_route
-- Fails WM002 if the route is no longer what was read; holds changes of it off until we commit.
-- $1 text route id
-- $2 bigint revision
SELECT waymark_check_route($1, $2)
-- ==== trails drop_intersections
-- $1 bigint[] activity ids
-- $2 bigint[] revisions
-- $3 text only this route, or NULL
DELETE FROM intersections s USING activities a, unnest($1, $2) u(id, revision)
WHERE s.activity_id = u.id AND a.id = u.id AND a.revision = u.revision AND ($3 IS NULL OR s.route_id = $3)
-- ==== trails drop_relevant
-- $1 bigint[] activity ids
-- $2 bigint[] revisions
-- $3 text only this route, or NULL
DELETE FROM relevant_activities s USING activities a, unnest($1, $2) u(id, revision)
WHERE s.activity_id = u.id AND a.id = u.id AND a.revision = u.revision AND ($3 IS NULL OR s.route_id = $3)
-- ==== trails drop_sections
-- Takes the old credit of these activities away, all of it or that on one route, and marks the sums it was part of.
-- Activities that changed since they were read keep it: their own job replaces it.
-- $1 bigint[] activity ids
-- $2 bigint[] revisions
-- $3 text only this route, or NULL
WITH gone AS (
    DELETE FROM route_sections s USING activities a, unnest($1, $2) u(id, revision)
    WHERE s.activity_id = u.id AND a.id = u.id AND a.revision = u.revision AND ($3 IS NULL OR s.route_id = $3)
    RETURNING coalesce(s.athlete_id, a.athlete_id) AS athlete_id, s.route_id
)
INSERT INTO route_stats (athlete_id, route_id, covered_length, stale)
SELECT DISTINCT athlete_id, route_id, 0::float8, true FROM gone ORDER BY 1, 2
ON CONFLICT (athlete_id, route_id) DO UPDATE SET stale = true
-- ==== trails forget_pages
-- Pages of an older revision of this route, and their dead letters; those of a newer one, listed by somebody else
-- meanwhile, stay.
-- $1 text route id
-- $2 bigint revision
WITH gone AS (
    DELETE FROM route_pages WHERE route_id = $1 AND EXISTS (SELECT FROM routes WHERE id = $1 AND revision = $2)
    RETURNING route_id, page
)
DELETE FROM q.dead WHERE ukey IN (SELECT 'page:' || route_id || ':' || page FROM gone)
-- ==== trails list_pages
-- Past activities near the route, and those that had credit on what it was before, in pages with a job each. Only
-- activities that have been matched: the others have a match waiting that will see this route.
-- $1 text route id
-- $2 bigint revision
-- $3 bytea[] the route in short pieces, as EWKB
-- $4 float8 reach in metres
-- $5 integer page size
WITH near AS (
    SELECT a.id FROM unnest($3) c(wkb)
    JOIN activities a ON a.summary_track && _ST_Expand(c.wkb::geography, $4)
    UNION
    SELECT activity_id FROM route_sections WHERE route_id = $1
    UNION
    SELECT activity_id FROM intersections WHERE route_id = $1
), paged AS (
    SELECT n.id, ((row_number() OVER (ORDER BY n.id) - 1) / $5)::integer AS page
    FROM near n
    -- As a scalar it is looked up for each; as a join the planner, who overrates && a hundredfold, would read all states.
    WHERE (SELECT true FROM activity_state s WHERE s.activity_id = n.id)
), pages AS (
    INSERT INTO route_pages (route_id, page, revision, activity_ids)
    SELECT r.id, p.page, r.revision, array_agg(p.id ORDER BY p.id)
    FROM paged p JOIN routes r ON r.id = $1 AND r.revision = $2
    GROUP BY r.id, r.revision, p.page
    RETURNING route_id, page, cardinality(activity_ids) AS n
), queued AS (
    INSERT INTO q.job (queue, kind, prio, ukey, payload)
    SELECT 'trails', 'page', 15, 'page:' || route_id || ':' || page, jsonb_build_object('route', route_id, 'page', page)
    FROM pages ORDER BY page
    ON CONFLICT (ukey) WHERE ukey IS NOT NULL AND state <> 'running' DO UPDATE SET last_error = q.job.last_error
    RETURNING id
)
SELECT coalesce(sum(n), 0)::bigint, (SELECT count(*) FROM queued) FROM pages
-- ==== trails lock_activities
-- These activities do not change until we commit.
-- $1 bigint[] activity ids
SELECT id FROM activities WHERE id = ANY ($1) ORDER BY id FOR SHARE
-- ==== trails lock_athletes
-- Whoever changes an athlete's credit holds the athlete: sums are never made from half of the sections. Most activities
-- of a history earn nothing and never did; their batches need not wait for each other. An activity that was never
-- matched and has no sections cannot get any from somebody else meanwhile: pages list only what was matched, and the
-- epoch keeps new lists off.
-- $1 bigint[] activity ids
-- $2 bigint[] those of them that earn something now
SELECT h.id FROM athletes h
WHERE h.id IN (
    SELECT a.athlete_id FROM activities a
    WHERE a.id = ANY ($1) AND (a.id = ANY ($2)
        OR EXISTS (SELECT FROM activity_state s WHERE s.activity_id = a.id)
        OR EXISTS (SELECT FROM route_sections s WHERE s.activity_id = a.id)))
ORDER BY h.id FOR NO KEY UPDATE
-- ==== trails lock_route_now
-- As lock_routes, for one; fails 55P03 at once when somebody is changing it.
-- $1 text route id
SELECT id FROM routes WHERE id = $1 FOR SHARE NOWAIT
-- ==== trails lock_routes
-- These routes do not change until we commit.
-- $1 text[] route ids
SELECT id FROM routes WHERE id = ANY ($1) ORDER BY id FOR SHARE
-- ==== trails lock_these_athletes
-- As lock_athletes, by athlete.
-- $1 bigint[] athlete ids
SELECT id FROM athletes WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE
-- ==== trails mark_listed
-- This route's past activities have been listed.
-- $1 text route id
-- $2 bigint revision
-- $3 text note
INSERT INTO route_state (route_id, revision, epoch, candidates, note)
SELECT r.id, r.revision, e.epoch,
       coalesce((SELECT sum(cardinality(activity_ids)) FROM route_pages WHERE route_id = $1), 0), $3
FROM routes r, route_epoch e WHERE r.id = $1 AND r.revision = $2
ON CONFLICT (route_id) DO UPDATE SET revision = excluded.revision, epoch = excluded.epoch, candidates = excluded.candidates,
    note = excluded.note, listed_at = now()
-- ==== trails mark_matched
-- These activities have been matched against the routes of this epoch.
-- $1 bigint[] activity ids
-- $2 bigint[] revisions
-- $3 text[] notes
-- $4 bigint epoch
INSERT INTO activity_state (activity_id, revision, epoch, note)
SELECT a.id, a.revision, $4, u.note
FROM unnest($1, $2, $3) u(id, revision, note) JOIN activities a ON a.id = u.id AND a.revision = u.revision
ORDER BY a.id
ON CONFLICT (activity_id) DO UPDATE SET revision = excluded.revision, epoch = excluded.epoch, note = excluded.note, matched_at = now()
-- ==== trails page_done
-- What is left of a page after these activities: a shorter page with a job of its own, or no page.
-- $1 text route id
-- $2 integer page
-- $3 bigint revision of the route
-- $4 bigint[] activities done
SELECT waymark_page_done($1, $2, $3, $4)
-- ==== trails prune_stats
-- No row for nothing: an athlete and a route without common ground.
-- $1 bigint[] activity ids
DELETE FROM route_stats t
WHERE t.covered_length = 0 AND NOT t.stale AND t.athlete_id IN (SELECT athlete_id FROM activities WHERE id = ANY ($1))
-- ==== trails prune_these_stats
-- As prune_stats, by athlete.
-- $1 bigint[] athlete ids
DELETE FROM route_stats t WHERE t.covered_length = 0 AND NOT t.stale AND t.athlete_id = ANY ($1)
-- ==== trails read_candidates
-- Routes that may lie near any of these activities, by the spatial index.
-- $1 bigint[] activity ids
-- $2 float8 reach in metres
SELECT DISTINCT r.id, r.revision
FROM activities a JOIN routes r ON r.track && _ST_Expand(a.summary_track, $2)
WHERE a.id = ANY ($1)
ORDER BY r.id
-- ==== trails read_coverage
-- A route to show.
-- $1 text route id
SELECT display_name, tolerance_m, ST_AsEWKB(track::geometry) FROM routes WHERE id = $1
-- ==== trails read_covered
-- The union of an athlete's intervals on a route, in order.
-- $1 text route id
-- $2 bigint athlete id
SELECT lower(x), upper(x) FROM unnest((
    SELECT range_agg(metre_range(s.start_m, s.end_m)) FROM route_sections s
    WHERE s.athlete_id = $2 AND s.route_id = $1 AND s.start_m IS NOT NULL)) x
ORDER BY 1
-- ==== trails read_epoch
-- The epoch of the routes; see route_epoch.
SELECT epoch FROM route_epoch
-- ==== trails read_page
-- The tracks of one page of a new route; none when the page was done or its route changed since. Rows as read_tracks.
-- $1 text route id
-- $2 integer page
-- $3 bigint limit in bytes
WITH wanted AS (
    SELECT a.id, a.athlete_id, a.revision, coalesce(t.track, a.summary_track) AS track, t.track IS NOT NULL AS is_best
    FROM route_pages p
    JOIN routes r ON r.id = p.route_id AND r.revision = p.revision
    JOIN activities a ON a.id = ANY (p.activity_ids)
    LEFT JOIN activity_tracks t ON t.activity_id = a.id
    WHERE p.route_id = $1 AND p.page = $2
), sized AS (
    SELECT w.*, coalesce(sum(pg_column_size(w.track)) OVER (ORDER BY w.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
    FROM wanted w
)
SELECT id, true, athlete_id, revision, is_best, ST_AsEWKB(track::geometry) FROM sized WHERE before < $3 ORDER BY id
-- ==== trails read_route_revisions
-- Routes as they are now.
-- $1 text[] route ids
SELECT id, revision FROM routes WHERE id = ANY ($1) ORDER BY id
-- ==== trails read_routes
-- Routes to prepare.
-- $1 text[] route ids
SELECT id, revision, tolerance_m, ST_AsEWKB(track::geometry) FROM routes WHERE id = ANY ($1)
-- ==== trails read_tracks
-- The best geometry of these activities, in the order given, until their sizes add up to the limit (at least one). An
-- activity that is gone has a row of NULLs.
-- $1 bigint[] activity ids
-- $2 bigint limit in bytes
WITH wanted AS (
    SELECT u.id, u.place, a.id IS NOT NULL AS present, a.athlete_id, a.revision, coalesce(t.track, a.summary_track) AS track,
           t.track IS NOT NULL AS is_best
    FROM unnest($1) WITH ORDINALITY u(id, place)
    LEFT JOIN activities a ON a.id = u.id
    LEFT JOIN activity_tracks t ON t.activity_id = a.id
), sized AS (
    SELECT w.*, coalesce(sum(pg_column_size(w.track)) OVER (ORDER BY w.place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
    FROM wanted w
)
SELECT id, present, coalesce(athlete_id, 0), coalesce(revision, 0), is_best, ST_AsEWKB(track::geometry)
FROM sized WHERE before < $2 ORDER BY place
-- ==== trails reconcile
-- Queues what no trigger queued: activities without state, routes without a list, pages without a job, sums left due.
-- What died stays dead until somebody retries it.
WITH known AS (
    SELECT ukey FROM q.job WHERE ukey IS NOT NULL AND queue = 'trails'
    UNION ALL SELECT ukey FROM q.dead WHERE ukey IS NOT NULL AND queue = 'trails'
), lost AS (
    SELECT 'match' AS kind, 10 AS prio, 'match:' || a.id AS ukey, a.athlete_id AS tenant, jsonb_build_object('activity', a.id) AS payload
    FROM activities a LEFT JOIN activity_state s ON s.activity_id = a.id AND s.revision = a.revision WHERE s.activity_id IS NULL
    UNION ALL
    SELECT 'route', 0, 'route:' || r.id, NULL, jsonb_build_object('route', r.id)
    FROM routes r LEFT JOIN route_state s ON s.route_id = r.id AND s.revision = r.revision WHERE s.route_id IS NULL
    UNION ALL
    SELECT 'page', 15, 'page:' || route_id || ':' || page, NULL, jsonb_build_object('route', route_id, 'page', page) FROM route_pages
    UNION ALL
    SELECT DISTINCT 'stats', 20, 'stats:' || athlete_id, athlete_id, jsonb_build_object('athlete', athlete_id) FROM route_stats WHERE stale
), made AS (
    INSERT INTO q.job (queue, kind, prio, ukey, tenant, payload)
    SELECT 'trails', kind, prio, ukey, tenant, payload FROM lost
    WHERE NOT EXISTS (SELECT FROM known WHERE known.ukey = lost.ukey) ORDER BY ukey
    ON CONFLICT (ukey) WHERE ukey IS NOT NULL AND state <> 'running' DO NOTHING
    RETURNING id
)
SELECT count(*) FROM made
-- ==== trails refresh_stats
-- Sums that are due, of the athletes of these activities: the length of the union of the intervals.
-- $1 bigint[] activity ids
UPDATE route_stats t SET covered_length = coalesce((
        SELECT sum(upper(x) - lower(x)) FROM unnest((
            SELECT range_agg(metre_range(s.start_m, s.end_m)) FROM route_sections s
            WHERE s.athlete_id = t.athlete_id AND s.route_id = t.route_id AND s.start_m IS NOT NULL)) x), 0),
    stale = false, updated_at = now()
WHERE t.stale AND t.athlete_id IN (SELECT athlete_id FROM activities WHERE id = ANY ($1))
-- ==== trails restate
-- Every sum of these athletes, from scratch; those that are right already are not written.
-- $1 bigint[] athlete ids
UPDATE route_stats t SET covered_length = n.covered, stale = false, updated_at = now()
FROM (
    SELECT o.athlete_id, o.route_id, coalesce((
        SELECT sum(upper(x) - lower(x)) FROM unnest((
            SELECT range_agg(metre_range(s.start_m, s.end_m)) FROM route_sections s
            WHERE s.athlete_id = o.athlete_id AND s.route_id = o.route_id AND s.start_m IS NOT NULL)) x), 0) AS covered
    FROM route_stats o WHERE o.athlete_id = ANY ($1)
) n
WHERE t.athlete_id = n.athlete_id AND t.route_id = n.route_id AND (t.stale OR t.covered_length <> n.covered)
