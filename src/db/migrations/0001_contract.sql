-- The tables of the trail-progress contract (design: "The trail-progress database contract"): made new, or
-- adopted as found. Nothing here drops a row: rows that break the references they should keep are moved to
-- adopted_orphans, and a real `processing` table is kept as processing_adopted.

DO $$
BEGIN
    IF to_regtype('status') IS NULL THEN
        CREATE TYPE status AS ENUM ('not_started', 'started', 'complete');
    END IF;
    IF to_regtype('metre_range') IS NULL THEN
        CREATE TYPE metre_range AS RANGE (subtype = float8, subtype_diff = float8mi,
                                          multirange_type_name = metre_multirange);
    END IF;
END $$;

CREATE TABLE IF NOT EXISTS athletes (
    id bigint PRIMARY KEY,
    created_at timestamp DEFAULT now(),
    backfill_status status NOT NULL DEFAULT 'not_started'
);

CREATE TABLE IF NOT EXISTS activities (
    id bigint PRIMARY KEY,
    inserted_at timestamp DEFAULT now(),
    athlete_id bigint NOT NULL REFERENCES athletes(id) ON DELETE CASCADE ON UPDATE CASCADE,
    name text,
    distance double precision,
    moving_time integer,
    elapsed_time integer,
    total_elevation_gain double precision,
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

CREATE TABLE IF NOT EXISTS routes (
    id text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    created_at timestamp DEFAULT now(),
    track geography(LineString) NOT NULL,
    length double precision,
    description text,
    display_name text NOT NULL,
    thumbnail bytea
);

CREATE TABLE IF NOT EXISTS relevant_activities (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    created_at timestamp DEFAULT now(),
    activity_id bigint NOT NULL REFERENCES activities(id) ON DELETE CASCADE ON UPDATE CASCADE,
    route_id text NOT NULL REFERENCES routes(id) ON DELETE CASCADE ON UPDATE CASCADE,
    relevant boolean NOT NULL,
    UNIQUE (activity_id, route_id)
);

CREATE TABLE IF NOT EXISTS intersections (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    created_at timestamp DEFAULT now(),
    activity_id bigint NOT NULL REFERENCES activities(id) ON DELETE CASCADE ON UPDATE CASCADE,
    route_id text NOT NULL REFERENCES routes(id) ON DELETE CASCADE ON UPDATE CASCADE,
    intersection_track geography(LineString) NOT NULL
);

CREATE TABLE IF NOT EXISTS route_sections (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    created_at timestamp DEFAULT now(),
    activity_id bigint NOT NULL REFERENCES activities(id) ON DELETE CASCADE ON UPDATE CASCADE,
    route_id text NOT NULL REFERENCES routes(id) ON DELETE CASCADE ON UPDATE CASCADE,
    section_track geography(LineString) NOT NULL
);

CREATE TABLE IF NOT EXISTS route_stats (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    created_at timestamp DEFAULT now(),
    athlete_id bigint NOT NULL REFERENCES athletes(id) ON DELETE CASCADE ON UPDATE CASCADE,
    route_id text NOT NULL REFERENCES routes(id) ON DELETE CASCADE ON UPDATE CASCADE,
    covered_length double precision NOT NULL,
    UNIQUE (athlete_id, route_id)
);

CREATE TABLE IF NOT EXISTS access_tokens (
    athlete_id bigint PRIMARY KEY REFERENCES athletes(id) ON DELETE CASCADE ON UPDATE CASCADE,
    created_at timestamp DEFAULT now(),
    updated_at timestamp DEFAULT now(),
    access_token text NOT NULL,
    expires_at timestamp NOT NULL
);

CREATE TABLE IF NOT EXISTS refresh_tokens (
    athlete_id bigint PRIMARY KEY REFERENCES athletes(id) ON DELETE CASCADE ON UPDATE CASCADE,
    created_at timestamp DEFAULT now(),
    updated_at timestamp DEFAULT now(),
    refresh_token text NOT NULL
);

-- An older trail-progress may lack what newer ones have.
ALTER TABLE athletes ADD COLUMN IF NOT EXISTS created_at timestamp DEFAULT now();
ALTER TABLE athletes ADD COLUMN IF NOT EXISTS backfill_status status NOT NULL DEFAULT 'not_started';
ALTER TABLE activities ADD COLUMN IF NOT EXISTS inserted_at timestamp DEFAULT now();
ALTER TABLE activities ADD COLUMN IF NOT EXISTS external_id text;
ALTER TABLE routes ADD COLUMN IF NOT EXISTS length double precision;
ALTER TABLE routes ADD COLUMN IF NOT EXISTS thumbnail bytea;
ALTER TABLE access_tokens ADD COLUMN IF NOT EXISTS updated_at timestamp DEFAULT now();
ALTER TABLE refresh_tokens ADD COLUMN IF NOT EXISTS updated_at timestamp DEFAULT now();

-- Or demand what a recorded file or a route from one does not tell.
DO $$
DECLARE
    demand record;
BEGIN
    FOR demand IN SELECT a.attrelid::regclass AS tab, a.attname FROM pg_attribute a
                  WHERE a.attnotnull AND (
                      (a.attrelid = to_regclass('activities') AND a.attname IN (
                          'name', 'distance', 'moving_time', 'elapsed_time', 'total_elevation_gain', 'start_date', 'local_tz',
                          'summary_track', 'start_latlng', 'end_latlng', 'elev_low', 'elev_high', 'external_id'))
                      OR (a.attrelid = to_regclass('routes') AND a.attname IN ('length', 'description', 'thumbnail'))) LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', demand.tab, demand.attname);
    END LOOP;
END $$;

-- Ours, each with a default, so that the frontend's INSERTs keep working.
-- revision names a state of what a match depends on; results made from another one are refused. Never the same again,
-- even for what is deleted and inserted under one id; an identity, so that who inserts needs no right on a sequence.
ALTER TABLE activities ADD COLUMN IF NOT EXISTS revision bigint NOT NULL DEFAULT 1;
ALTER TABLE activities ADD COLUMN IF NOT EXISTS source text NOT NULL DEFAULT 'strava';
ALTER TABLE routes ADD COLUMN IF NOT EXISTS revision bigint NOT NULL DEFAULT 1;
ALTER TABLE activities ALTER COLUMN revision DROP DEFAULT,
    ALTER COLUMN revision ADD GENERATED BY DEFAULT AS IDENTITY (START 2);
ALTER TABLE routes ALTER COLUMN revision DROP DEFAULT,
    ALTER COLUMN revision ADD GENERATED BY DEFAULT AS IDENTITY (START 2);
ALTER TABLE routes ADD COLUMN IF NOT EXISTS tolerance_m double precision NOT NULL DEFAULT 40
    CHECK (tolerance_m BETWEEN 5 AND 500);
ALTER TABLE route_sections ADD COLUMN IF NOT EXISTS athlete_id bigint;
ALTER TABLE route_sections ADD COLUMN IF NOT EXISTS start_m double precision;
ALTER TABLE route_sections ADD COLUMN IF NOT EXISTS end_m double precision;
ALTER TABLE route_stats ADD COLUMN IF NOT EXISTS updated_at timestamp DEFAULT now();
-- stale: sections changed in this transaction, the sum is due. Never seen true from outside but after an adoption.
ALTER TABLE route_stats ADD COLUMN IF NOT EXISTS stale boolean NOT NULL DEFAULT false;

CREATE TABLE IF NOT EXISTS adopted_orphans (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    moved_at timestamptz NOT NULL DEFAULT now(),
    table_name text NOT NULL,
    why text NOT NULL,
    content jsonb NOT NULL
);

-- Every reference must exist and cascade: deleting an activity takes its credit away by it, and whoever gives a row
-- another id takes its credit along. A table adopted without them may hold orphans; those are moved aside, then the
-- reference is added.
DO $$
DECLARE
    ref record;
    present record;
BEGIN
    FOR ref IN SELECT * FROM (VALUES
        ('activities', 'athlete_id', 'athletes'),
        ('relevant_activities', 'activity_id', 'activities'), ('relevant_activities', 'route_id', 'routes'),
        ('intersections', 'activity_id', 'activities'), ('intersections', 'route_id', 'routes'),
        ('route_sections', 'activity_id', 'activities'), ('route_sections', 'route_id', 'routes'),
        ('route_stats', 'athlete_id', 'athletes'), ('route_stats', 'route_id', 'routes'),
        ('access_tokens', 'athlete_id', 'athletes'), ('refresh_tokens', 'athlete_id', 'athletes')
    ) AS v(child, col, parent) LOOP
        SELECT c.conname, c.confdeltype = 'c' AND c.confupdtype = 'c' AND c.convalidated AS fine INTO present FROM pg_constraint c
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
        WHERE c.contype = 'f' AND cardinality(c.conkey) = 1 AND a.attname = ref.col
            AND c.conrelid = to_regclass(ref.child) AND c.confrelid = to_regclass(ref.parent);
        CONTINUE WHEN FOUND AND present.fine;
        IF present.conname IS NOT NULL THEN
            EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', ref.child, present.conname);
        END IF;
        EXECUTE format(
            'WITH gone AS (DELETE FROM %1$I c WHERE NOT EXISTS (SELECT FROM %3$I p WHERE p.id = c.%2$I) RETURNING c.*) '
            'INSERT INTO adopted_orphans(table_name, why, content) '
            'SELECT %1$L, %2$L || '' names no row of '' || %3$L, to_jsonb(gone) FROM gone', ref.child, ref.col, ref.parent);
        EXECUTE format('ALTER TABLE %I ADD FOREIGN KEY (%I) REFERENCES %I(id) ON DELETE CASCADE ON UPDATE CASCADE', ref.child, ref.col, ref.parent);
    END LOOP;
END $$;

-- One row a pair is what our statements rely on; of adopted twins the newest stays, the others are moved aside.
DO $$
DECLARE
    pair record;
BEGIN
    FOR pair IN SELECT * FROM (VALUES ('relevant_activities', 'activity_id', 'route_id'),
                                      ('route_stats', 'athlete_id', 'route_id')) AS v(tab, a, b) LOOP
        CONTINUE WHEN EXISTS (
            SELECT FROM pg_index i
            WHERE i.indrelid = to_regclass(pair.tab) AND i.indisunique AND i.indpred IS NULL AND i.indnatts = 2
                AND (SELECT array_agg(t.attname::text ORDER BY t.attname) FROM pg_attribute t
                     WHERE t.attrelid = i.indrelid AND t.attnum = ANY (i.indkey::smallint[])) = ARRAY[pair.a, pair.b]);
        EXECUTE format(
            'WITH ranked AS (SELECT ctid AS place, row_number() OVER (PARTITION BY %2$I, %3$I ORDER BY created_at DESC, id) AS rank FROM %1$I), '
            'gone AS (DELETE FROM %1$I t USING ranked WHERE t.ctid = ranked.place AND ranked.rank > 1 RETURNING t.*) '
            'INSERT INTO adopted_orphans(table_name, why, content) SELECT %1$L, ''a newer row of the same pair exists'', to_jsonb(gone) FROM gone',
            pair.tab, pair.a, pair.b);
        EXECUTE format('ALTER TABLE %I ADD UNIQUE (%I, %I)', pair.tab, pair.a, pair.b);
    END LOOP;
END $$;

-- Coordinates do not compress: trying to, for every line that is stored, took as long as all else that an INSERT does.
-- An index takes its column's new storage over, and PostGIS, which expects its keys unpacked, then reads beyond them: the
-- server crashes. So spatial indexes that are there are made anew, and ours come after.
DO $$
DECLARE
    line record;
    spatial record;
    again text[];
    def text;
BEGIN
    FOR line IN SELECT * FROM (VALUES ('activities', 'summary_track'), ('routes', 'track'),
                                      ('intersections', 'intersection_track'),
                                      ('route_sections', 'section_track')) AS v(tab, col) LOOP
        again := '{}';
        FOR spatial IN
            SELECT i.indexrelid::regclass AS name, pg_get_indexdef(i.indexrelid) AS def FROM pg_index i
            JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::smallint[])
            WHERE i.indrelid = to_regclass(line.tab) AND a.attname = line.col AND m.amname <> 'btree' LOOP
            EXECUTE format('DROP INDEX %s', spatial.name);
            again := again || spatial.def;
        END LOOP;
        EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET STORAGE EXTERNAL', line.tab, line.col);
        FOREACH def IN ARRAY again LOOP
            EXECUTE def;
        END LOOP;
    END LOOP;
