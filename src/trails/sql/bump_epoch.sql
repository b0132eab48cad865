-- Before a route's activities are listed; waits for matches that are about to commit, and holds later ones off until we do.
SELECT waymark_bump_epoch()
