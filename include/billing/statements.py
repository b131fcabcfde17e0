"""The set-based statements behind the ledger. Parameters: `first` and `last` day, both included."""

PAGE = 1000
"""Ledger entries that one message to the accounting system covers at most."""

# A lease-day is due when the day begins at or after the end of the free days, and is over when the last account
# leaves. Wants `calendar` and `prices` beside it.
DUE = """
    FROM billing_leases l
    JOIN calendar c ON c.begins >= l.free_until AND (l.billed_until IS NULL OR c.ends <= l.billed_until)
    JOIN prices p ON p.plan = l.plan AND p.day = c.day
"""

TELL = f"""
    INSERT INTO outbox (key, kind, payload)
    SELECT 'ledger-' || min(id) || '-' || max(id), 'ledger.entries',
        jsonb_build_object('first', min(id), 'last', max(id), 'entries', count(*))
    FROM entered GROUP BY id / {PAGE} ORDER BY min(id)
"""

BILL = f"""
WITH calendar AS MATERIALIZED (SELECT * FROM billing_calendar(%(first)s, %(last)s)),
prices AS MATERIALIZED (SELECT * FROM billing_prices(%(first)s, %(last)s)),
entered AS (
    INSERT INTO ledger_entries (lease, day, number, kind, amount, currency, monthly_price)
    SELECT l.id, c.day, 0, 'charge', p.amount, p.currency, p.monthly_price {DUE}
    ON CONFLICT (lease, day, number) DO NOTHING
    RETURNING id, day
),
told AS ({TELL})
INSERT INTO billing_days (day, charges)
SELECT c.day, coalesce(e.charges, 0)
FROM calendar c LEFT JOIN (SELECT day, count(*) AS charges FROM entered GROUP BY day) e USING (day)
RETURNING charges
"""

# What the leases in `changed` would have to be entered, so that each billed lease-day sums to what it costs.
DIFFERENCES = f"""
affected AS MATERIALIZED (
    SELECT lease FROM changed WHERE lease IS NOT NULL
    UNION
    SELECT l.id FROM leases l WHERE l.plan IN (SELECT plan FROM changed)
),
span AS MATERIALIZED (
    SELECT min(l.handed_over_on) AS first FROM billing_leases l JOIN affected a ON a.lease = l.id
),
calendar AS MATERIALIZED (SELECT d.* FROM span, billing_calendar(span.first, %(last)s) d),
prices AS MATERIALIZED (SELECT d.* FROM span, billing_prices(span.first, %(last)s) d),
due AS (SELECT l.id AS lease, c.day, p.currency, p.amount {DUE} JOIN affected a ON a.lease = l.id),
so_far AS MATERIALIZED (
    SELECT e.lease, e.day, e.currency, e.number, e.id, e.amount
    FROM ledger_entries e JOIN affected a ON a.lease = e.lease
),
entered_days AS (
    SELECT lease, day, max(number) AS last_number, min(id) FILTER (WHERE number = 0) AS charge
    FROM so_far GROUP BY lease, day
),
balance AS (SELECT lease, day, currency, sum(amount) AS amount FROM so_far GROUP BY lease, day, currency),
difference AS (
    SELECT lease, day, currency, coalesce(due.amount, 0) - coalesce(balance.amount, 0) AS amount
    FROM due FULL JOIN balance USING (lease, day, currency)
),
wanted AS (
    SELECT d.lease, d.day,
        coalesce(n.last_number + row_number() OVER (PARTITION BY d.lease, d.day ORDER BY d.currency), 0) AS number,
        CASE WHEN n.charge IS NULL THEN 'charge' ELSE 'correction' END AS kind,
        d.amount, d.currency, p.monthly_price,
        CASE
            WHEN n.charge IS NULL THEN 'became known after the day was billed'
            WHEN c.day IS NULL OR c.begins < l.free_until THEN 'the day was free: free until '
                || to_char(l.free_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC'
            WHEN c.ends > l.billed_until THEN 'the last account left '
                || to_char(l.billed_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC'
            WHEN p.monthly_price IS NULL THEN 'no price is in force on the day'
            ELSE 'the day costs ' || p.amount || ' ' || p.currency || ', at ' || p.monthly_price || ' a month'
        END AS reason,
        n.charge AS corrects
    FROM difference d
    JOIN billing_leases l ON l.id = d.lease
    LEFT JOIN entered_days n ON n.lease = d.lease AND n.day = d.day
    LEFT JOIN prices p ON p.plan = l.plan AND p.day = d.day
    LEFT JOIN calendar c ON c.day = d.day
    WHERE d.amount <> 0 OR n.charge IS NULL
)
"""

