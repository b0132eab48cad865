-- These activities have been matched against the routes of this epoch.
-- $1 bigint[] activity ids
-- $2 bigint[] revisions
-- $3 text[] notes
-- $4 bigint epoch
INSERT INTO activity_state (activity_id, revision, epoch, note)
SELECT a.id, a.revision, $4, u.note
FROM unnest($1, $2, $3) u(id, revision, note) JOIN activities a ON a.id = u.id AND a.revision = u.revision
ORDER BY a.id
ON CONFLICT (activity_id) DO UPDATE SET revision = excluded.revision, epoch = excluded.epoch, note = excluded.note, matched_at = now()
