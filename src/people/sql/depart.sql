-- Everything of an athlete is taken away: table by table, how many rows there were and how many are left.
-- $1 bigint athlete id
-- $2 text who does it
-- $3 boolean the operator is told
SELECT place, erased, remaining FROM waymark_depart($1, $2, $3)
