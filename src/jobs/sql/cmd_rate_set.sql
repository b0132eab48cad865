-- A rate with these caps; what was used of its windows stays used. The answer: whether it is new.
-- $1 text name
-- $2 integer a quarter of an hour
-- $3 integer a day
-- $4 float8 share kept for live work; NULL: as it is, 0.3 for a new one
-- $5 text who
-- $6 jsonb filter, for the audit
WITH new AS (
    INSERT INTO q.rate AS r (name, cap15, capday, reserve) VALUES ($1, $2, $3, coalesce($4::float8, 0.3))
    ON CONFLICT (name) DO UPDATE SET cap15 = $2, capday = $3, reserve = coalesce($4::float8, r.reserve)
    RETURNING xmax = 0 AS is_new
), said AS (
    INSERT INTO q.audit (who, command, filter, jobs) VALUES ($5, 'jobs rates set', $6, 0)
)
SELECT is_new FROM new
