-- Dead letters by kind and cause, the most frequent first.
SELECT kind, count(*), coalesce(last_error, reason) FROM q.dead GROUP BY 1, 3 ORDER BY 2 DESC, 1 LIMIT 5
