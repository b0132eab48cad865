-- Takes the athlete's refresh token for a while: one row if nobody else has it. Tokens that a frontend stored have no
-- account yet. The athlete is locked first, as whoever erases one does.
-- $1 bigint athlete id
-- $2 bigint who
-- $3 float8 seconds
INSERT INTO strava.account AS a (athlete_id, refresh_owner, refresh_until)
SELECT h.id, $2, clock_timestamp() + $3 * interval '1 second' FROM athletes h WHERE h.id = $1 FOR KEY SHARE
ON CONFLICT (athlete_id) DO UPDATE SET refresh_owner = excluded.refresh_owner, refresh_until = excluded.refresh_until
    WHERE a.refresh_owner IS NULL OR a.refresh_owner = $2 OR a.refresh_until IS NULL OR a.refresh_until < clock_timestamp()
RETURNING true
