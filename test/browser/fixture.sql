-- What the admin pages are tested on: much of everything, and texts that mean harm. Run on a database that is being
-- served; the queues here are such as nobody works on, so that only the tests change them. psql -v many=1000000
SET synchronous_commit = off;
SET client_min_messages = warning;
BEGIN;

-- Finished jobs of the last days.
INSERT INTO q.done (id, attempt, queue, kind, tenant, owner, outcome, created_at, started_at, finished_at)
SELECT i, 1, (ARRAY['trails', 'reports', 'mail', 'races'])[1 + i % 4], (ARRAY['match', 'pdf', 'send', 'fetch'])[1 + i % 4],
       CASE WHEN i % 3 = 0 THEN 1 + i % 60 END, 1, 'done', t - interval '20 s', t - make_interval(secs => i % 7), t
FROM (SELECT i, now() - make_interval(secs => (:many - i) * 0.5) AS t FROM generate_series(1, :many) i) x;
SELECT setval('q.job_id_seq', 2000000);

-- Others at work: instances whose heart is kept beating by the test.
INSERT INTO q.instance (host, place, pid, pid_started, version, queue, slots, running, started_at)
VALUES ('peak-01', 'fixture', 4711, 1, '0.1.0', 'reports', 8, 5, now() - interval '3 hours'),
       ('<i>peak</i>-02', 'fixture', 4712, 1, '0.1.0', 'mail', 4, 0, now() - interval '2 days');

-- Ten thousand dead letters of ten causes.
INSERT INTO q.dead (id, queue, kind, prio, attempt, max_attempts, crashes, tenant, payload, last_error, created_at, reason, died_at)
SELECT 1000000 + i, c.queue, c.kind, 10, 8, 8, 0, CASE WHEN i % 2 = 0 THEN 1 + i % 60 END,
       jsonb_build_object('n', i, 'html', '<script>window.hacked = 1</script>', 'access_token', 'abcdef0123456789'),
       replace(c.error, '@', i::text), now() - interval '2 days', 'attempts', now() - make_interval(secs => 20000 - i)
