"""Back from a transit that died: the accounts that lived on it serve again from what the original had."""

from dataclasses import dataclass
from datetime import datetime

import psycopg

from include.registry.accounts import next_epoch
from include.registry.database import RegistryRefused, execute, in_transaction, rows, value
from include.registry.events import event
from include.registry.kinds import EventKind
from include.registry.migrations import advance, locked, migration_of
from include.registry.moves import advance_move, moves_of
from include.registry.states import MigrationState, MoveState

ON_ORIGINAL = (
    MigrationState.HANDED_OVER,
    MigrationState.ACCOUNTS_MOVED,
    MigrationState.REROUTED,
    MigrationState.ORIGINAL_EMPTY,
)
"""While a migration is in one of these its original still has everything; the accounts serve from there again."""

IN_TRANSITS_PLACE = (MigrationState.REINSTALLING, MigrationState.REINSTALLED)
"""In these the original's kept disk has everything; it is started in the transit's place, and accounts go on home."""


@dataclass(frozen=True)
class Lost:
    """What one account loses when it is taken back: everything that was written since it left. `left_at` is None for an
    account that was made on the transit: it is nowhere else."""

    account: str
    left_at: datetime | None


@in_transaction
def may_take_back(conn: psycopg.Connection, server: str) -> int:
    """The migration whose accounts can be taken back from its transit; refuses where none live there."""
    migration = migration_of(conn, server)
    if migration is None or migration.server != server or migration.state not in (*ON_ORIGINAL, *IN_TRANSITS_PLACE):
        raise RegistryRefused(f"Server {server} has no accounts on a transit now: there is nothing to take back.")
    if not lost(conn, migration.id):
        raise RegistryRefused(f"No account of {server} lives on its transit: there is nothing to take back.")
    return migration.id


@in_transaction
def lost(conn: psycopg.Connection, migration: int) -> list[Lost]:
    """The accounts that live on the migration's transit, and since when: what was written since is on it alone."""
    return rows(
        conn,
        Lost,
        """
        SELECT a.name AS account, (
            SELECT max(committed_at) FROM moves m
            WHERE m.account = a.name AND m.migration = g.id AND m.direction = 'out'
        ) AS left_at
        FROM migrations g JOIN accounts a ON a.server = g.transit AND a.removed_at IS NULL
        WHERE g.id = %(id)s ORDER BY a.name
        """,
        {"id": migration},
    )


@in_transaction
def taken_back(conn: psycopg.Connection, migration: int) -> dict[str, int] | None:
    """The accounts that are being taken back, each with its new epoch; None before somebody has said so."""
    epochs: dict[str, int] | None = value(
        conn,
        "SELECT detail -> 'epochs' FROM events WHERE migration = %(id)s AND kind = %(kind)s ORDER BY id LIMIT 1",
        {"id": migration, "kind": EventKind.TAKE_BACK_BEGAN},
    )
    return epochs


@in_transaction
def begin_take_back(conn: psycopg.Connection, migration: int, because: str, by: str) -> dict[str, int]:
    """Record that the transit is given up, and why; every account that lives on it gets a new epoch, which fences it.
    Gives {account: epoch}. Can be repeated."""
    record = locked(conn, migration)
    before = taken_back(conn, migration)
    if before is not None:
        return before
    may_take_back(conn, record.server)
    for move in moves_of(conn, migration):
        # The transit was a side of each, and can say no more.
        if move.state not in (MoveState.COMMITTED, MoveState.DONE, MoveState.RETURNED):
            advance_move(conn, move.id, MoveState.RETURNED)
        elif move.state == MoveState.COMMITTED:
            advance_move(conn, move.id, MoveState.DONE)
    epochs = {loss.account: next_epoch(conn, loss.account) for loss in lost(conn, migration) if loss.left_at}
    execute(
        conn,
        "UPDATE migrations SET taken_back_because = %(because)s WHERE id = %(id)s",
        {"id": migration, "because": because},
    )
    event(
        conn,
        EventKind.TAKE_BACK_BEGAN,
        migration=migration,
        server=record.server,
        by=by,
        detail={"because": because, "transit": record.transit, "epochs": epochs},
    )
    return epochs


@in_transaction
def kept_disk_started(conn: psycopg.Connection, migration: int, host_key: str) -> None:
    """Record that the original's kept disk runs in the transit's place: what is there shows that disk's key, and runs
    what the original ran."""
    record = locked(conn, migration)
    execute(
        conn,
        "UPDATE servers SET host_key = %(key)s, infrastructure = %(infrastructure)s WHERE name = %(transit)s",
        {"key": host_key, "infrastructure": record.from_infrastructure, "transit": record.transit},
    )
    event(
        conn,
        EventKind.TAKE_BACK_DISK_STARTED,
        migration=migration,
        server=record.transit,
        detail={"disk": record.disk_kept},
    )


@in_transaction
def kept_disk_runs(conn: psycopg.Connection, migration: int) -> bool:
    """Whether the original's kept disk is what stands in the transit's place."""
    return _happened(conn, migration, EventKind.TAKE_BACK_DISK_STARTED)


def _happened(conn: psycopg.Connection, migration: int, kind: EventKind) -> bool:
    happened: bool = value(
        conn,
        "SELECT EXISTS (SELECT FROM events WHERE migration = %(id)s AND kind = %(kind)s)",
        {"id": migration, "kind": kind},
    )
    return happened


@in_transaction
def serves_again(conn: psycopg.Connection, migration: int, account: str) -> None:
    """Record that an account serves from the original again; only while its server is being taken back."""
    record = locked(conn, migration)
    changed = execute(
        conn,
        "UPDATE accounts SET server = %(home)s WHERE name = %(name)s AND server <> %(home)s",
        {"home": record.server, "name": account},
    )
    if changed:
        event(conn, EventKind.ACCOUNT_TAKEN_BACK, migration=migration, account=account, server=record.server)


@in_transaction
def end_take_back(conn: psycopg.Connection, migration: int, by: str) -> None:
    """Record that nothing is left to do. Where the original serves again its migration is given up: its transit goes
    back to the pool once it was looked at; else the accounts go on home from the disk in the transit's place."""
    record = locked(conn, migration)
    if _happened(conn, migration, EventKind.TAKE_BACK_ENDED):
        return
    event(conn, EventKind.TAKE_BACK_ENDED, migration=migration, server=record.server, by=by)
    if record.state in ON_ORIGINAL:
        advance(conn, migration, MigrationState.FAILED, {"reason": record.taken_back_because}, by)
