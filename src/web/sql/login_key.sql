-- What signs the way to Strava and back.
SELECT key FROM web.login_key
