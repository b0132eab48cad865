-- For waymark doctor: what needs somebody in the queue.
SELECT (SELECT count(*) FROM q.dead), (SELECT count(*) FROM q.halted), (SELECT min(lane) FROM q.halted),
       (SELECT count(*) FROM q.cron WHERE problem IS NOT NULL), (SELECT min(name || ': ' || problem) FROM q.cron WHERE problem IS NOT NULL),
       (SELECT count(*) FROM q.pause), (SELECT string_agg(DISTINCT queue, ', ') FROM q.pause),
       (SELECT string_agg(DISTINCT j.queue, ', ') FROM q.job j WHERE j.state = 'ready'
            AND NOT EXISTS (SELECT FROM q.instance i WHERE i.queue = j.queue AND i.beat_at > clock_timestamp() - interval '90 s'))
