-- How many pods of two slots would do in a minute what stands in the queue; for KEDA, which asks also while no pod runs, so
-- nothing here relies on what pods write of themselves. 0: nobody is needed.
--
-- Counted is what is ready now, at the time a job of its queue took of late; not what is paused, nor what waits for a rate:
-- more pods get no more tokens. Whatever runs, may be left over from a pod that died, or is due within 30 s needs one pod.
WITH rated (kind, rate) AS ( -- kinds that spend tokens of a rate
    VALUES ('strava', 'strava')
), empty AS ( -- rates with nothing left in the windows of this moment
    SELECT r.name FROM q.rate r, LATERAL (SELECT extract(epoch FROM clock_timestamp()) + r.offset_s AS e) t
    WHERE r.paused_until > clock_timestamp()
        OR CASE WHEN floor(e / 900) > r.win15 THEN 0 ELSE r.used15 END >= r.cap15
        OR CASE WHEN floor(e / 86400) > r.winday THEN 0 ELSE r.usedday END >= r.capday
), pace AS ( -- seconds of a slot for one job
    SELECT queue, sum(run_ms) / 1000.0 / nullif(sum(finished + retried + buried), 0) AS job_s
    FROM q.flow WHERE at > now() - interval '1 day' GROUP BY queue
), able AS ( -- enough to know that it is much
    SELECT j.queue, j.state, j.run_at FROM q.job j
    WHERE (j.state IN ('ready', 'running') OR j.state = 'waiting' AND j.run_at < now() + interval '30 s')
        AND NOT EXISTS (SELECT FROM q.pause p WHERE j.state <> 'running' AND p.queue = j.queue
                        AND (p.kind IS NULL OR p.kind = j.kind) AND (p.tenant IS NULL OR p.tenant = j.tenant))
        AND NOT EXISTS (SELECT FROM rated, empty WHERE j.state <> 'running' AND rated.kind = j.kind AND empty.name = rated.rate)
    LIMIT 200000
)
SELECT greatest(
    (SELECT ceil(coalesce(sum(n * coalesce(job_s, 0.1)), 0) / (60 * 2))
     FROM (SELECT queue, count(*) AS n FROM able WHERE state = 'ready' GROUP BY queue) a LEFT JOIN pace USING (queue)),
    (SELECT count(*) FROM (SELECT FROM able LIMIT 1) x),
    (SELECT count(*) FROM (SELECT FROM q.cron WHERE next_at < now() + interval '30 s' AND NOT paused LIMIT 1) x)
)::integer AS pods
