"""The event log: what happened, in the transaction in which it happened. Append-only.

Every transaction that wrote events calls `NOTIFY events` when it commits. Who follows the whole log, or a customer's,
reads no further than `settled`: beyond it an older id may still be committed after a younger one.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from include.registry.database import execute, in_transaction, rows, value
from include.registry.kinds import EventKind

COLUMNS = "id, at, kind, migration, account, server, move, by, detail, customer"


@dataclass(frozen=True)
class Event:
    """Something that happened, as the event log keeps it.

    Subjects that it does not concern are None. `customer` is whose subjects they were then."""

    id: int
    at: datetime
    kind: str
    migration: int | None
    account: str | None
    server: str | None
    move: int | None
    by: str | None
    detail: dict[str, Any]
    customer: str | None


@in_transaction
def event(
    conn: psycopg.Connection,
    kind: EventKind,
    *,
    migration: int | None = None,
    account: str | None = None,
    server: str | None = None,
    move: int | None = None,
    by: str | None = None,
    detail: dict[str, Any] | None = None,
) -> int:
    """Write an event; its id."""
    id: int = value(
        conn,
        """
        INSERT INTO events (kind, migration, account, server, move, by, detail)
        VALUES (%(kind)s, %(migration)s, %(account)s, %(server)s, %(move)s, %(by)s, %(detail)s)
        RETURNING id
        """,
        {
            "kind": kind,
            "migration": migration,
            "account": account,
            "server": server,
            "move": move,
            "by": by,
            "detail": Jsonb(detail or {}),
        },
    )
    return id


@in_transaction
def list_events(
    conn: psycopg.Connection,
    migration_id: int | None = None,
    account: str | None = None,
    server: str | None = None,
    after: int = 0,
    limit: int = 1000,
) -> list[Event]:
    """Events with an id above `after`, oldest first, at most `limit`; of one subject or of all.

    Writers of one migration take turns, so following one migration by the last id seen misses nothing.
    """
    return rows(
        conn,
        Event,
        f"""
        SELECT {COLUMNS} FROM events
        WHERE id > %(after)s
            AND (%(migration)s::bigint IS NULL OR migration = %(migration)s)
            AND (%(account)s::text IS NULL OR account = %(account)s)
            AND (%(server)s::text IS NULL OR server = %(server)s)
        ORDER BY id LIMIT %(limit)s
        """,
        {"after": after, "migration": migration_id, "account": account, "server": server, "limit": limit},
    )


@in_transaction
def settled(conn: psycopg.Connection) -> int:
    """The id up to which the log is complete; 0 before the first event. Ask before the events are read, by a statement
    of its own."""
    id: int = value(conn, "SELECT events_settled()")
    return id


@in_transaction
def customers_events(conn: psycopg.Connection, customer: str | None, after: int = 0, limit: int = 1000) -> list[Event]:
    """Events of one customer (None: of all) with an id above `after`, oldest first, at most `limit`. Whoever goes on
    from the last one that they were given misses none and gets none twice. The writers that are under way hold back
    what is younger than theirs."""
    return rows(
        conn,
        Event,
        f"""
        SELECT {COLUMNS} FROM events
        WHERE id > %(after)s AND id <= %(settled)s AND (%(customer)s::text IS NULL OR customer = %(customer)s)
        ORDER BY id LIMIT %(limit)s
        """,
        {"after": after, "settled": settled(conn), "customer": customer, "limit": limit},
    )


@in_transaction
def unread(conn: psycopg.Connection, reader: str, limit: int = 1000) -> list[Event]:
    """The events behind the last one that `reader` has taken, oldest first; for a new reader, from the first. Two of
    one name take turns: the second waits until the first has committed, or given up, its `read_through`."""
    params = {"reader": reader}
    execute(conn, "INSERT INTO event_cursors VALUES (%(reader)s, 0) ON CONFLICT DO NOTHING", params)
    last = value(conn, "SELECT last_event FROM event_cursors WHERE name = %(reader)s FOR UPDATE", params)
    return customers_events(conn, None, last, limit)


@in_transaction
def read_through(conn: psycopg.Connection, reader: str, event_id: int) -> None:
    """Note that `reader` has taken every event up to this id; an earlier one than before lets it read them again."""
    execute(
        conn,
        """
        INSERT INTO event_cursors VALUES (%(reader)s, %(event)s)
        ON CONFLICT (name) DO UPDATE SET last_event = excluded.last_event
        """,
        {"reader": reader, "event": event_id},
    )
