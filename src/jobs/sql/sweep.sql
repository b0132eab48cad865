-- Forgets some of the oldest finished jobs; by their places, so that never more than these are read.
-- $1 bigint how many at most
-- $2 integer days they are kept
WITH gone AS (
    DELETE FROM q.done_default WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM q.done_default WHERE finished_at < now() - make_interval(days => $2) ORDER BY finished_at LIMIT $1))
    RETURNING id
)
SELECT count(*) FROM gone
