-- What became of these jobs: NULL where nobody knows of one.
-- $1 bigint[] ids
SELECT u.id, coalesce((SELECT state::text FROM q.job WHERE id = u.id), (SELECT 'dead' FROM q.dead WHERE id = u.id),
                      (SELECT 'done' FROM q.done WHERE id = u.id LIMIT 1))
FROM unnest($1) u(id)
