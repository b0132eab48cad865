-- Fails WM002 if the route is no longer what was read; holds changes of it off until we commit.
-- $1 text route id
-- $2 bigint revision
SELECT waymark_check_route($1, $2)
