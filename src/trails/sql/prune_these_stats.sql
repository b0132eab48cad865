-- As prune_stats, by athlete.
-- $1 bigint[] athlete ids
DELETE FROM route_stats t WHERE t.covered_length = 0 AND NOT t.stale AND t.athlete_id = ANY ($1)
