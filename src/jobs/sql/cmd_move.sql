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
