-- What one day costs, for every plan: the rounded sum of the month's shares up to the day, less the rounded sum
-- up to the day before. Only plan prices and the date go in.
-- The SET keeps it from being inlined, so that its ROWS, and not generate_series' thousand, goes into plans.
CREATE OR REPLACE FUNCTION billing_prices(first date, last date)
RETURNS TABLE (plan text, day date, monthly_price numeric, currency text, amount numeric)
LANGUAGE sql STABLE ROWS 80 SET jit = off AS $$
    SELECT m.plan, m.day, m.monthly_price, m.currency,
        billing_share(m.total, m.month_days, m.minor_digits)
        - billing_share(m.total - m.monthly_price, m.month_days, m.minor_digits)
    FROM (
        SELECT s.name AS plan, d.day, p.monthly_price, p.currency, c.minor_digits,
            extract(day FROM date_trunc('month', d.day) + interval '1 month - 1 day')::integer AS month_days,
            sum(p.monthly_price) OVER (
                PARTITION BY s.name, p.currency, date_trunc('month', d.day) ORDER BY d.day
            ) AS total
        FROM (
            SELECT date_trunc('month', first)::date + i AS day
            FROM generate_series(0, last - date_trunc('month', first)::date) i
        ) d
        CROSS JOIN plans s
        CROSS JOIN LATERAL (
            SELECT q.monthly_price, q.currency FROM plan_prices q
            WHERE q.plan = s.name AND q.valid_from <= d.day ORDER BY q.valid_from DESC LIMIT 1
        ) p
        JOIN currencies c ON c.code = p.currency
    ) m
    WHERE m.day >= first
$$;
