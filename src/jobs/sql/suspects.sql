-- Is there a job that has to run alone?
-- $1 text queue
-- $2 text[] kinds this program knows
SELECT EXISTS (SELECT FROM q.job WHERE queue = $1 AND state = 'ready' AND suspect AND kind = ANY ($2))
