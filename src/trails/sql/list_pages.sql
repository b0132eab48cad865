-- Past activities near the route, and those that had credit on what it was before, in pages with a job each. Only
-- activities that have been matched: the others have a match waiting that will see this route.
-- $1 text route id
-- $2 bigint revision
-- $3 bytea[] the route in short pieces, as EWKB
-- $4 float8 reach in metres
-- $5 integer page size
WITH near AS (
    SELECT a.id FROM unnest($3) c(wkb)
    JOIN activities a ON a.summary_track && _ST_Expand(c.wkb::geography, $4)
    UNION
    SELECT activity_id FROM route_sections WHERE route_id = $1
    UNION
    SELECT activity_id FROM intersections WHERE route_id = $1
), paged AS (
    SELECT n.id, ((row_number() OVER (ORDER BY n.id) - 1) / $5)::integer AS page
    FROM near n
    -- As a scalar it is looked up for each; as a join the planner, who overrates && a hundredfold, would read all states.
    WHERE (SELECT true FROM activity_state s WHERE s.activity_id = n.id)
), pages AS (
    INSERT INTO route_pages (route_id, page, revision, activity_ids)
    SELECT r.id, p.page, r.revision, array_agg(p.id ORDER BY p.id)
    FROM paged p JOIN routes r ON r.id = $1 AND r.revision = $2
    GROUP BY r.id, r.revision, p.page
    RETURNING route_id, page, cardinality(activity_ids) AS n
), queued AS (
    INSERT INTO q.job (queue, kind, prio, ukey, payload)
    SELECT 'trails', 'page', 15, 'page:' || route_id || ':' || page, jsonb_build_object('route', route_id, 'page', page)
    FROM pages ORDER BY page
    ON CONFLICT (ukey) WHERE ukey IS NOT NULL AND state <> 'running' DO UPDATE SET last_error = q.job.last_error
    RETURNING id
)
SELECT coalesce(sum(n), 0)::bigint, (SELECT count(*) FROM queued) FROM pages
