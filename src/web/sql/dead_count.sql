SELECT count(*) FROM q.dead
