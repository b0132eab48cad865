-- Makes the athlete if there is none.
-- $1 bigint athlete id
INSERT INTO athletes (id) VALUES ($1) ON CONFLICT DO NOTHING
