-- A new admin secret; a row if it counts. With a secret that is renewed, nobody stays logged in.
-- $1 bytea salt
-- $2 bytea hash
-- $3 integer rounds
-- $4 boolean renewed
WITH gone AS (
    DELETE FROM web.session WHERE $4
)
INSERT INTO web.secret AS s (salt, hash, rounds) VALUES ($1, $2, $3)
ON CONFLICT (one) DO UPDATE SET salt = excluded.salt, hash = excluded.hash, rounds = excluded.rounds, made_at = now() WHERE $4
RETURNING 1
