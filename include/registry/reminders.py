"""What customers are told of mandatory entries of the catalogue: at the opening, on the days before the deadline
that the settings name, and at the deadline. Each once for each account, by constraint, and through the outbox: by
webhook to the host's own system, and by mail where the customer's address is known."""

from collections.abc import Sequence
from datetime import date

import psycopg

from include.registry.database import execute, in_transaction, value

# A reminder whose days have passed (nothing ran, or the account is new) is not sent belatedly: the next one says more.
REMIND = """
WITH due AS (
    SELECT name AS entry, title, kind AS entry_kind, from_version, to_version, opens, deadline, CASE
        WHEN %(on)s >= deadline THEN 'end'
        WHEN days_left IS NOT NULL THEN days_left || CASE days_left WHEN 1 THEN '_day' ELSE '_days' END
        WHEN %(on)s >= opens THEN 'opening'
        END AS kind
    FROM catalogue CROSS JOIN LATERAL (
        SELECT min(days) FROM unnest(%(days)s::integer[]) days WHERE %(on)s >= deadline - days
    ) AS reached (days_left)
    WHERE mandatory AND (opens IS NULL OR %(on)s >= opens)
),
wanted AS (
    SELECT d.*, a.name AS account, a.server, coalesce(h.customer, a.customer) AS customer
    FROM due d
        CROSS JOIN accounts a
        JOIN servers h ON h.name = a.home_server
        LEFT JOIN account_engines e ON e.account = a.name AND e.engine = d.entry_kind
        JOIN servers s ON s.name = coalesce(e.server, a.server)
    WHERE d.kind IS NOT NULL AND a.removed_at IS NULL
        AND version_of(s.infrastructure, s.versions, d.entry_kind) = d.from_version
),
noted AS (
    INSERT INTO entry_reminders (entry, account, kind) SELECT entry, account, kind FROM wanted
    ON CONFLICT DO NOTHING RETURNING entry, account, kind
),
told AS (
    INSERT INTO outbox (key, channel, kind, payload)
    SELECT concat_ws('-', 'entry', w.entry, w.account, w.kind, nullif(c.channel, 'webhook')), c.channel,
        'entry.reminder',
        jsonb_build_object(
            'entry', w.entry, 'title', w.title, 'reminder', w.kind, 'account', w.account, 'server', w.server,
            'customer', w.customer, 'from', w.from_version, 'to', w.to_version, 'opens', w.opens,
            'deadline', w.deadline
        ) || CASE c.channel WHEN 'mail' THEN jsonb_build_object('to', m.mail) ELSE '{}' END
    FROM noted n JOIN wanted w USING (entry, account, kind)
        LEFT JOIN customers m ON m.name = w.customer
        CROSS JOIN (VALUES ('webhook'), ('mail')) c (channel)
    WHERE c.channel = 'webhook' OR m.mail IS NOT NULL
    ORDER BY w.entry, w.account
)
SELECT count(*) FROM noted
"""


@in_transaction
def remind(conn: psycopg.Connection, on: date, days_before: Sequence[int]) -> int:
    """Put the reminders that are due on a day into the outbox, so many days before the deadline each; gives for how
    many accounts. Can be repeated."""
    execute(conn, "SET LOCAL jit = off")  # compiling takes longer than running
    count: int = value(conn, REMIND, {"on": on, "days": list(days_before)})
    return count
