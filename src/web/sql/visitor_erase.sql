-- Everything of an athlete goes; rows that went, and that are left: none.
-- $1 bigint athlete id
SELECT coalesce(sum(erased), 0)::bigint, coalesce(sum(remaining), 0)::bigint FROM waymark_erase_athlete($1)
