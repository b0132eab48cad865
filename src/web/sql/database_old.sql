-- The oldest transactions: what they keep from being cleaned away grows with their age.
SELECT pid::bigint, usename::text, application_name, state, extract(epoch FROM clock_timestamp() - xact_start)::float8,
       coalesce(age(backend_xmin)::bigint, 0), wait_event_type || ': ' || wait_event, left(query, 300)
FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
ORDER BY xact_start LIMIT 20
