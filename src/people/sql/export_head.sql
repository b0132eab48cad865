-- What is kept of an athlete besides activities, as JSON; no row: there is no such athlete.
-- $1 bigint athlete id
SELECT jsonb_build_object(
    'version', 1,
    'exported_at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    'athlete', jsonb_build_object('id', h.id, 'created_at', h.created_at, 'backfill_status', h.backfill_status),
    'strava', (SELECT jsonb_build_object('name', a.name, 'scopes', a.scopes, 'state', a.state, 'reason', a.reason,
                   'connected_at', a.connected_at) FROM strava.account a WHERE a.athlete_id = h.id),
    'trails', coalesce((SELECT jsonb_agg(jsonb_build_object('id', r.id, 'name', r.display_name, 'length_m', r.length,
                   'covered_m', s.covered_length) ORDER BY r.id)
                   FROM route_stats s JOIN routes r ON r.id = s.route_id WHERE s.athlete_id = h.id), '[]'),
    'no_longer_on_strava', coalesce((SELECT jsonb_agg(k.activity_id ORDER BY k.activity_id) FROM strava.activity k
                   WHERE k.athlete_id = h.id AND k.state = 'gone'), '[]'),
    'logins', coalesce((SELECT jsonb_agg(jsonb_build_object('made_at', v.made_at, 'expires_at', v.expires_at) ORDER BY v.made_at)
                   FROM web.visitor v WHERE v.athlete_id = h.id), '[]'),
    'syncs', coalesce((SELECT jsonb_agg(jsonb_build_object('mode', y.mode, 'state', y.state, 'from', y.from_at, 'listed', y.listed,
                   'started_at', y.started_at, 'finished_at', y.finished_at) ORDER BY y.id) FROM strava.sync y WHERE y.athlete_id = h.id), '[]'),
    'events', coalesce((SELECT jsonb_agg(jsonb_build_object('received_at', e.received_at, 'about', CASE WHEN e.is_athlete THEN 'athlete' ELSE 'activity' END,
                   'aspect', e.aspect, 'id', e.object_id, 'verdict', e.verdict) ORDER BY e.id) FROM strava.event e WHERE e.owner_id = h.id), '[]'),
    'alerts', coalesce((SELECT jsonb_agg(jsonb_build_object('title', x.title, 'body', x.body, 'since', x.since) ORDER BY x.key)
                   FROM alert.state x WHERE x.key ~ (':' || h.id || '$')), '[]'))::text
FROM athletes h WHERE h.id = $1
