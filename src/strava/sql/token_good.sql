-- The athlete's tokens work, if these are they: the account is in order again, and whoever was told otherwise is told.
-- $1 bigint athlete id
-- $2 text stored refresh token; NULL: whichever
WITH back AS (
    UPDATE strava.account SET state = 'ok', reason = NULL, refused = NULL, state_at = now()
    WHERE athlete_id = $1 AND state = 'reauth'
        AND ($2 IS NULL OR EXISTS (SELECT FROM refresh_tokens r WHERE r.athlete_id = $1 AND r.refresh_token = $2))
    RETURNING athlete_id, name
), stayed AS (
    DELETE FROM alert.state s USING back WHERE s.key = 'withdrawn:' || back.athlete_id -- said meanwhile, and not so
)
SELECT alert.set('token:' || athlete_id, 'good', false, 'Strava works again for ' || coalesce(name, 'athlete ' || athlete_id),
                 'Activities are fetched again.') FROM back
