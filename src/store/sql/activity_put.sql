-- A recorded activity with its track, unless it is here already. They commit together: the match that the triggers queue
-- finds both.
-- $1 bigint id
-- $2 bigint athlete id
-- $3 text name
-- $4 text type
-- $5 text external id
-- $6 float8 distance in metres
-- $7 integer elapsed seconds
-- $8 timestamptz start
-- $9 bytea summary as EWKB
-- $10 bytea track as EWKB
-- $11 text origin of the track
WITH fresh AS (
    INSERT INTO activities (id, athlete_id, name, activity_type, external_id, distance, elapsed_time, start_date,
                            summary_track, start_latlng, end_latlng, source)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8 AT TIME ZONE 'UTC', g.line, ST_StartPoint(g.line::geometry)::geography,
           ST_EndPoint(g.line::geometry)::geography, 'file'
    FROM (SELECT $9::geography AS line) g
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), tracked AS (
    INSERT INTO activity_tracks (activity_id, track, origin) SELECT id, $10::geography, $11 FROM fresh
)
SELECT EXISTS (SELECT FROM fresh)
