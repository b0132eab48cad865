-- Claims the next ready jobs from the cursor on; see q.take. They come back in no order.
-- $1 text queue
-- $2 integer how many
-- $3 bigint owner
-- $4 text[] kinds this program knows: others are left for who does
-- $5 integer[] seconds one attempt may take, by kind
-- $6 smallint cursor: prio
-- $7 bigint cursor: fair
-- $8 bigint cursor: id
SELECT * FROM q.take($1, $2, $3, $4, $5, $6, $7, $8)
