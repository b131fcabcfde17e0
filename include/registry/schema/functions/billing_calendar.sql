-- The days from `first` through `last`: each begins where the one before ends, also where the zone changes.
-- The SET keeps it from being inlined, so that its ROWS, and not generate_series' thousand, goes into plans.
CREATE OR REPLACE FUNCTION billing_calendar(first date, last date)
RETURNS TABLE (day date, begins timestamptz, ends timestamptz) LANGUAGE sql STABLE ROWS 8 SET jit = off AS $$
    SELECT t.day, t.begins, t.ends
    FROM (
        SELECT d.day, billing_day_begins(d.day, z.zone) AS begins,
            lead(billing_day_begins(d.day, z.zone)) OVER (ORDER BY d.day) AS ends
        FROM (SELECT first + i AS day FROM generate_series(0, last - first + 1) i) d
        CROSS JOIN LATERAL (
            SELECT zone FROM billing_time_zones WHERE valid_from <= d.day ORDER BY valid_from DESC LIMIT 1
        ) z
    ) t
    WHERE t.day <= last
$$;
