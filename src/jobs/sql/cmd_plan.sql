-- For the transaction of a command on many jobs: its pages are read along the ids, whatever the statistics say of a table
-- that was empty a minute ago, so that a million jobs in pages of a thousand are read once and not once a page.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_seqscan', 'off', true),
       set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true), set_config('jit', 'off', true)
