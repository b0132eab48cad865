-- Strava answers that the application is not active: that is for its owner to mend.
WITH app AS (
    UPDATE strava.app SET state = 'inactive', state_at = CASE WHEN state = 'inactive' THEN state_at ELSE now() END
    RETURNING one
)
SELECT alert.set('strava:app', 'inactive', true, 'Strava has made the application inactive',
                 'Strava refuses every call with "Application Status Inactive". Look at https://www.strava.com/settings/api: its '
                     'owner may need a subscription, or the application a review. It is tried again every quarter hour, and goes '
                     'on by itself.') FROM app
