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
