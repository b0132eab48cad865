-- The jobs of the page that still wait are ready now; how many stays in the setting waymark.did.
WITH due AS (
    UPDATE q.job SET state = 'ready', run_at = NULL
    WHERE id = ANY (current_setting('waymark.page')::bigint[]) AND state = 'waiting' RETURNING id
)
SELECT set_config('waymark.did', count(*)::text, true) FROM due
