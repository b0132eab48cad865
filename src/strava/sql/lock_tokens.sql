-- The stored refresh token, which nobody changes until the transaction ends. The athlete is locked first, as whoever erases
-- one does; no row if it is gone.
-- $1 bigint athlete id
WITH h AS MATERIALIZED (SELECT id FROM athletes WHERE id = $1 FOR KEY SHARE)
SELECT r.refresh_token FROM h JOIN refresh_tokens r ON r.athlete_id = h.id FOR UPDATE OF r
