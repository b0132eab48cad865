-- Claims the next ready jobs; see q.claim. They come back in no order.
-- $1 text queue
-- $2 integer how many
-- $3 bigint owner
-- $4 text[] kinds this program knows: others are left for who does
SELECT * FROM q.claim($1, $2, $3, $4)
