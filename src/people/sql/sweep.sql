-- What was written since by work that was under way.
-- $1 bigint athlete id
SELECT place, erased, remaining FROM waymark_erase_athlete($1)
