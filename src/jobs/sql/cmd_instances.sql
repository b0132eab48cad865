-- The programs at work, for status: as store/instances, and what each may and does run.
SELECT id, queue, slots, greatest(i.running, (SELECT count(*) FROM q.job j WHERE j.owner = i.id AND j.state = 'running')), draining
FROM q.instance i ORDER BY id
