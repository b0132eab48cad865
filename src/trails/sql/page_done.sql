-- What is left of a page after these activities: a shorter page with a job of its own, or no page.
-- $1 text route id
-- $2 integer page
-- $3 bigint revision of the route
-- $4 bigint[] activities done
SELECT waymark_page_done($1, $2, $3, $4)
