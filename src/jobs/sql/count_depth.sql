-- A row for the graphs of each queue, unless somebody has just counted.
-- $1 float8 seconds
SELECT q.count_depth(make_interval(secs => $1))
