-- The same tokens, sealed anew; what was changed meanwhile is left as it is.
-- $1 bigint[] athlete ids
-- $2 text[] refresh tokens as they were stored
-- $3 text[] and as they are to be
-- $4 text[] access tokens as they were stored
-- $5 text[] and as they are to be
WITH n AS (
    SELECT * FROM unnest($1, $2, $3, $4, $5) n(athlete_id, refresh_was, refresh, access_was, access)
), r AS (
    UPDATE refresh_tokens r SET refresh_token = n.refresh FROM n
    WHERE r.athlete_id = n.athlete_id AND r.refresh_token = n.refresh_was AND n.refresh <> n.refresh_was RETURNING 1
), t AS (
    UPDATE access_tokens t SET access_token = n.access FROM n
    WHERE t.athlete_id = n.athlete_id AND t.access_token = n.access_was AND n.access <> n.access_was RETURNING 1
)
SELECT (SELECT count(*) FROM r) + (SELECT count(*) FROM t)
