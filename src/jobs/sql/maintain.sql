-- History partitions, and what is past its time.
-- $1 integer days
SELECT q.maintain($1)
