-- From when until when each zone is in force.
CREATE VIEW billing_zone_spans AS
SELECT zone,
    CASE WHEN lag(zone) OVER w IS NULL THEN '-infinity' ELSE billing_day_begins(valid_from, zone) END AS begins,
    coalesce(lead(billing_day_begins(valid_from, zone)) OVER w, 'infinity') AS ends
FROM billing_time_zones
WINDOW w AS (ORDER BY valid_from);
