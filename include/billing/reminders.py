"""What a customer is told of the free days: on the days before their end that the settings name, and at the first
charge. Each once per lease, by constraint, and through the outbox."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import psycopg

from include.billing.calendar import date_of, instant_or_now
from include.registry.database import execute, in_transaction, value

_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

# Days are counted in dates, so a daily run early in the day is never late. A reminder whose day has passed
# (nothing ran, or the hand-over became known late) is not sent belatedly: the next one says more.
REMIND = """
WITH open AS MATERIALIZED (
    SELECT l.id, l.handed_over_on + l.free_days AS last_free_day, l.handed_over_on, l.billed_until,
        (SELECT sum(e.amount) FROM ledger_entries e WHERE e.lease = l.id) AS charged
    FROM billing_leases l LEFT JOIN lease_reminders r ON r.lease = l.id AND r.kind = 'first_charge'
    WHERE r.lease IS NULL AND (l.billed_until IS NULL OR l.billed_until > l.free_until)
        AND l.handed_over_on + l.free_days - %(most)s <= %(today)s
),
wanted AS (
    SELECT o.id AS lease, k.kind
    FROM open o
    JOIN unnest(%(kinds)s::text[], %(days)s::integer[]) k (kind, days)
        ON %(today)s = o.last_free_day - k.days OR k.days = 0 AND %(today)s > o.last_free_day
    LEFT JOIN lease_reminders r ON r.lease = o.id AND r.kind = k.kind
    WHERE o.billed_until IS NULL AND o.charged IS NULL AND %(today)s >= o.handed_over_on AND r.lease IS NULL
    UNION ALL
    SELECT id, 'first_charge' FROM open WHERE charged > 0
),
noted AS (
    INSERT INTO lease_reminders (lease, kind) SELECT lease, kind FROM wanted
    ON CONFLICT DO NOTHING RETURNING lease, kind
),
told AS (
    INSERT INTO outbox (key, kind, payload)
    SELECT 'reminder-' || n.lease || '-' || n.kind, 'lease.reminder',
        jsonb_build_object(
            'lease', n.lease, 'reminder', n.kind, 'server', l.server, 'customer', s.customer,
            'transit', l.transit, 'handed_over_at', l.handed_over_at, 'free_until', l.free_until,
            'accounts_left', (
                SELECT count(*) FROM accounts a WHERE a.server = l.server AND a.removed_at IS NULL
            )
        )
    FROM noted n JOIN billing_leases l ON l.id = n.lease JOIN servers s ON s.name = l.server
    ORDER BY n.lease
    RETURNING 1
)
SELECT count(*) FROM told
"""


@in_transaction
def send_reminders(conn: psycopg.Connection, days_before: Sequence[int], now: datetime | None = None) -> int:
    """Put the reminders that are due into the outbox, so many days before the end of the free days each; gives how
    many. Can be repeated."""
    execute(conn, "SET LOCAL jit = off")  # compiling takes longer than running
    days = list(days_before)
    due = {"kinds": [reminder_of(number) for number in days], "days": days, "most": max(days, default=0)}
    sent: int = value(conn, REMIND, {"today": date_of(conn, instant_or_now(conn, now)), **due})
    return sent


def reminder_of(days: int) -> str:
    """What the reminder is called that comes so many days before the end of the free days."""
    if days == 0:
        return "free_days_over"
    number = _NUMBERS[days - 1] if days <= len(_NUMBERS) else str(days)
    return f"{number}_day{'s' if days > 1 else ''}_left"
