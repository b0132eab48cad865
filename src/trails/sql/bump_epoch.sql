-- Before a route's activities are listed; waits for matches that are about to commit.
UPDATE route_epoch SET epoch = epoch + 1 RETURNING epoch
