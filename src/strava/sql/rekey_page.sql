-- Tokens that are not sealed with the first key, of the next athletes.
-- $1 bigint after this athlete
-- $2 text what those begin with that are
-- $3 integer how many
SELECT h.id, t.access_token, r.refresh_token
FROM athletes h LEFT JOIN access_tokens t ON t.athlete_id = h.id LEFT JOIN refresh_tokens r ON r.athlete_id = h.id
WHERE h.id > $1 AND (NOT starts_with(t.access_token, $2) OR NOT starts_with(r.refresh_token, $2))
ORDER BY h.id LIMIT $3
