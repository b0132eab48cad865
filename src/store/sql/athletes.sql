-- Who is here.
SELECT h.id, (SELECT count(*) FROM activities a WHERE a.athlete_id = h.id) FROM athletes h ORDER BY h.id
