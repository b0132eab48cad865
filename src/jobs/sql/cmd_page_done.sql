-- The next finished jobs that a command is about; see cmd_page_dead. History keeps no errors.
-- $1 bigint after this id
-- $2 integer how many at most
-- $3 bigint[] ids, or NULL for any; so are the next ones
-- $4 text queue
-- $5 text kind
-- $6 bigint athlete
-- $7 float8 ended so many seconds ago at least
-- $8 float8 at most
SELECT set_config('waymark.page', coalesce(array_agg(x.id)::text, '{}'), true), count(*), max(x.id)
FROM (SELECT h.id FROM q.done h
      WHERE h.id > $1 AND ($3 IS NULL OR h.id = ANY ($3)) AND ($4 IS NULL OR h.queue = $4) AND ($5 IS NULL OR h.kind = $5)
          AND ($6 IS NULL OR h.tenant = $6)
          AND ($7 IS NULL OR h.finished_at <= now() - make_interval(secs => $7))
          AND ($8 IS NULL OR h.finished_at >= now() - make_interval(secs => $8))
      ORDER BY h.id LIMIT $2) x
