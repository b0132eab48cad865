-- What is due becomes ready, schedules fire; see q.due.
-- $1 text queue
-- $2 text[] kinds this program knows
-- $3 smallint prio of the last job claimed
-- $4 bigint its fair tag; 0: none was claimed
SELECT next_ms, suspects, q.is_limited($1) FROM q.due($1, $2, $3, $4)
