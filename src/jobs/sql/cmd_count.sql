-- How many jobs a command is about; and how many of them run.
-- $1 text[] states: those of q.state, dead, done
-- $2 bigint[] ids, or NULL for any; so are the next ones
-- $3 text queue
-- $4 text kind
-- $5 bigint athlete
-- $6 text part of the last error
-- $7 float8 added, died or ended so many seconds ago at least
-- $8 float8 at most
SELECT j.n + d.n + h.n, j.running
FROM (SELECT count(*) AS n, count(*) FILTER (WHERE state = 'running') AS running FROM q.job
      WHERE state::text = ANY ($1) AND ($2 IS NULL OR id = ANY ($2)) AND ($3 IS NULL OR queue = $3) AND ($4 IS NULL OR kind = $4)
          AND ($5 IS NULL OR tenant = $5) AND ($6 IS NULL OR strpos(last_error, $6) > 0)
          AND ($7 IS NULL OR created_at <= now() - make_interval(secs => $7))
          AND ($8 IS NULL OR created_at >= now() - make_interval(secs => $8))) j,
     (SELECT count(*) AS n FROM q.dead
      WHERE 'dead' = ANY ($1) AND ($2 IS NULL OR id = ANY ($2)) AND ($3 IS NULL OR queue = $3) AND ($4 IS NULL OR kind = $4)
          AND ($5 IS NULL OR tenant = $5) AND ($6 IS NULL OR strpos(last_error, $6) > 0)
          AND ($7 IS NULL OR died_at <= now() - make_interval(secs => $7))
          AND ($8 IS NULL OR died_at >= now() - make_interval(secs => $8))) d,
     (SELECT count(*) AS n FROM q.done
      WHERE 'done' = ANY ($1) AND $6 IS NULL AND ($2 IS NULL OR id = ANY ($2)) AND ($3 IS NULL OR queue = $3)
          AND ($4 IS NULL OR kind = $4) AND ($5 IS NULL OR tenant = $5)
          AND ($7 IS NULL OR finished_at <= now() - make_interval(secs => $7))
          AND ($8 IS NULL OR finished_at >= now() - make_interval(secs => $8))) h
