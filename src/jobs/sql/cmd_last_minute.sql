-- What the instances did in the last minute, by queue; they write it down now and then.
SELECT queue, sum(finished)::bigint, sum(retried)::bigint, sum(buried)::bigint
FROM q.flow WHERE at > clock_timestamp() - interval '1 minute' GROUP BY queue ORDER BY queue
