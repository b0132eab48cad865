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
