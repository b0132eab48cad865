-- Milliseconds until a rate may have tokens again, for work of any prio; 0: it has some now.
-- $1 text rate
SELECT q.rate_wait_ms($1, false)
