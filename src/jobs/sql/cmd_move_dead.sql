-- The dead letters of the page are another queue's; how many stays in the setting waymark.did.
-- $1 text queue
WITH moved AS (
    UPDATE q.dead SET queue = $1 WHERE id = ANY (current_setting('waymark.page')::bigint[]) AND queue <> $1 RETURNING id
)
SELECT set_config('waymark.did', count(*)::text, true) FROM moved
