-- A page is locked before it is looked at. A job that finds no page, since its route changed, must not then delete one:
-- between two statements the route's new list may have put a page of the same number there, not matched by anybody yet.
-- That one has a job of its own.
SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true); -- as in 0003

CREATE OR REPLACE FUNCTION waymark_page_done(route text, number integer, of_revision bigint, done bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    listed bigint[];
    rest bigint[];
BEGIN
    SELECT p.activity_ids INTO listed FROM route_pages p
    WHERE p.route_id = route AND p.page = number AND p.revision = of_revision FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT array_agg(u.id ORDER BY u.id) INTO rest
    FROM unnest(listed) u(id) JOIN activities a ON a.id = u.id WHERE u.id <> ALL (done);
    IF rest IS NULL THEN
        DELETE FROM route_pages WHERE route_id = route AND page = number;
        RETURN;
    END IF;
    UPDATE route_pages SET activity_ids = rest WHERE route_id = route AND page = number;
    INSERT INTO q.job (queue, kind, prio, ukey, payload)
    VALUES ('trails', 'page', 15, 'page:' || route || ':' || number, jsonb_build_object('route', route, 'page', number))
    ON CONFLICT (ukey) WHERE ukey IS NOT NULL AND state <> 'running' DO UPDATE SET last_error = q.job.last_error;
END $$;
