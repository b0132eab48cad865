-- The largest tables, with what vacuum has left to do.
SELECT s.schemaname || '.' || s.relname, s.n_live_tup, s.n_dead_tup, pg_total_relation_size(s.relid), pg_indexes_size(s.relid),
       extract(epoch FROM clock_timestamp() - greatest(s.last_vacuum, s.last_autovacuum))::float8,
       extract(epoch FROM clock_timestamp() - greatest(s.last_analyze, s.last_autoanalyze))::float8
FROM pg_stat_user_tables s ORDER BY 4 DESC, 1 LIMIT 30
