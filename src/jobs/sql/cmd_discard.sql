-- The dead letters of the page are thrown away; how many stays in the setting waymark.did.
SELECT set_config('waymark.did', q.discard(current_setting('waymark.page')::bigint[])::text, true)
