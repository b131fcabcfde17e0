"""Moves: one account, out to the transit or home again, one at a time for a server."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from include.registry import states
from include.registry.accounts import account as account_named
from include.registry.database import Refused, column, execute, in_transaction, row, rows, value
from include.registry.events import event
from include.registry.migrations import locked, migration_of
from include.registry.servers import server as server_named

COLUMNS = """
    id, account, migration, original, from_server, to_server, direction, epoch, run_id, requested_by, state,
    state_since, began_at, committed_at, ended_at, figures
"""


@dataclass(frozen=True)
class Move:
    """A move. `direction` is out (to the transit) or home; `epoch` grows with every attempt; `figures` are
    what the agents reported."""

    id: int
    account: str
    migration: int
    original: str
    from_server: str
    to_server: str
    direction: str
    epoch: int
    run_id: str
    requested_by: str
    state: str
    state_since: datetime
    began_at: datetime
    committed_at: datetime | None
    ended_at: datetime | None
    figures: dict[str, Any]

    @property
    def key(self) -> str:
        """What hosts call this move."""
        return f"m{self.id}"


@in_transaction
def begin_move(conn: psycopg.Connection, account: str, to_server: str, run_id: str, requested_by: str) -> Move:
    """Begin an account's move; the same `run_id` gives the same row, and brings a returned one back to
    preparing with a new epoch. Refuses an unknown account or server, an account that is there already, a
    second move of the same server, a transit that is not handed over yet, a target that is not the
    migration's transit or home, and moving home before the original is reinstalled."""
    found = account_named(conn, account)
    same = row(conn, Move, f"SELECT {COLUMNS} FROM moves WHERE run_id = %(run)s", {"run": run_id})
    if same is not None:
        if (same.account, same.to_server) != (account, to_server):
            raise Refused(f"Run {run_id} moves {same.account} to {same.to_server}: give each move its own run.")
        return _again(conn, same) if same.state == states.RETURNED else same
    server_named(conn, to_server)
    live = migration_of(conn, found.home_server)
    if live is None:
        raise Refused(
            f"Server {found.home_server} of account {account} is not being migrated: begin its migration first."
        )
    locked(conn, live.id)
    execute(conn, "SELECT FROM accounts WHERE name = %(name)s FOR UPDATE", {"name": account})
    # Another caller with the same run may have been first while this one waited for the lock.
    same = row(conn, Move, f"SELECT {COLUMNS} FROM moves WHERE run_id = %(run)s", {"run": run_id})
    if same is not None:
        return begin_move(conn, account, to_server, run_id, requested_by)
    found = account_named(conn, account)
    id = value(
        conn,
        """
        INSERT INTO moves (account, migration, original, from_server, to_server, direction, epoch, run_id,
            requested_by, state)
        VALUES (%(account)s, %(migration)s, %(original)s, %(from)s, %(to)s, %(direction)s, %(epoch)s, %(run)s,
            %(by)s, 'preparing')
        RETURNING id
        """,
        {
            "account": account,
            "migration": live.id,
            "original": live.server,
            "from": found.server,
            "to": to_server,
            "direction": "home" if to_server == live.server else "out",
            "epoch": _next_epoch(conn, account),
            "run": run_id,
            "by": requested_by,
        },
    )
    begun = move(conn, id)
    _log(conn, begun, "move.began", {"to": to_server, "epoch": begun.epoch, "run_id": run_id}, requested_by)
    return begun


def _again(conn: psycopg.Connection, returned: Move) -> Move:
    locked(conn, returned.migration)
    execute(
        conn,
        """
        UPDATE moves SET state = 'preparing', epoch = %(epoch)s
        WHERE id = %(id)s AND state = 'returned'
        """,
        {"id": returned.id, "epoch": _next_epoch(conn, returned.account)},
    )
    begun = move(conn, returned.id)
    _log(conn, begun, "move.began", {"to": begun.to_server, "epoch": begun.epoch, "again": True})
    return begun


def _next_epoch(conn: psycopg.Connection, account: str) -> int:
    return value(
        conn,
        "UPDATE accounts SET epoch = epoch + 1 WHERE name = %(name)s RETURNING epoch",
        {"name": account},
    )


@in_transaction
def move(conn: psycopg.Connection, id: int) -> Move:
    """A move; refuses an unknown id."""
    found = row(conn, Move, f"SELECT {COLUMNS} FROM moves WHERE id = %(id)s", {"id": id})
    if found is None:
        raise Refused(f"There is no move {id}: check its id.")
    return found


@in_transaction
def moves_of(conn: psycopg.Connection, migration_id: int) -> list[Move]:
    """The moves of a migration, in both directions, oldest first."""
    return rows(
        conn,
        Move,
        f"SELECT {COLUMNS} FROM moves WHERE migration = %(migration)s ORDER BY id",
        {"migration": migration_id},
    )


@in_transaction
def live_move_of(conn: psycopg.Connection, account: str) -> Move | None:
    """The move that an account is in now; None when it is in none."""
    return row(
        conn,
        Move,
        f"SELECT {COLUMNS} FROM moves WHERE account = %(account)s AND state NOT IN ('done', 'returned')",
        {"account": account},
    )


@in_transaction
def advance_move(conn: psycopg.Connection, move_id: int, state: str, figures: dict[str, Any] | None = None) -> Move:
    """Bring a move to its next state: preparing, copying, switching, committed, done; or returned, before the
    commit only. Nothing happens when it is there already or past. `committed` makes the account live on the
    target in the same transaction. `figures` are merged into those already there."""
    before = move(conn, move_id)
    locked(conn, before.migration)
    before = move(conn, move_id)
    if states.MOVE.there_or_past(before.state, state):
        return before
    execute(
        conn,
        "UPDATE moves SET state = %(state)s, figures = figures || %(figures)s WHERE id = %(id)s",
        {"id": move_id, "state": state, "figures": Jsonb(figures or {})},
    )
    after = move(conn, move_id)
    _log(conn, after, f"move.{state}", figures)
    return after


@in_transaction
def begin_switch(conn: psycopg.Connection, move_id: int, after: str | None = None) -> None:
    """Record that the move's switch is about to be started; `after` is how the one before it ended."""
    found = move(conn, move_id)
    _log(conn, found, "move.switch", {"epoch": found.epoch, "after": after})


@in_transaction
def switches_of(conn: psycopg.Connection, move_id: int) -> list[str | None]:
    """The switches that were started in the move's present epoch; each tells how the one before it ended."""
    return column(
        conn,
        """
        SELECT e.detail ->> 'after' FROM events e JOIN moves m ON m.id = e.move
        WHERE m.id = %(id)s AND e.account = m.account AND e.kind = 'move.switch'
            AND (e.detail ->> 'epoch')::bigint = m.epoch
        ORDER BY e.id
        """,
        {"id": move_id},
    )


def _log(conn: psycopg.Connection, move: Move, kind: str, detail: dict[str, Any] | None, by: str | None = None) -> None:
    event(
        conn,
        kind,
        migration=move.migration,
        account=move.account,
        server=move.from_server,
        move=move.id,
        by=by,
        detail=detail,
    )
