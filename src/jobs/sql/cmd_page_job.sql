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
