-- It answered well: the application is active again.
WITH app AS (
    UPDATE strava.app SET state = 'active', state_at = now() WHERE state = 'inactive' RETURNING one
)
SELECT alert.set('strava:app', 'active', false, 'Strava accepts the application again', 'Activities are fetched again.') FROM app
