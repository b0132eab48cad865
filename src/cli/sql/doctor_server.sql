-- For waymark doctor, on any database: what the server and this database are set to.
SELECT current_setting('server_version'), current_setting('server_version_num')::bigint,
       pg_is_in_recovery(), s.reset_val = 'on',
       coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)
           OR coalesce((SELECT encrypted FROM pg_stat_gssapi WHERE pid = pg_backend_pid()), false),
       (SELECT pg_encoding_to_char(encoding)::text FROM pg_database WHERE datname = current_database()),
       coalesce(current_setting('data_checksums', true), 'off') = 'on',
       current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on',
       (SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'),
       current_setting('autovacuum') = 'on' AND current_setting('track_counts') = 'on',
       (SELECT max(reset_val::bigint) FROM pg_settings WHERE name = 'idle_session_timeout'),
       (SELECT max(reset_val::bigint) FROM pg_settings WHERE name = 'transaction_timeout'),
       (SELECT max(reset_val::bigint) FROM pg_settings WHERE name = 'lock_timeout')
FROM pg_settings s WHERE s.name = 'default_transaction_read_only'
