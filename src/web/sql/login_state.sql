-- Failed logins of the last quarter hour, from one address and from all, what a secret is checked with, and whether
-- somebody at that address is logged in.
-- $1 text address
SELECT (SELECT count(*) FROM web.failed_login WHERE at > now() - interval '15 minutes' AND address = $1),
       (SELECT count(*) FROM web.failed_login WHERE at > now() - interval '15 minutes'), s.salt, s.hash, s.rounds,
       EXISTS (SELECT FROM web.session WHERE address = $1 AND expires_at > now())
FROM (SELECT 1) one LEFT JOIN web.secret s ON true
