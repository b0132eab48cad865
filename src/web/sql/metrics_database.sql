-- Health of the database.
SELECT (SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = 'q.job'::regclass),
       coalesce((SELECT extract(epoch FROM clock_timestamp() - min(xact_start)) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()), 0)::float8, pg_notification_queue_usage()::float8
