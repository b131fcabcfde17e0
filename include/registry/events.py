"""The event log: what happened, in the transaction in which it happened. Append-only."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from include.registry.database import in_transaction, rows, value

COLUMNS = "id, at, kind, migration, account, server, move, by, detail"


@dataclass(frozen=True)
class Event:
    """One entry of the log; subjects that it does not concern are None."""

    id: int
    at: datetime
    kind: str
    migration: int | None
    account: str | None
    server: str | None
    move: int | None
    by: str | None
    detail: dict[str, Any]


@in_transaction
def event(
    conn: psycopg.Connection,
    kind: str,
    *,
    migration: int | None = None,
    account: str | None = None,
    server: str | None = None,
    move: int | None = None,
    by: str | None = None,
    detail: dict[str, Any] | None = None,
) -> int:
    """Write an event; its id. `kind` is lower-case words joined by '.' or '_', such as 'move.committed'."""
    return value(
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


@in_transaction
def events(
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
