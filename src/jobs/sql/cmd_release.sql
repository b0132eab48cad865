-- The jobs of the page that still wait are ready now; how many stays in the setting waymark.did.
WITH mine AS MATERIALIZED ( -- in order of id, as whoever puts jobs back
    SELECT id FROM q.job WHERE id = ANY (current_setting('waymark.page')::bigint[]) AND state = 'waiting'
    ORDER BY id FOR NO KEY UPDATE
), due AS (
    UPDATE q.job SET state = 'ready', run_at = NULL WHERE id = ANY (ARRAY(SELECT id FROM mine)) RETURNING id
)
SELECT set_config('waymark.did', count(*)::text, true) FROM due
