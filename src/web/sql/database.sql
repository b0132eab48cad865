-- The server and this database.
SELECT current_setting('server_version'), pg_database_size(current_database()),
       extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8,
       (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()), current_setting('max_connections')::bigint,
       pg_notification_queue_usage()::float8, (SELECT max(version)::bigint FROM schema_migration),
       (SELECT extract(epoch FROM clock_timestamp() - min(xact_start))::float8 FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL),
       (SELECT age(datfrozenxid)::bigint FROM pg_database WHERE datname = current_database()), pg_is_in_recovery(),
       (SELECT extname || ' ' || extversion FROM pg_extension WHERE extname = 'postgis')
