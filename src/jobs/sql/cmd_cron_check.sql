-- Before a schedule is added: whether there is such a time zone, what it may have been meant to be, whether the name is taken.
-- $1 text time zone
-- $2 text name
SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = $1),
       (SELECT string_agg(z.name, ', ') FROM (
            SELECT name FROM pg_timezone_names
            WHERE name !~ '^(posix|right)/' AND strpos(lower(name), lower($1)) > 0 ORDER BY length(name), name LIMIT 3) z),
       EXISTS (SELECT FROM q.cron WHERE name = $2)
