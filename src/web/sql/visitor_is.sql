-- Whose token this is. No row: nobody's.
-- $1 bytea SHA-256 of the token
SELECT v.athlete_id FROM web.visitor v WHERE v.token = $1 AND v.expires_at > now()
