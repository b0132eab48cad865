-- Sets the states that only looking tells.
-- $1 float8 seconds without an import that are too many
SELECT alert.watch(make_interval(secs => $1))
