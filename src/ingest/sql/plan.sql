-- Makes syncs, and asks for recorded tracks that are wanted by now; see strava.plan. How many of each.
-- $1 text mode
-- $2 bigint athlete id, or NULL
-- $3 timestamptz from then on, or NULL
-- $4 float8 overlap in seconds
-- $5 float8 seconds after which activities go that were not shown; 0: never
-- $6 text whose streams are fetched: near, all, none
SELECT strava.plan($1, $2, $3, make_interval(secs => $4), make_interval(secs => $5)), strava.want_missing($6, 500)
