-- Geometry for the tests; see it_helpers in it.h.
CREATE SCHEMA it;

CREATE FUNCTION it.way(a float8, b float8, n integer, east float8 DEFAULT 0) RETURNS geography
LANGUAGE sql IMMUTABLE AS $$
    SELECT ST_SetSRID(ST_MakeLine(array_agg(
               ST_MakePoint(7 + 0.02 * sin(9 * t) + east, 46 + 0.2 * t) ORDER BY k)), 4326)::geography
    FROM (SELECT k, a + (b - a) * k / n AS t FROM generate_series(0, n) k) p
$$;

CREATE FUNCTION it.ring(lat float8, lon float8, radius_m float8, n integer) RETURNS geography
LANGUAGE sql IMMUTABLE AS $$
    SELECT ST_SetSRID(ST_MakeLine(array_agg(
               ST_MakePoint(lon + radius_m / 111320 / cos(radians(lat)) * cos(w),
                            lat + radius_m / 111320 * sin(w)) ORDER BY k)), 4326)::geography
    FROM (SELECT k, 2 * pi() * (k % n) / n AS w FROM generate_series(0, n) k) p
$$;

CREATE FUNCTION it.walk(id bigint, athlete bigint, a float8, b float8, east float8 DEFAULT 0.0001)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO activities (id, athlete_id, name, distance, moving_time, elapsed_time, total_elevation_gain,
                            activity_type, start_date, local_tz, summary_track, start_latlng, end_latlng,
                            elev_low, elev_high, external_id)
    SELECT id, athlete, 'walk ' || id, ST_Length(g.line), 3600, 4000, 120.5, 'Hike',
           timestamp '2022-05-01 08:00' + id * interval '1 day', '(GMT+01:00) Europe/Zurich',
           ST_LineFromEncodedPolyline(ST_AsEncodedPolyline(g.line::geometry)),
           ST_StartPoint(g.line::geometry)::geography, ST_EndPoint(g.line::geometry)::geography,
           410.5, 870.25, 'walk-' || id || '.fit'
    FROM (SELECT it.way(a, b, 100, east) AS line) g
$$;

-- A small history: three athletes, two of them on the same trail, a ring, and a trail where nobody has been.
CREATE FUNCTION it.scene() RETURNS void LANGUAGE sql AS $$
    INSERT INTO athletes (id) VALUES (1), (2), (3);
    INSERT INTO routes (id, display_name, description, track, thumbnail) VALUES
        ('north', 'North Way', 'along the valley', it.way(0, 1, 400), 'x'),
        ('ring', 'Lake Ring', NULL, it.ring(46.1, 7.08, 900, 180), ''),
        ('far', 'Far Trail', NULL, it.way(0, 1, 400, 40), '');
    SELECT it.walk(n, 1, 0.05 * n, 0.05 * n + 0.12) FROM generate_series(1, 8) n;
    SELECT it.walk(n, 2, 0.9, 0.9 - 0.1 * (n - 10), -0.0001) FROM generate_series(11, 13) n;
    INSERT INTO activities (id, athlete_id, activity_type, summary_track)
    VALUES (21, 3, 'Run', it.ring(46.1, 7.0801, 900, 90)), (22, 3, 'Swim', NULL),
           (23, 3, 'Run', it.way(0.2, 0.3, 50, 3));
$$;
