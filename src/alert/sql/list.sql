-- The states, the bad ones first.
SELECT key, state, bad, title, body, since, told_at FROM alert.state ORDER BY bad DESC, since DESC, key LIMIT 1000
