-- The other side's clock counts, also where ours had run ahead; and what is not used of a rate is given back.

SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true); -- as in 0003

-- As in 0006. Further: a clock that was set ahead opened a window that had not begun, and would not hear what is said of the
-- one that goes on, which would be used up a second time. An answer tells which it is: back to that one, with what it says.
CREATE OR REPLACE FUNCTION q.rate_learn(of_name text, say_cap15 integer, say_capday integer, say_used15 integer, say_usedday integer,
                                        server_time timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    r q.rate;
    e float8;
BEGIN
    -- Only whole seconds are said: less than that is no difference.
    UPDATE q.rate SET offset_s = extract(epoch FROM server_time - clock_timestamp())
    WHERE name = of_name AND abs(extract(epoch FROM server_time - clock_timestamp()) - offset_s) > 1.5;
    r := q.rate_roll(of_name);
    IF r.name IS NULL THEN
        RETURN;
    END IF;
    IF server_time IS NOT NULL THEN
        e := extract(epoch FROM clock_timestamp()) + r.offset_s;
        r.win15 := least(r.win15, floor(e / 900));
        r.winday := least(r.winday, floor(e / 86400));
    END IF;
    UPDATE q.rate SET win15 = r.win15, winday = r.winday,
        -- A limit of none would be the last thing we ever asked and heard: it is not believed.
        cap15 = CASE WHEN say_cap15 > 0 THEN say_cap15 ELSE r.cap15 END,
        capday = CASE WHEN say_capday > 0 THEN say_capday ELSE r.capday END,
        -- An answer from the last window says nothing about this one.
        used15 = CASE WHEN server_time IS NULL OR floor(extract(epoch FROM server_time) / 900) = r.win15
                      THEN greatest(r.used15, say_used15) ELSE r.used15 END,
        usedday = CASE WHEN server_time IS NULL OR floor(extract(epoch FROM server_time) / 86400) = r.winday
                       THEN greatest(r.usedday, say_usedday) ELSE r.usedday END,
        learnt_at = clock_timestamp()
    WHERE name = of_name;
END $$;

-- Tokens that were taken and not used. Not in a window's first minute: they may have been taken from the one before.
CREATE FUNCTION q.rate_give(of_name text, many integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    r q.rate := q.rate_roll(of_name);
    e float8 := extract(epoch FROM clock_timestamp()) + r.offset_s;
BEGIN
    UPDATE q.rate SET used15 = CASE WHEN win15 = r.win15 AND e - floor(e / 900) * 900 > 60 THEN greatest(0, used15 - many) ELSE used15 END,
        usedday = CASE WHEN winday = r.winday AND e - floor(e / 86400) * 86400 > 60 THEN greatest(0, usedday - many) ELSE usedday END
    WHERE name = of_name;
END $$;
