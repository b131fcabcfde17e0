-- A lease as billing sees it. The free days end at the wall-clock time of the hand-over, in the zone that was
-- in force then: what the customer was told stays true when the host changes its zone.
CREATE VIEW billing_leases AS
SELECT f.id, f.migration, f.server, f.transit, f.plan, f.handed_over_at, f.free_days, f.billed_until,
    (f.handed_over_at AT TIME ZONE z.zone)::date AS handed_over_on,
    (f.handed_over_at AT TIME ZONE z.zone + f.free_days * interval '1 day') AT TIME ZONE z.zone AS free_until
FROM (
    SELECT l.id, l.migration, l.server, l.transit, l.plan,
        coalesce(c.handed_over_at, l.handed_over_at) AS handed_over_at,
        coalesce(c.free_days, l.free_days) AS free_days,
        least(coalesce(c.last_account_left_at, l.last_account_left_at), l.ended_at) AS billed_until
    FROM leases l
    LEFT JOIN (
        SELECT lease,
            (array_agg(handed_over_at ORDER BY id DESC) FILTER (WHERE handed_over_at IS NOT NULL))[1]
                AS handed_over_at,
            (array_agg(last_account_left_at ORDER BY id DESC) FILTER (WHERE last_account_left_at IS NOT NULL))[1]
                AS last_account_left_at,
            (array_agg(free_days ORDER BY id DESC) FILTER (WHERE free_days IS NOT NULL))[1] AS free_days
        FROM lease_corrections GROUP BY lease
    ) c ON c.lease = l.id
) f
JOIN billing_zone_spans z ON f.handed_over_at >= z.begins AND f.handed_over_at < z.ends;
