-- Claims jobs whose kinds spend a token of a rate each, as many as there are tokens; see q.take_rated. Rows as take.
-- $1 text queue
-- $2 integer how many
-- $3 bigint owner
-- $4 text[] kinds with that rate
-- $5 integer[] seconds one attempt may take, by kind
-- $6 text rate
SELECT * FROM q.take_rated($1, $2, $3, $4, $5, $6)
