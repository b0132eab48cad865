-- For waymark doctor: the migrations that were applied.
SELECT version::bigint, name, sha256 FROM public.schema_migration ORDER BY version
