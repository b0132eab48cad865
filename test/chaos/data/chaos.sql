-- What the fault tests keep beside the queue: every job that was ever added, and what each left behind.
CREATE SCHEMA chaos;

CREATE TABLE chaos.effect (
    job bigint NOT NULL,
    attempt integer NOT NULL,
    owner bigint NOT NULL,
    lane text,
    n bigint,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seq bigint GENERATED ALWAYS AS IDENTITY            -- order of insertion, whatever clocks do
);
CREATE INDEX ON chaos.effect (job);

CREATE TABLE chaos.added (
    id bigint PRIMARY KEY,
    queue text NOT NULL,
    kind text NOT NULL,
    lane text,
    parent bigint,
    left_to_do bigint NOT NULL                          -- of a chain, this one not counted
);

-- Rows appear here in the transaction that adds the job. One that comes back from the dead letters was added once.
CREATE FUNCTION chaos.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos.added (id, queue, kind, lane, parent, left_to_do)
    VALUES (new.id, new.queue, new.kind, new.lane, new.parent,
            CASE WHEN jsonb_typeof(new.payload->'left') = 'number' THEN (new.payload->>'left')::bigint ELSE 0 END)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_added AFTER INSERT ON q.job FOR EACH ROW EXECUTE FUNCTION chaos.note();

-- Adds n jobs of a kind to the queue "chaos". more: payload, and anything else q.add knows, for each of them; lanes: spread
-- over so many lanes; tenants: likewise. payload.n counts them from 1.
CREATE FUNCTION chaos.add(of_kind text, n integer, more jsonb DEFAULT '{}') RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    added bigint;
BEGIN
    SELECT count(*) INTO added FROM q.add((
        SELECT jsonb_agg(jsonb_build_object('queue', 'chaos', 'kind', of_kind) || (more - 'lanes' - 'tenants')
            || jsonb_build_object('payload', coalesce(more->'payload', '{}') || jsonb_build_object('n', k))
            || CASE WHEN more ? 'lanes' THEN jsonb_build_object('lane', 'lane' || k % (more->>'lanes')::integer) ELSE '{}' END
            || CASE WHEN more ? 'tenants' THEN jsonb_build_object('tenant', 1 + k % (more->>'tenants')::integer) ELSE '{}' END
            ORDER BY k)
        FROM generate_series(1, n) k)) a;
    PERFORM pg_notify('chaos', '');
    RETURN added;
END $$;

-- Some of everything that ends well, of about n jobs.
CREATE FUNCTION chaos.mix(n integer, ms integer) RETURNS void LANGUAGE sql AS $$
    SELECT chaos.add('effect', n * 4 / 10, jsonb_build_object('payload', jsonb_build_object('ms', ms)));
    SELECT chaos.add('effect', n * 3 / 10, jsonb_build_object('lanes', 1 + n / 20, 'payload', jsonb_build_object('ms', ms)));
    SELECT chaos.add('effect', n / 10, jsonb_build_object('tenants', 3, 'payload', jsonb_build_object('ms', ms, 'work', true)));
    SELECT chaos.add('chain', 1 + n / 40, jsonb_build_object('lanes', 2, 'payload', jsonb_build_object('left', 4, 'ms', ms)));
    SELECT chaos.add('noop', n / 10);
    SELECT chaos.add('fail', 1 + n / 50);
$$;
