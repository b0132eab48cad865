-- One request, once; see q.add_once.
-- $1 text key of the request
-- $2 float8 seconds for which the key is kept
-- $3 jsonb the job, as for q.add
SELECT q.add_once($1, make_interval(secs => $2), $3)
