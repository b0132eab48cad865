-- As lock_athletes, by athlete.
-- $1 bigint[] athlete ids
SELECT id FROM athletes WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE
