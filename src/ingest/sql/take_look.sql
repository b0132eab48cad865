-- Takes over the details of an activity; see strava.take and strava.take_detail. What was the case (added, ...), and whether it
-- will be looked at again. No row: the athlete was erased.
-- $1 bigint athlete id
-- $2 bigint ticket
-- $3 bigint sync, or NULL
-- $4 bigint[] ids
-- $5 bytea[] SHA-256 of what is said
-- $6 text[] names
-- $7 text[] types
-- $8 text[] sport types
-- $9 text[] time zones
-- $10 text[] visibilities
-- $11 text[] external ids
-- $12 timestamptz[] starts
-- $13 float8[] distances in metres
-- $14 float8[] gains in metres
-- $15 float8[] lowest
-- $16 float8[] highest
-- $17 float8[] moving seconds
-- $18 float8[] elapsed seconds
-- $19 float8[] latitudes of the start
-- $20 float8[] longitudes
-- $21 float8[] latitudes of the end
-- $22 float8[] longitudes
-- $23 bytea[] summaries as EWKB
-- $24 bytea the line of the details as EWKB, or NULL
-- $25 bigint ticket of the recorded track, or NULL
-- $26 bytea that track; NULL: there is none
-- $27 integer prio of a job that asks for it, or NULL
-- $28 integer how often it was looked at for an event
-- $29 bigint milliseconds until the next time, should nothing be new; NULL: no next time
-- $30 boolean an event says that it was deleted
-- $31 boolean its recorded track is not there yet, or never
WITH taken AS MATERIALIZED (
    SELECT * FROM strava.take($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)
)
SELECT t.what, strava.take_detail(t.id, $1, t.what, $24, $25, $26, $27),
       CASE WHEN $29 IS NOT NULL AND (t.what IN ('same', 'older') OR $30 OR $31) THEN strava.look_again(t.id, $1, $28, $29, $30) END
FROM taken t
