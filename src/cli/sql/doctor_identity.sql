-- For waymark doctor: the same text means the same database of the same running server.
SELECT concat_ws(' ', s.system_identifier, d.oid, pg_postmaster_start_time(), pg_is_in_recovery())
FROM pg_control_system() s, pg_database d WHERE d.datname = current_database()
