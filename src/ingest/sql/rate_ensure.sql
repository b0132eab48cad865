-- The rate of calls: until an answer says otherwise, the least that anybody is given (100 reads a quarter hour, 1,000 a day).
INSERT INTO q.rate (name, cap15, capday) VALUES ('strava', 100, 1000) ON CONFLICT DO NOTHING
