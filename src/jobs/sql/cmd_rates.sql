-- Every rate in the windows of this moment, and what may be taken for live and for background work. Nothing is locked, and
-- the rows stay as they are.
SELECT r.name, n.used15, r.cap15, n.usedday, r.capday, q.rate_room(n, true), q.rate_room(n, false),
       greatest(0, (n.win15 + 1) * 900 - e)::float8, greatest(0, (n.winday + 1) * 86400 - e)::float8, r.reserve::float8,
       greatest(0, extract(epoch FROM r.paused_until - clock_timestamp()))::float8, r.learnt_at
FROM q.rate r, LATERAL (SELECT extract(epoch FROM clock_timestamp()) + r.offset_s AS e) t,
     LATERAL jsonb_populate_record(r, jsonb_build_object(
         'win15', greatest(r.win15, floor(e / 900)), 'used15', CASE WHEN floor(e / 900) > r.win15 THEN 0 ELSE r.used15 END,
         'winday', greatest(r.winday, floor(e / 86400)), 'usedday', CASE WHEN floor(e / 86400) > r.winday THEN 0 ELSE r.usedday END)) n
ORDER BY r.name
