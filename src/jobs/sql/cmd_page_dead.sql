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
