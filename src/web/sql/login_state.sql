-- Failed logins of the last quarter hour, from one address and from all, and what a secret is checked with.
-- $1 text address
SELECT (SELECT count(*) FROM web.failed_login WHERE at > now() - interval '15 minutes' AND address = $1),
       (SELECT count(*) FROM web.failed_login WHERE at > now() - interval '15 minutes'), s.salt, s.hash, s.rounds
FROM (SELECT 1) one LEFT JOIN web.secret s ON true
