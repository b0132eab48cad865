-- For waymark doctor, on any database: connections, what is held back, and the queue's table as the statistics see it. Of
-- others' sessions only what our role may see.
SELECT current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint,
       (SELECT sum(numbackends)::bigint FROM pg_stat_database),
       (SELECT rolconnlimit::bigint FROM pg_roles WHERE rolname = current_user),
       (SELECT datconnlimit::bigint FROM pg_database WHERE datname = current_database()),
       (SELECT extract(epoch FROM clock_timestamp() - min(xact_start))::bigint FROM pg_stat_activity
        WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'),
       (SELECT pid::bigint FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'
        ORDER BY xact_start LIMIT 1),
       pg_notification_queue_usage(),
       (SELECT n_live_tup FROM pg_stat_user_tables WHERE schemaname = 'q' AND relname = 'job'),
       (SELECT n_dead_tup FROM pg_stat_user_tables WHERE schemaname = 'q' AND relname = 'job'),
       clock_timestamp()
