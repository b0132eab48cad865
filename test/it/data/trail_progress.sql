-- A trail-progress database as it may be found: its tables, triggers and machinery, a history that its own worker
-- processed in part, a batch that a crashed worker left claimed, and what it stored. Written from the contract.
-- Loaded after PostGIS; data/helpers.sql comes after the tables.

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'uuid-ossp') THEN
        CREATE EXTENSION "uuid-ossp";
    ELSE
        CREATE FUNCTION uuid_generate_v4() RETURNS uuid LANGUAGE sql AS 'SELECT gen_random_uuid()';
    END IF;
END $$;

CREATE TYPE status AS ENUM ('not_started', 'started', 'complete');

CREATE TABLE athletes (
    id bigint PRIMARY KEY,
    created_at timestamp DEFAULT now(),
    backfill_status status NOT NULL DEFAULT 'not_started'
);

CREATE TABLE access_tokens (
    athlete_id bigint PRIMARY KEY REFERENCES athletes(id) ON DELETE CASCADE,
    created_at timestamp DEFAULT now(),
    updated_at timestamp DEFAULT now(),
    access_token text NOT NULL,
    expires_at timestamp NOT NULL
);

CREATE TABLE refresh_tokens (
    athlete_id bigint PRIMARY KEY REFERENCES athletes(id) ON DELETE CASCADE,
    created_at timestamp DEFAULT now(),
    updated_at timestamp DEFAULT now(),
    refresh_token text NOT NULL
);

CREATE TABLE activities (
    id bigint PRIMARY KEY,
    inserted_at timestamp DEFAULT now(),
    athlete_id bigint NOT NULL REFERENCES athletes(id) ON DELETE CASCADE,
    name text,
    distance float8,
    moving_time int,
    elapsed_time int,
    total_elevation_gain float8,
    activity_type text NOT NULL,
    start_date timestamp,
    local_tz text,
    summary_track geography,
    start_latlng geography,
    end_latlng geography,
    elev_low real,
    elev_high real,
    external_id text
);

CREATE TABLE routes (
    id text PRIMARY KEY DEFAULT uuid_generate_v4(),
    created_at timestamp DEFAULT now(),
    track geography(LineString) NOT NULL,
    length float8,
    description text,
    display_name text NOT NULL,
    thumbnail bytea
);

CREATE TABLE processing (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    created_at timestamp DEFAULT now(),
    activity_id bigint NOT NULL REFERENCES activities(id) ON DELETE CASCADE,
    route_id text NOT NULL REFERENCES routes(id) ON DELETE CASCADE,
    processing_started_at timestamp,
    processed boolean NOT NULL DEFAULT false,
    UNIQUE (activity_id, route_id)
);

CREATE TABLE relevant_activities (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    created_at timestamp DEFAULT now(),
    activity_id bigint NOT NULL REFERENCES activities(id) ON DELETE CASCADE,
    route_id text NOT NULL REFERENCES routes(id) ON DELETE CASCADE,
    relevant boolean NOT NULL,
    UNIQUE (activity_id, route_id)
);

CREATE TABLE intersections (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    created_at timestamp DEFAULT now(),
    activity_id bigint NOT NULL REFERENCES activities(id) ON DELETE CASCADE,
    route_id text NOT NULL REFERENCES routes(id) ON DELETE CASCADE,
    intersection_track geography(LineString) NOT NULL
);

CREATE TABLE route_sections (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    created_at timestamp DEFAULT now(),
    activity_id bigint NOT NULL REFERENCES activities(id) ON DELETE CASCADE,
    route_id text NOT NULL REFERENCES routes(id) ON DELETE CASCADE,
    section_track geography(LineString) NOT NULL
);

CREATE TABLE route_stats (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    created_at timestamp DEFAULT now(),
    athlete_id bigint NOT NULL REFERENCES athletes(id) ON DELETE CASCADE,
    route_id text NOT NULL REFERENCES routes(id) ON DELETE CASCADE,
    covered_length float8 NOT NULL,
    UNIQUE (athlete_id, route_id)
);

-- Its triggers: every new activity pairs with every route, every new route with every activity.
CREATE FUNCTION process_activity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO processing (activity_id, route_id) SELECT n.id, r.id FROM fresh n CROSS JOIN routes r;
    NOTIFY processing;
    RETURN NULL;
END $$;
CREATE TRIGGER process_activity AFTER INSERT ON activities REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION process_activity();

CREATE FUNCTION process_route() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO processing (activity_id, route_id) SELECT a.id, n.id FROM fresh n CROSS JOIN activities a;
    NOTIFY processing;
    RETURN NULL;
END $$;
CREATE TRIGGER process_route AFTER INSERT ON routes REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION process_route();

CREATE FUNCTION update_route_length() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.length = ST_Length(NEW.track);
    RETURN NEW;
END $$;
CREATE TRIGGER update_route_length BEFORE INSERT OR UPDATE ON routes
    FOR EACH ROW EXECUTE FUNCTION update_route_length();
