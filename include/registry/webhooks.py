"""Events on their way to the host's own system, in the outbox."""

from collections.abc import Iterable, Mapping
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from include.registry.database import execute, in_transaction


@in_transaction
def enqueue(conn: psycopg.Connection, messages: Iterable[Mapping[str, Any]]) -> int:
    """Put messages into the outbox, each known by its event's `id`; gives how many. Can be repeated, and two at once
    put each in once."""
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO outbox (key, kind, payload) VALUES (%s, 'event', %s) ON CONFLICT (key) DO NOTHING",
            [(f"event-{message['id']}", Jsonb(dict(message))) for message in messages],
        )
        return max(cursor.rowcount, 0)


@in_transaction
def replay(conn: psycopg.Connection, after: int, customer: str | None = None) -> int:
    """Let every event of the outbox with an id above `after` be delivered once more (of one customer, or all); gives
    how many."""
    return execute(
        conn,
        """
        UPDATE outbox SET delivered_at = NULL, attempts = 0, next_attempt_at = now()
        WHERE kind = 'event' AND (payload ->> 'id')::bigint > %(after)s
            AND (%(customer)s::text IS NULL OR payload ->> 'customer' = %(customer)s)
        """,
        {"after": after, "customer": customer},
    )
