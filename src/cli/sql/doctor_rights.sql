-- For waymark doctor, on any database: what our role may do, PostGIS, and which of our tables it does not own or cannot use.
WITH ours AS (
    SELECT c.oid, c.oid::regclass::text AS name, pg_has_role(c.relowner, 'USAGE') AS owned,
           has_schema_privilege(c.relnamespace, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
               AND has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE')
               AND has_table_privilege(c.oid, 'DELETE') AS may
    FROM pg_class c
    WHERE c.relkind IN ('r', 'p') AND (c.relnamespace = to_regnamespace('q') OR c.relnamespace = to_regnamespace('public')
        AND c.relname IN ('athletes', 'activities', 'routes', 'intersections', 'route_sections', 'route_stats', 'relevant_activities',
                          'activity_tracks', 'activity_state', 'route_pages', 'route_epoch', 'access_tokens', 'refresh_tokens',
                          'schema_migration'))
)
SELECT current_user::text, current_database()::text,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
       has_database_privilege(current_database(), 'CREATE'),
       coalesce((SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = 'public'), false),
       (SELECT extversion FROM pg_extension WHERE extname = 'postgis'),
       (SELECT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'postgis'),
       to_regtype('geography') IS NOT NULL,
       (SELECT default_version FROM pg_available_extensions WHERE name = 'postgis'),
       coalesce((SELECT bool_or(trusted) FROM pg_available_extension_versions WHERE name = 'postgis'), false),
       to_regclass('public.schema_migration') IS NOT NULL,
       (SELECT count(*) FROM ours WHERE NOT owned), (SELECT min(name) FROM ours WHERE NOT owned),
       (SELECT count(*) FROM ours WHERE NOT may), (SELECT min(name) FROM ours WHERE NOT may)
