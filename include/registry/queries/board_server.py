"""What the board's page of one server shows. Nothing here changes anything."""

from dataclasses import dataclass
from datetime import datetime

import psycopg

from include.registry.database import in_transaction, row, rows
from include.registry.events import COLUMNS as EVENT_COLUMNS
from include.registry.events import Event
from include.registry.migrations import COLUMNS as MIGRATION_COLUMNS
from include.registry.migrations import Migration
from include.registry.moves import COLUMNS as MOVE_COLUMNS
from include.registry.moves import Move


@dataclass(frozen=True)
class ServersMigration(Migration):
    """The newest migration of a server, or the one that a transit serves, with its lease."""

    lift_gate_because: str | None
    handed_over_at: datetime | None
    free_until: datetime | None
    billed_until: datetime | None


@in_transaction
def newest_migration(conn: psycopg.Connection, server: str) -> ServersMigration | None:
    """The server's newest migration, whether it is over or not; None when it never had one."""
    return row(
        conn,
        ServersMigration,
        f"""
        SELECT m.*, l.handed_over_at, l.free_until, l.billed_until
        FROM (SELECT {MIGRATION_COLUMNS}, lift_gate_because FROM migrations) m
            LEFT JOIN billing_leases l ON l.migration = m.id
        WHERE m.server = %(server)s OR m.transit = %(server)s ORDER BY m.id DESC LIMIT 1
        """,
        {"server": server},
    )


@dataclass(frozen=True)
class Lived:
    """An account that belongs to a server, or lives there, and its newest test: `test_state` says whether the copy is
    there, `blockers` and `warnings` are those of the newest report."""

    name: str
    server: str
    home_server: str
    customer: str | None
    domains: list[str]
    test_state: str | None
    test_names: dict[str, str] | None
    expires_at: datetime | None
    reported: int | None
    tested_at: datetime | None
    blockers: int | None
    warnings: int | None


@in_transaction
def lived(conn: psycopg.Connection, server: str) -> list[Lived]:
    """The accounts that belong to the server or live on it, by name, each with its newest test."""
    return rows(
        conn,
        Lived,
        """
        SELECT a.name, a.server, a.home_server, a.customer, a.domains, t.state AS test_state, t.names AS test_names,
            t.expires_at, r.id AS reported, r.tested_at, r.blockers, r.warnings
        FROM accounts a
            LEFT JOIN LATERAL (SELECT * FROM tests WHERE account = a.name ORDER BY id DESC LIMIT 1) t ON true
            LEFT JOIN LATERAL (
                SELECT * FROM tests WHERE account = a.name AND tested_at IS NOT NULL
                ORDER BY tested_at DESC, id DESC LIMIT 1
            ) r ON true
        WHERE (a.home_server = %(server)s OR a.server = %(server)s) AND a.removed_at IS NULL ORDER BY a.name
        """,
        {"server": server},
    )


@in_transaction
def moves_on(conn: psycopg.Connection, server: str, migration: int | None) -> list[Move]:
    """The moves of a migration, and those by which accounts left the server, or came to it, for good; oldest first,
    the newest thousand."""
    newest = rows(
        conn,
        Move.of_row,
        f"""
        SELECT {MOVE_COLUMNS} FROM moves
        WHERE migration = %(migration)s OR direction = 'over' AND %(server)s IN (from_server, to_server)
        ORDER BY id DESC LIMIT 1000
        """,
        {"migration": migration, "server": server},
    )
    return newest[::-1]


@in_transaction
def told(conn: psycopg.Connection, migration: int | None, moves: list[int], kinds: list[str]) -> list[Event]:
    """The events of these kinds that are of the migration or of one of the moves, oldest first."""
    return rows(
        conn,
        Event,
        f"""
        SELECT {EVENT_COLUMNS} FROM events
        WHERE kind = ANY(%(kinds)s) AND (migration = %(migration)s OR migration IS NULL AND account IN (
                SELECT account FROM moves WHERE id = ANY(%(moves)s)
            ) AND move = ANY(%(moves)s))
        ORDER BY id
        """,
        {"migration": migration, "moves": moves, "kinds": kinds},
    )
