-- The dead letters of the page become jobs again; how many stays in the setting waymark.did.
SELECT set_config('waymark.did', q.retry(current_setting('waymark.page')::bigint[])::text, true)
