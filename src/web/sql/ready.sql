-- Whether the database can be worked with: its schema's version, and whether it only listens.
SELECT (SELECT max(version)::bigint FROM schema_migration), pg_is_in_recovery()::integer
