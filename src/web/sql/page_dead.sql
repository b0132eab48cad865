-- The next dead letters of one cause, or one of them; as jobs/cmd_page_dead.
-- $1 bigint after this id
-- $2 integer how many at most
-- $3 bigint id, or NULL for any; so are the next ones
-- $4 text cause
-- $5 text queue
-- $6 text kind
SELECT set_config('waymark.page', coalesce(array_agg(x.id)::text, '{}'), true), count(*), max(x.id)
FROM (SELECT d.id FROM q.dead d
      WHERE d.id > $1 AND ($3 IS NULL OR d.id = $3) AND ($4 IS NULL OR d.cause = $4) AND ($5 IS NULL OR d.queue = $5)
          AND ($6 IS NULL OR d.kind = $6)
      ORDER BY d.id LIMIT $2) x
