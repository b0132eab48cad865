-- For status: what is stored, and how far the matching is.
SELECT (SELECT count(*) FROM athletes), (SELECT count(*) FROM activities), (SELECT count(*) FROM routes),
       (SELECT count(*) FROM activities a LEFT JOIN activity_state s ON s.activity_id = a.id AND s.revision = a.revision
        WHERE s.activity_id IS NULL),
       (SELECT coalesce(sum(cardinality(activity_ids)), 0) FROM route_pages),
       (SELECT count(*) FROM activity_state WHERE note IS NOT NULL AND note <> 'no track'),
       (SELECT coalesce(max(version), 0)::bigint FROM schema_migration),
       pg_database_size(current_database())
