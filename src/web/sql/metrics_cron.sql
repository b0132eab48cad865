-- Slots that passed while nobody ran.
SELECT name, missed FROM q.cron ORDER BY name LIMIT 200
