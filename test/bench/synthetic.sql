-- A made-up account for machines without the shared data: two winding routes of some 900 and 500 km, and 500 walks of
-- one person, 46 of them along a route. No randomness: every run has the same.
INSERT INTO athletes (id) VALUES (1);
INSERT INTO routes (id, track, length, display_name, thumbnail)
SELECT name, ST_SetSRID(ST_MakeLine(array_agg(ST_MakePoint(
           west + step * i + 0.004 * sin(i / 17.0), south + 0.2 * sin(i / 900.0) + 0.003 * cos(i / 11.0)) ORDER BY i)), 4326)::geography,
       0, name, ''
FROM (VALUES ('long', -81.0, 43.2, 0.0002, 27000), ('short', -64.0, 45.0, 0.00015, 20000)) r(name, west, south, step, points),
     generate_series(0, 27000) i
WHERE i < points GROUP BY name;
-- activities
INSERT INTO activities (id, athlete_id, name, activity_type, distance, start_date, summary_track)
SELECT n, 1, 'along', 'Hike', 15000, timestamp '2024-01-01' + n * interval '1 day',
       ST_Translate(ST_Simplify(ST_LineSubstring(r.track::geometry, n / 60.0, n / 60.0 + 0.01), 0.0001), 0.00004, 0.00003)::geography
FROM generate_series(1, 46) n JOIN routes r ON r.id = CASE WHEN n % 3 = 0 THEN 'short' ELSE 'long' END;
INSERT INTO activities (id, athlete_id, name, activity_type, distance, start_date, summary_track)
SELECT n, 1, 'elsewhere', 'Hike', 12000, timestamp '2024-03-01' + n * interval '1 day',
       ST_SetSRID(ST_MakeLine(array_agg(ST_MakePoint(
           -79.4 + n % 29 * 0.01 + 0.03 * sin(i / 25.0), 44.2 + n % 31 * 0.01 + 0.02 * sin(i / 13.0 + n)) ORDER BY i)), 4326)::geography
FROM generate_series(47, 500) n, generate_series(0, 129) i GROUP BY n;
