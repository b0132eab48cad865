-- Takes over a page of a list, and moves its sync on; see strava.take and strava.turn_page.
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
-- $24 timestamptz where the page was: cursor
-- $25 integer page
-- $26 timestamptz the next cursor
-- $27 integer the next page
-- $28 timestamptz the earliest start of its page 1, or NULL
-- $29 boolean whether its pages brought something new
-- $30 boolean whether the list has ended
-- $31 integer activities that this sync had not seen
-- $32 integer unreadable ones
-- $33 text why, of the first
-- $34 text whose streams are fetched: near, all, none
-- $35 text whose details
WITH taken AS MATERIALIZED (
    SELECT * FROM strava.take($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)
), wanted AS MATERIALIZED (
    SELECT * FROM taken WHERE what IN ('added', 'changed') AND bare
)
SELECT strava.turn_page($3, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33,
    (SELECT count(*) FROM taken WHERE what = 'added')::integer, (SELECT count(*) FROM taken WHERE what = 'changed')::integer,
    (SELECT array_agg(id ORDER BY id) FROM wanted), (SELECT array_agg(near ORDER BY id) FROM wanted),
    (SELECT array_agg(line ORDER BY id) FROM wanted), $34, $35)
