-- The jobs of the page are cancelled, or asked to stop; how many stays in the setting waymark.did.
SELECT set_config('waymark.did', q.cancel(current_setting('waymark.page')::bigint[])::text, true)
