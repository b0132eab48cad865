-- The finished jobs of the page are forgotten; how many stays in the setting waymark.did.
WITH gone AS (
    DELETE FROM q.done WHERE id = ANY (current_setting('waymark.page')::bigint[]) RETURNING id
)
SELECT set_config('waymark.did', count(*)::text, true) FROM gone
