-- Coverage and corridors computed again, by distance alone and by PostGIS alone: nothing of Waymark's is in here but its
-- tables of what was put in. See test_real.c.

-- The geometry that is matched, of one athlete.
CREATE FUNCTION it.tracks(athlete bigint) RETURNS TABLE (id bigint, line geometry) LANGUAGE sql STABLE AS $$
    SELECT a.id, coalesce(t.track, a.summary_track)::geometry
    FROM activities a LEFT JOIN activity_tracks t ON t.activity_id = a.id WHERE a.athlete_id = athlete
$$;

-- Metres of a route that lie within near_m of any track, edge by edge of 20 m at most; stretches shorter than shortest_m,
-- as where a track crosses the route, can be left out.
CREATE FUNCTION it.plain_covered(route text, athlete bigint, near_m float8, shortest_m float8 DEFAULT 0) RETURNS float8
LANGUAGE plpgsql AS $$
DECLARE
    covered float8;
BEGIN
    DROP TABLE IF EXISTS plain_piece, plain_edge;
    CREATE TEMP TABLE plain_piece AS
        SELECT ST_Subdivide(ST_Segmentize(ST_Force2D(d.geom)::geography, 500)::geometry, 24)::geography AS line
        FROM it.tracks(athlete) t, ST_Dump(t.line) d;
    CREATE INDEX ON plain_piece USING gist (line);
    ANALYZE plain_piece;
    CREATE TEMP TABLE plain_edge AS
        SELECT i, ST_Distance(p, lead(p) OVER w, false) AS m, near, lead(near) OVER w AS next_near
        FROM (SELECT d.path[1] AS i, d.geom::geography AS p, EXISTS (
                  SELECT FROM plain_piece c WHERE ST_DWithin(c.line, d.geom::geography, near_m, false)) AS near
              FROM routes r, ST_DumpPoints(ST_Segmentize(r.track, 20)::geometry) d WHERE r.id = route) x
        WINDOW w AS (ORDER BY i);
    SELECT sum(m) INTO covered
    FROM (SELECT sum(m * (near::int + next_near::int) / 2) AS m
          FROM (SELECT *, i - row_number() OVER (PARTITION BY near OR next_near ORDER BY i) AS stretch FROM plain_edge
                WHERE m IS NOT NULL) e
          WHERE near OR next_near GROUP BY stretch) s
    WHERE m >= shortest_m;
    RETURN coalesce(covered, 0);
END $$;

-- Metres of all tracks inside the buffer of a route, each in the UTM zone of its middle: a buffer of a whole geography
-- is made in one projection, which a long route outgrows.
CREATE FUNCTION it.plain_corridor(route text, athlete bigint, reach_m float8) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
    total float8;
BEGIN
    DROP TABLE IF EXISTS plain_part;
    CREATE TEMP TABLE plain_part AS
        SELECT ST_Subdivide(ST_Segmentize(r.track, 200)::geometry, 12)::geography AS line FROM routes r WHERE r.id = route;
    CREATE INDEX ON plain_part USING gist (line);
    ANALYZE plain_part;
    SELECT sum(ST_Length(ST_Transform(ST_Intersection(t.flat, b.corridor), 4326)::geography)) INTO total
    FROM (SELECT id, ST_Force2D(line) AS line, z.zone, ST_Transform(ST_Force2D(line), z.zone) AS flat
          FROM it.tracks(athlete), LATERAL (
              SELECT (CASE WHEN ST_Y(ST_Centroid(line)) < 0 THEN 32700 ELSE 32600 END
                      + floor((ST_X(ST_Centroid(line)) + 180) / 6) + 1)::integer AS zone) z) t,
        LATERAL (SELECT ST_Union(ST_Buffer(ST_Transform(p.line::geometry, t.zone), reach_m, 'quad_segs=16')) AS corridor
                 FROM plain_part p WHERE ST_DWithin(p.line, t.line::geography, 3 * reach_m, false)) b
    WHERE b.corridor IS NOT NULL;
    RETURN coalesce(total, 0);
END $$;