FROM generate_series(1, 10000) i JOIN (VALUES
    (0, 'reports', 'pdf', 'timeout after 30 s, page @'),
    (1, 'reports', 'html', '<script>window.hacked = 1</script> in line @'),
    (2, 'reports', 'xlsx', '"><img src=x onerror="window.hacked=1"> in cell @'),
    (3, 'mail', 'send', E'550 5.1.1 no such user @\nthe second line\tof it\r\nthe third'),
    (4, 'mail', 'digest', '@ ' || repeat('anextraordinarilylongword', 40)),
    (5, 'races', 'fetch', 'connection refused (10.0.0.@)'),
    (6, 'races', 'parse', '{{7*7}} ${7*7} <%= 7*7 %> </pre></td></table> @'),
    (7, 'races', 'name', U&'na\00EFve \6F22\5B57 \202Eright to left\202C \2603 @'),
    (8, 'races', 'sql', $$'; DROP TABLE q.job; -- @$$),
    (9, '<b>"q" & co</b>', 'javascript:alert(1)', '&lt;b&gt; &amp;amp; @')
) c(n, queue, kind, error) ON c.n = i % 10;

-- Live ones in every state.
INSERT INTO q.job (queue, kind, state, tenant, prio, payload, last_error, run_at, owner, started_at, attempt, created_at)
SELECT 'reports', (ARRAY['pdf', 'xlsx', 'html'])[1 + i % 3], s.state::q.state, 1 + i % 60, i % 5, jsonb_build_object('n', i),
       CASE WHEN i % 4 = 0 THEN 'HTTP 503 from the printer, attempt ' || i END,
       CASE WHEN s.state = 'waiting' THEN now() + interval '6 hours' END,
       CASE WHEN s.state = 'running' THEN (SELECT id FROM q.instance WHERE host = 'peak-01') END,
       CASE WHEN s.state = 'running' THEN now() - interval '40 s' END,
       CASE WHEN s.state = 'running' THEN 1 ELSE 0 END, now() - make_interval(secs => i * 3)
FROM (VALUES ('ready', 120), ('waiting', 40), ('running', 6)) s(state, n), generate_series(1, s.n) i;
INSERT INTO q.job (queue, kind, state, payload, run_at)
SELECT '<b>"q" & co</b>', '</td><script>window.hacked=1</script>', 'waiting', '{"token": "abcdef0123456789"}', now() + interval '1 day'
FROM generate_series(1, 3);

-- One with a past.
INSERT INTO q.job (queue, kind, state, run_at, attempt, tenant, payload, last_error, lane, ukey)
VALUES ('mail', 'eventful', 'waiting', now() + interval '5 hours', 7, 7, '{"to": "<script>window.hacked = 1</script>", "password": "geheim"}',
        'the last of many', NULL, 'eventful:7');
INSERT INTO q.try (job, attempt, owner, started_at, ended_at, outcome, error)
SELECT j.id, i, 1, now() - make_interval(mins => 60 - 8 * i), now() - make_interval(mins => 58 - 8 * i),
       (ARRAY['failed', 'lost', 'given back'])[1 + i % 3], '<img src=x onerror=window.hacked=1> ' || repeat('wide ', 20 * (i % 3)) || i
FROM q.job j, generate_series(1, 7) i WHERE j.kind = 'eventful';

-- Lanes: some long ones, and one that a dead letter stopped.
SELECT count(*) FROM q.add((SELECT jsonb_agg(jsonb_build_object('queue', 'races', 'kind', 'step', 'lane', 'race:' || i % 12, 'tenant', 1 + i % 60))
                            FROM generate_series(1, 120) i));
INSERT INTO q.job (queue, kind, state, lane, halt) SELECT 'races', 'step', 'blocked', 'ledger:<3>', true FROM generate_series(1, 9);
UPDATE q.dead SET lane = 'ledger:<3>', halt = true WHERE id = 1000006;
INSERT INTO q.halted (lane, job) VALUES ('ledger:<3>', 1000006);

DELETE FROM q.rate WHERE name = 'strava'; -- as the service has made it
INSERT INTO q.rate (name, cap15, capday, win15, used15, winday, usedday, paused_until)
SELECT n.name, 200, 2000, floor(e / 900), n.used, floor(e / 86400), 3 * n.used, n.until
FROM extract(epoch FROM now()) e, (VALUES ('strava', 150, NULL), ('maps', 200, NULL), ('<u>mail</u>', 3, now() + interval '20 minutes'))
    n(name, used, until);

-- The schedules themselves are added by the program; what became of them since.
UPDATE q.cron SET problem = 'time zone "Europe/<b>Nowhere</b>" not recognized', next_at = 'infinity', missed = 12 WHERE name = 'broken';
UPDATE q.cron SET last_at = now() - interval '1 day' WHERE name = 'nightly';

-- Athletes; one whose backfill stands still.
INSERT INTO q.pause (queue, tenant) VALUES ('trails', 7);
INSERT INTO athletes (id, backfill_status) SELECT i, (ARRAY['not_started', 'started', 'complete'])[1 + i % 3]::status FROM generate_series(1, 60) i;
INSERT INTO strava.account (athlete_id, name, scopes, state, reason) VALUES
    (7, 'Ada <b>Walker</b>', '{read,activity:read}', 'ok', NULL), (8, NULL, NULL, 'reauth', 'Strava refused the refresh token');
INSERT INTO refresh_tokens (athlete_id, refresh_token) VALUES (7, 'r');
INSERT INTO strava.sync (athlete_id, mode, requested_by, state, before_at, cursor_at, pages, listed, added, changed, problem)
    SELECT 7, (ARRAY['all', 'new', 'reconcile'])[1 + i % 3], (ARRAY['login', 'plan'])[1 + i % 2], CASE WHEN i = 12 THEN 'running' WHEN i % 5 = 0 THEN 'failed' ELSE 'done' END,
        now(), now(), i, 200 * i, 190 * i, i, CASE WHEN i % 5 = 0 THEN 'GET /athlete/activities: HTTP 503 from Strava, eight times' END
    FROM generate_series(1, 12) i;
INSERT INTO activities (id, athlete_id, name, activity_type, start_date)
SELECT a * 1000 + i, a, '<em>walk</em> ' || i, 'Hike', now() - make_interval(days => i)
FROM generate_series(1, 60) a, generate_series(1, CASE WHEN a = 7 THEN 400 ELSE 5 END) i;
INSERT INTO routes (id, display_name, track, length) VALUES
    ('coast', 'The <coast> path', 'LINESTRING(8.1 47, 8.2 47)', 7600), ('ridge', 'Ridgeway & more', 'LINESTRING(8.1 46, 8.2 46)', 7700);

INSERT INTO q.audit (at, who, command, filter, jobs, complete)
SELECT now() - make_interval(mins => 3 * (260 - i)), CASE WHEN i % 5 = 0 THEN '<script>window.hacked=1</script>' ELSE 'cli:ann@vm' END,
       'jobs retry', jsonb_build_object('error', '<b>timeout</b> ' || i, 'queue', 'reports'), i, i % 50 <> 0
FROM generate_series(1, 260) i;

-- The last hour, for the graph.
INSERT INTO q.depth (at, queue, ready, waiting, blocked, running, dead, oldest_s, count_ms)
SELECT now() - make_interval(mins => m), q, 200 + 100 * sin(m / 6.0), 40, 30, 6, 3000, 300, 1
FROM generate_series(0, 61) m, unnest(ARRAY['reports', 'mail', 'races']) q;
INSERT INTO q.flow (at, queue, instance, claimed, finished, retried, buried, fenced, rescued, run_ms)
SELECT now() - make_interval(mins => m), 'reports', (SELECT id FROM q.instance WHERE host = 'peak-01'), 50, 40 + m % 13, 3, 1, 0, 0, 900
FROM generate_series(0, 61) m;
COMMIT;
VACUUM ANALYZE;
