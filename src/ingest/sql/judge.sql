-- What is worth a call about an activity with this line: whether a route is near, and whether its recorded track is not here.
-- $1 bigint activity id
-- $2 bytea line as EWKB
SELECT strava.is_near($2::geography),
       NOT EXISTS (SELECT FROM strava.activity k JOIN activities a ON a.id = k.activity_id
                   WHERE k.activity_id = $1 AND k.streams <> 'none' AND a.summary_track::geometry::bytea = $2::geometry::bytea)
