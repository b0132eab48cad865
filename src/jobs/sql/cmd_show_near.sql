-- The jobs that one has to do with: its parent, its children, the others of its lane; some of each.
-- $1 bigint id
WITH me AS MATERIALIZED (
    SELECT lane, parent FROM q.job WHERE id = $1 UNION ALL SELECT lane, parent FROM q.dead WHERE id = $1
)
SELECT y.role, y.id, y.kind, y.state FROM (
    SELECT 'parent' AS role, 1 AS rank, p.id, p.kind, p.state
    FROM me, LATERAL (SELECT id, kind, state::text AS state FROM q.job WHERE id = me.parent
                      UNION ALL SELECT id, kind, 'dead' FROM q.dead WHERE id = me.parent
                      UNION ALL SELECT id, kind, outcome FROM q.done WHERE id = me.parent) p
    UNION ALL
    (SELECT 'child', 2, c.id, c.kind, c.state
     FROM (SELECT id, kind, state::text AS state FROM q.job WHERE parent = $1
           UNION ALL SELECT id, kind, 'dead' FROM q.dead WHERE parent = $1) c ORDER BY c.id LIMIT 20)
    UNION ALL
    SELECT 'lane', 3, h.id, h.kind, h.state::text FROM me JOIN q.job h ON h.lane = me.lane AND h.state <> 'blocked' WHERE h.id <> $1
    UNION ALL
    (SELECT 'lane', 3, b.id, b.kind, 'blocked' FROM me JOIN q.job b ON b.lane = me.lane AND b.state = 'blocked'
     WHERE b.id < $1 ORDER BY b.id DESC LIMIT 5)
    UNION ALL
    (SELECT 'lane', 3, b.id, b.kind, 'blocked' FROM me JOIN q.job b ON b.lane = me.lane AND b.state = 'blocked'
     WHERE b.id > $1 ORDER BY b.id LIMIT 5)
    UNION ALL
    (SELECT 'lane', 3, d.id, d.kind, 'dead' FROM me JOIN q.dead d ON d.lane = me.lane WHERE d.id <> $1 ORDER BY d.id DESC LIMIT 5)
) y ORDER BY y.rank, y.id
