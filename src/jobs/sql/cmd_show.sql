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
