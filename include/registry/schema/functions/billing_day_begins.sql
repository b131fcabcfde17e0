-- The first instant of a date in a zone. Where midnight comes twice PostgreSQL takes the second; where clocks
-- skip it, the first instant after the gap is meant, which PostgreSQL gives.
CREATE OR REPLACE FUNCTION billing_day_begins(day date, zone text) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN earlier AT TIME ZONE zone = day::timestamp THEN least(earlier, late) ELSE late END
    FROM (SELECT day::timestamp AT TIME ZONE zone AS late) l
    CROSS JOIN LATERAL (SELECT late - interval '6 hours' AS before) b
    CROSS JOIN LATERAL (
        SELECT day::timestamp AT TIME ZONE 'UTC'
            - (before AT TIME ZONE zone - before AT TIME ZONE 'UTC') AS earlier
    ) e
$$;
