-- How many bad states there are, by what they are about: always these rows, however many athletes there are.
SELECT a.about, count(s.key) FILTER (WHERE s.bad)
FROM unnest(ARRAY['import', 'queue', 'strava_app', 'strava_quota', 'strava_subscription', 'token', 'other']) a(about)
LEFT JOIN (SELECT CASE WHEN key LIKE 'token:%' THEN 'token' WHEN key = 'import:quiet' THEN 'import' WHEN key = 'queue:dead' THEN 'queue'
                       WHEN key IN ('strava:app', 'strava:quota', 'strava:subscription') THEN replace(key, ':', '_')
                       ELSE 'other' END AS about, key, bad FROM alert.state) s ON s.about = a.about
GROUP BY a.about ORDER BY a.about
