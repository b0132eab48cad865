-- Fails WM002 if routes were listed since we read them; holds further listings off until we commit.
-- $1 bigint epoch
SELECT waymark_check_epoch($1)
