-- Helpers of growth.sh: they change tables as a frontend would, wait for the service, and keep how long that took.
CREATE TABLE bench_network (n integer GENERATED ALWAYS AS IDENTITY, id text, track bytea);
CREATE TABLE bench_sample (n integer GENERATED ALWAYS AS IDENTITY, ms double precision);
CREATE SEQUENCE bench_id START 1000000;

-- 13 km along the first route, 5 m beside it.
CREATE FUNCTION bench_add_activity(activity bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO activities (id, athlete_id, name, activity_type, distance, start_date, summary_track)
    SELECT activity, 1, 'bench', 'Hike', 13000, now(),
           ST_Translate(ST_LineSubstring(ST_Simplify(track::geometry, 0.0001), 0.1, 0.115), 0.00003, 0.00003)::geography
    FROM routes WHERE id IN ('bruce', 'long') LIMIT 1;
$$;

-- Every statement of a procedure sees what others have committed by then.
CREATE PROCEDURE bench_new_activities(times integer) LANGUAGE plpgsql AS $$
DECLARE
    activity bigint;
    started timestamptz;
BEGIN
    FOR i IN 1..times LOOP
        activity := nextval('bench_id');
        started := clock_timestamp();
        PERFORM bench_add_activity(activity);
        COMMIT;
        LOOP
            PERFORM FROM activity_state WHERE activity_id = activity;
            EXIT WHEN FOUND;
            PERFORM pg_sleep(0.0005);
        END LOOP;
        INSERT INTO bench_sample (ms) VALUES (1000 * extract(epoch FROM clock_timestamp() - started));
        COMMIT;
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;

-- The network's routes until there are so many in all.
CREATE FUNCTION bench_take_network(total integer) RETURNS void LANGUAGE sql AS $$
    INSERT INTO routes (id, track, display_name)
    SELECT 'net-' || n, track::geometry::geography, id FROM bench_network
    WHERE n <= total - (SELECT count(*) FROM routes WHERE id NOT LIKE 'net-%')
    ON CONFLICT DO NOTHING;
$$;

-- Made-up routes of 200 points, 10 to 20 km each, on a grid of half a degree in the southern hemisphere.
CREATE FUNCTION bench_make_network(many integer) RETURNS void LANGUAGE sql AS $$
    INSERT INTO bench_network (id, track)
    SELECT 'made-up ' || n, ST_AsEWKB(ST_SetSRID(ST_MakeLine(array_agg(ST_MakePoint(
               n % 60 * 0.5 + i * 0.0008, -10 - n / 60 * 0.5 - 0.01 * sin(i / 9.0 + n)) ORDER BY i)), 4326))
    FROM generate_series(1, many) n, generate_series(0, 199) i GROUP BY n;
$$;

-- Walks of 30 points, some 5 km each, over a tenth of a continent where no route is; one statement a thousand.
CREATE FUNCTION bench_add_far_activities(total integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    start integer;
BEGIN
    FOR start IN SELECT generate_series((SELECT count(*) FROM activities WHERE id < 1000000)::integer + 1, total, 1000) LOOP
        INSERT INTO activities (id, athlete_id, name, activity_type, distance, start_date, summary_track)
        SELECT n, 1, 'far', 'Hike', 5000, now(), ST_SetSRID(ST_MakeLine(array_agg(ST_MakePoint(
                   115 + n % 317 * 0.08 + i * 0.001, -34 + n % 211 * 0.08 + 0.005 * sin(i / 3.0 + n)) ORDER BY i)), 4326)::geography
        FROM generate_series(start, least(start + 999, total)) n, generate_series(0, 29) i GROUP BY n;
    END LOOP;
END $$;

CREATE PROCEDURE bench_new_routes(times integer) LANGUAGE plpgsql AS $$
DECLARE
    route text;
    started timestamptz;
BEGIN
    FOR i IN 1..times LOOP
        route := 'new-' || nextval('bench_id');
        started := clock_timestamp();
        INSERT INTO routes (id, track, display_name)
        SELECT route, track, 'bench' FROM routes WHERE id IN ('bruce', 'long') LIMIT 1;
        COMMIT;
        LOOP
            PERFORM FROM route_state WHERE route_id = route;
            EXIT WHEN FOUND;
            PERFORM pg_sleep(0.0005);
        END LOOP;
        INSERT INTO bench_sample (ms) VALUES (1000 * extract(epoch FROM clock_timestamp() - started));
        DELETE FROM routes WHERE id = route;
        COMMIT;
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;

CREATE FUNCTION bench_rows() RETURNS TABLE (name text, n bigint) LANGUAGE plpgsql AS $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT oid::regclass::text AS name FROM pg_class
        WHERE relkind = 'r' AND relnamespace IN ('public'::regnamespace, 'q'::regnamespace)
            AND relname NOT LIKE 'bench%' AND relname NOT IN ('spatial_ref_sys', 'schema_migration') LOOP
        name := one.name;
        EXECUTE 'SELECT count(*) FROM ' || one.name INTO n;
        RETURN NEXT;
    END LOOP;
END $$;
