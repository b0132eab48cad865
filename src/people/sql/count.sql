-- Rows about an athlete, table by table.
-- $1 bigint athlete id
SELECT place, n FROM waymark_count_athlete($1)
