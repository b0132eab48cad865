-- One batch after the other inside the server, so that the reference pays for no round trip of a client. Every batch is
-- two transactions: the claim, and all that follows from it.
CREATE PROCEDURE process_all(batch_size integer) LANGUAGE plpgsql AS $$
DECLARE
    claimed bigint[];
BEGIN
    LOOP
        WITH c AS (
            UPDATE processing SET started_at = clock_timestamp()
            WHERE id IN (SELECT id FROM processing WHERE started_at IS NULL ORDER BY id LIMIT batch_size
                         FOR UPDATE SKIP LOCKED)
            RETURNING id
        )
        SELECT array_agg(id) INTO claimed FROM c;
        COMMIT;
        EXIT WHEN claimed IS NULL;

        -- A first look at simplified lines, on the sphere.
        INSERT INTO relevant_activities (activity_id, route_id, relevant)
        SELECT p.activity_id, p.route_id,
               coalesce(ST_DWithin(ST_Simplify(a.summary_track::geometry, 0.001)::geography,
                                   ST_Simplify(r.track::geometry, 0.001)::geography, 200, false), false)
        FROM processing p
        JOIN activities a ON a.id = p.activity_id
        JOIN routes r ON r.id = p.route_id
        WHERE p.id = ANY (claimed);

        -- The parts of the activity within 200 m of the route.
        INSERT INTO intersections (activity_id, route_id, track)
        SELECT p.activity_id, p.route_id, piece.geom::geography
        FROM processing p
        JOIN relevant_activities v ON v.activity_id = p.activity_id AND v.route_id = p.route_id AND v.relevant
        JOIN activities a ON a.id = p.activity_id
        JOIN routes r ON r.id = p.route_id
        CROSS JOIN LATERAL ST_Dump(ST_Intersection(a.summary_track, ST_Buffer(r.track, 200))::geometry) piece
        WHERE p.id = ANY (claimed) AND ST_GeometryType(piece.geom) = 'ST_LineString';

        -- Each part's two ends, looked up on the route, are where its section starts and stops.
        INSERT INTO route_sections (activity_id, route_id, section_track)
        SELECT e.activity_id, e.route_id, ST_LineSubstring(r.track::geometry, e.first, e.last)::geography
        FROM (
            SELECT i.activity_id, i.route_id, i.id, min(at.fraction) AS first, max(at.fraction) AS last
            FROM processing p
            JOIN intersections i ON i.activity_id = p.activity_id AND i.route_id = p.route_id
            JOIN routes r ON r.id = i.route_id
            CROSS JOIN LATERAL ST_Dump(ST_Boundary(i.track::geometry)) boundary
            CROSS JOIN LATERAL ST_LineLocatePoint(r.track::geometry, boundary.geom) at(fraction)
            WHERE p.id = ANY (claimed)
            GROUP BY i.id
        ) e
        JOIN routes r ON r.id = e.route_id
        WHERE e.first < e.last;

        -- Everybody's sums.
        INSERT INTO route_stats (athlete_id, route_id, covered_length)
        SELECT h.id, r.id, coalesce(ST_Length(ST_Union(s.section_track::geometry)::geography), 0)
        FROM athletes h
        CROSS JOIN routes r
        LEFT JOIN (route_sections s JOIN activities a ON a.id = s.activity_id) ON a.athlete_id = h.id AND s.route_id = r.id
        GROUP BY h.id, r.id
        ON CONFLICT (athlete_id, route_id) DO UPDATE SET covered_length = excluded.covered_length;

        UPDATE processing SET processed = true WHERE id = ANY (claimed);
        COMMIT;
    END LOOP;
END $$;
