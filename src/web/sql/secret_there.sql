-- Whether there is an admin secret.
SELECT 1 FROM web.secret
