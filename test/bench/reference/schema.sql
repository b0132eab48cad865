-- The classic PostGIS way of matching activities to routes, as a peer to measure against: one row of work for every
-- activity and route, each pair intersected with a buffer, every sum recomputed after every batch. Written for this
-- comparison; parameters as in the description of the system that works like this: 0.001 degrees, 200 m, batches of 10.
CREATE EXTENSION IF NOT EXISTS postgis;

CREATE TABLE athletes (id bigint PRIMARY KEY);
CREATE TABLE activities (
    id bigint PRIMARY KEY,
    athlete_id bigint NOT NULL REFERENCES athletes(id) ON DELETE CASCADE,
    name text,
    distance double precision,
    activity_type text,
    start_date timestamp,
    summary_track geography
);
CREATE TABLE routes (
    id text PRIMARY KEY,
    track geography(LineString) NOT NULL,
    length double precision,
    display_name text,
    thumbnail bytea
);
CREATE TABLE processing (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    activity_id bigint NOT NULL REFERENCES activities(id) ON DELETE CASCADE,
    route_id text NOT NULL REFERENCES routes(id) ON DELETE CASCADE,
    started_at timestamptz,
    processed boolean NOT NULL DEFAULT false,
    UNIQUE (activity_id, route_id)
);
-- What a claim asks for stays a look at the head of a small index.
CREATE INDEX processing_unclaimed ON processing (id) WHERE started_at IS NULL;
CREATE TABLE relevant_activities (
    activity_id bigint NOT NULL REFERENCES activities(id) ON DELETE CASCADE,
    route_id text NOT NULL REFERENCES routes(id) ON DELETE CASCADE,
    relevant boolean NOT NULL,
    PRIMARY KEY (activity_id, route_id)
);
CREATE TABLE intersections (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    activity_id bigint NOT NULL REFERENCES activities(id) ON DELETE CASCADE,
    route_id text NOT NULL REFERENCES routes(id) ON DELETE CASCADE,
    track geography(LineString) NOT NULL
);
CREATE INDEX intersections_pair ON intersections (activity_id, route_id);
CREATE TABLE route_sections (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    activity_id bigint NOT NULL REFERENCES activities(id) ON DELETE CASCADE,
    route_id text NOT NULL REFERENCES routes(id) ON DELETE CASCADE,
    section_track geography(LineString) NOT NULL
);
CREATE INDEX route_sections_route ON route_sections (route_id);
CREATE TABLE route_stats (
    athlete_id bigint NOT NULL REFERENCES athletes(id) ON DELETE CASCADE,
    route_id text NOT NULL REFERENCES routes(id) ON DELETE CASCADE,
    covered_length double precision NOT NULL,
    PRIMARY KEY (athlete_id, route_id)
);

CREATE FUNCTION pairs_of_activities() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO processing (activity_id, route_id) SELECT n.id, r.id FROM new_rows n CROSS JOIN routes r;
    RETURN NULL;
END $$;
CREATE TRIGGER pairs_of_activities AFTER INSERT ON activities REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION pairs_of_activities();
