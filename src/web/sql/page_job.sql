-- One live job; as jobs/cmd_page_job.
-- $1 bigint after this id
-- $2 integer how many at most
-- $3 bigint id
SELECT set_config('waymark.page', coalesce(array_agg(x.id)::text, '{}'), true), count(*), max(x.id)
FROM (SELECT j.id FROM q.job j WHERE j.id > $1 AND j.id = $3 LIMIT $2) x