# The changes are deleted and read in one snapshot: what changes meanwhile stays noted for the next time.
SETTLE = f"""
WITH changed AS (DELETE FROM billing_changes RETURNING lease, plan),
{DIFFERENCES},
entered AS (
    INSERT INTO ledger_entries (lease, day, number, kind, amount, currency, monthly_price, reason, corrects)
    SELECT lease, day, number, kind, amount, currency, monthly_price, reason, corrects
    FROM wanted ORDER BY lease, day, number
    RETURNING id, kind, lease
),
told AS ({TELL})
SELECT (SELECT count(*) FROM affected) AS leases_looked_at, count(DISTINCT lease) AS leases_settled,
    count(*) FILTER (WHERE kind = 'charge') AS charges,
    count(*) FILTER (WHERE kind = 'correction') AS corrections
FROM entered
"""

WOULD_SETTLE = f"""
WITH changed AS (SELECT lease, plan FROM billing_changes),
{DIFFERENCES}
SELECT w.lease, l.server, s.customer, w.kind, min(w.day) AS first_day, max(w.day) AS last_day,
    count(DISTINCT w.day) AS days, sum(w.amount) AS amount, w.currency,
    string_agg(DISTINCT w.reason, '; ') AS why
FROM wanted w JOIN leases l ON l.id = w.lease JOIN servers s ON s.name = l.server
GROUP BY w.lease, l.server, s.customer, w.kind, w.currency ORDER BY w.lease, w.kind, w.currency
"""

# Every lease that is open on the days: also those that cost nothing, and why.
WOULD_BILL = f"""
WITH calendar AS MATERIALIZED (SELECT * FROM billing_calendar(%(first)s, %(last)s)),
prices AS MATERIALIZED (SELECT * FROM billing_prices(%(first)s, %(last)s)),
due AS (SELECT l.id, c.day, p.currency, p.amount, p.monthly_price {DUE}),
sums AS (
    SELECT id, currency, min(day) AS first_day, max(day) AS last_day, count(*) AS days, sum(amount) AS amount,
        min(monthly_price) AS lowest_price, max(monthly_price) AS highest_price
    FROM due GROUP BY id, currency
)
SELECT l.id AS lease, l.server, s.customer, CASE WHEN d.id IS NULL THEN 'nothing' ELSE 'charge' END AS kind,
    d.first_day, d.last_day, coalesce(d.days, 0) AS days, coalesce(d.amount, 0) AS amount, d.currency,
    concat_ws('; ',
        CASE WHEN d.id IS NULL OR d.first_day > %(first)s
            THEN 'free until ' || to_char(l.free_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC' END,
        CASE WHEN l.billed_until IS NOT NULL
            THEN 'last account left ' || to_char(l.billed_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC'
        END,
        CASE WHEN d.id IS NOT NULL THEN 'plan ' || l.plan || ' at '
            || concat_ws(' to ', d.lowest_price, nullif(d.highest_price, d.lowest_price)) || ' a month'
            WHEN l.plan = ANY (%(unpriced)s) THEN 'plan ' || l.plan || ' has no price' END
    ) AS why
FROM billing_leases l
JOIN servers s ON s.name = l.server
CROSS JOIN (SELECT min(begins) AS begins, max(ends) AS ends FROM calendar) span
LEFT JOIN sums d ON d.id = l.id
WHERE l.handed_over_at < span.ends AND (l.billed_until IS NULL OR l.billed_until >= span.begins)
ORDER BY l.id, d.currency
"""

UNPRICED = """
WITH calendar AS MATERIALIZED (SELECT * FROM billing_calendar(%(first)s, %(last)s)),
unpriced AS MATERIALIZED (
    SELECT s.name AS plan, c.begins, c.ends FROM plans s CROSS JOIN calendar c
    WHERE NOT EXISTS (SELECT FROM plan_prices q WHERE q.plan = s.name AND q.valid_from <= c.day)
)
SELECT DISTINCT l.plan FROM unpriced u JOIN billing_leases l ON l.plan = u.plan
WHERE u.begins >= l.free_until AND (l.billed_until IS NULL OR u.ends <= l.billed_until) ORDER BY 1
"""
