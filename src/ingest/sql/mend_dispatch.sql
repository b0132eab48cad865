-- Makes the job of the events, should it be missing; one row: whether it did.
SELECT strava.mend_dispatch()
