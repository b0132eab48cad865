-- What is paused.
SELECT queue, kind, tenant, extract(epoch FROM clock_timestamp() - at)::float8 FROM q.pause ORDER BY queue, kind NULLS FIRST, tenant NULLS FIRST
