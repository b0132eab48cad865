-- Fails WM002 if events wait, or are about to; in the transaction that ends the job.
SELECT strava.dispatch_end()
