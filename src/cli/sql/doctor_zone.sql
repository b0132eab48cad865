-- For waymark doctor, on any database: whether the server knows time zones by name.
SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = 'Europe/Zurich'),
       EXISTS (SELECT FROM pg_timezone_names WHERE name = 'America/St_Johns')