END $$;

CREATE INDEX IF NOT EXISTS activities_athlete ON activities (athlete_id);
CREATE INDEX IF NOT EXISTS activities_summary_track ON activities USING gist (summary_track);
CREATE INDEX IF NOT EXISTS routes_track ON routes USING gist (track);
CREATE INDEX IF NOT EXISTS relevant_activities_route ON relevant_activities (route_id);
CREATE INDEX IF NOT EXISTS intersections_activity ON intersections (activity_id, route_id);
CREATE INDEX IF NOT EXISTS intersections_route ON intersections (route_id);
CREATE UNIQUE INDEX IF NOT EXISTS route_sections_interval ON route_sections (activity_id, route_id, start_m);
CREATE INDEX IF NOT EXISTS route_sections_route ON route_sections (route_id);
-- The union of an athlete's intervals on a route is read from this index alone.
CREATE INDEX IF NOT EXISTS route_sections_athlete ON route_sections (athlete_id, route_id) INCLUDE (start_m, end_m);
CREATE INDEX IF NOT EXISTS route_stats_route ON route_stats (route_id);

-- The old machinery: its triggers filled `processing`, activities times routes. The rows are kept for the record;
-- every adopted pair is matched anew.
-- Whatever its triggers are called, an INSERT into what is about to be a view would make every INSERT of the frontend
-- fail.
DO $$
DECLARE
    old record;
    reference record;
BEGIN
    FOR old IN SELECT t.tgname, t.tgrelid::regclass AS tab FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
               WHERE NOT t.tgisinternal AND t.tgrelid IN (to_regclass('activities'), to_regclass('routes'))
                   AND (p.proname IN ('process_activity', 'process_route')
                        OR p.prosrc ~* 'insert\s+into\s+("?\w+"?\.)?"?processing\M') LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', old.tgname, old.tab);
    END LOOP;
    DROP FUNCTION IF EXISTS process_activity();
    DROP FUNCTION IF EXISTS process_route();
    IF EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('processing') AND relkind IN ('r', 'p')) THEN
        ALTER TABLE processing RENAME TO processing_adopted;
        -- A record of what was: deleting an activity must neither fail because of it nor change it.
        FOR reference IN SELECT conname FROM pg_constraint
                         WHERE contype = 'f' AND conrelid = to_regclass('processing_adopted') LOOP
            EXECUTE format('ALTER TABLE processing_adopted DROP CONSTRAINT %I', reference.conname);
        END LOOP;
    END IF;
END $$;
