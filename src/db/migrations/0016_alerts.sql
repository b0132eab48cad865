-- Alerts are told when they are made, not at the next look at the queue: whoever makes one may work on another queue.

SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true); -- as in 0003

-- As in 0012 and 0009, and whoever has the queue of alerts hears of it. Such changes are rare.
CREATE OR REPLACE FUNCTION alert.look(about text, not_before timestamptz) RETURNS void LANGUAGE sql AS $$
    SELECT q.add(jsonb_build_array(jsonb_build_object('queue', 'trails', 'kind', 'alert', 'prio', 0, 'ukey', 'alert:' || about,
        'run_at', not_before, 'payload', jsonb_build_object('key', about))));
    SELECT pg_notify('processing', '')
$$;

CREATE OR REPLACE FUNCTION alert.tell(about text, is_bad boolean, a_title text, a_body text) RETURNS void LANGUAGE sql AS $$
    SELECT q.add(jsonb_build_array(jsonb_build_object('queue', 'trails', 'kind', 'alert', 'prio', 0,
        'payload', jsonb_build_object('key', about, 'bad', is_bad, 'title', a_title, 'body', a_body, 'at', clock_timestamp()))));
    SELECT pg_notify('processing', '')
$$;
