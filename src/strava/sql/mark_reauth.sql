-- Strava refused the stored refresh token: only the athlete can go on, by logging in. One row, unless another one is stored
-- now. After lock_tokens.
-- $1 bigint athlete id
-- $2 text stored refresh token that was refused; NULL: there is none
-- $3 bytea SHA-256 of the token
-- $4 text why
-- $5 boolean what a refresh gave may have got lost
WITH same AS (
    SELECT h.id FROM athletes h LEFT JOIN refresh_tokens r ON r.athlete_id = h.id
    WHERE h.id = $1 AND r.refresh_token IS NOT DISTINCT FROM $2
), dead AS (
    UPDATE strava.account a SET state = 'reauth', reason = $4, refused = $3,
        state_at = CASE WHEN a.state = 'reauth' THEN a.state_at ELSE now() END, refresh_owner = NULL, refresh_until = NULL,
        doubtful = a.doubtful OR $5
    FROM same WHERE a.athlete_id = same.id
    RETURNING a.athlete_id, a.name
)
SELECT alert.set('token:' || athlete_id, 'reauth', true,
                 coalesce(name, 'Athlete ' || athlete_id) || ' must log in with Strava again',
                 'Strava does not accept the tokens of ' || coalesce(name || ' (athlete ' || athlete_id || ')', 'athlete ' || athlete_id)
                     || ' any more (' || $4 || '). Nothing new is fetched until a new login; what is here stays.')
FROM dead
