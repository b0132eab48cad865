-- Takes up to so many tokens; how many it got. See q.rate_take.
-- $1 text rate
-- $2 integer how many
-- $3 boolean live work, which may use the reserve
SELECT q.rate_take($1, $2, $3)
