-- Takes over the jobs of a dead instance; see q.rescue.
-- $1 bigint the dead
-- $2 bigint its beat as we last saw it
SELECT q.rescue($1, $2)
