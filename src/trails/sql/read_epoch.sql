-- The epoch of the routes; see route_epoch.
SELECT epoch FROM route_epoch
