-- What a job of kind alert has to tell becomes a job for each destination; see alert.fan. One row if there is something to
-- tell: key, bad, title.
-- $1 jsonb payload
-- $2 text[] destinations
-- $3 bigint id of that job
SELECT about, is_bad, headline FROM alert.fan($1, $2, $3)
