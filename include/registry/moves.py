"""Moves: one account, out to the transit or home again, one at a time for a server; or, from a shared server, over to
another one for good, whole or one engine's databases of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from include.registry import choice, states
from include.registry.accounts import account as account_named
from include.registry.accounts import next_epoch
from include.registry.catalogue import Entry, catalogue_entry
from include.registry.database import RegistryRefused, column, execute, in_transaction, row, rows, value
from include.registry.events import event
from include.registry.figures import Figures, read_figures
from include.registry.kinds import INFRASTRUCTURE, Direction, EventKind, ServerKind
from include.registry.migrations import locked, migration_of
from include.registry.servers import server as server_named
from include.registry.states import MoveState

MAX_MOVES_PER_SERVER = 2
"""Of how many over moves a server may be the source or the target at a time; the schema's `most_moves_a_server`."""

COLUMNS = """
    id, key, account, migration, entry, engine, original, from_server, to_server, direction, epoch, run_id,
    requested_by, state, state_since, began_at, committed_at, ended_at, figures,
    (SELECT login FROM accounts WHERE name = account) AS login
"""


@dataclass(frozen=True)
class Move:
    """One account, or its databases of one engine, on its way to another server.

    `direction` is out (to the transit), home, or over (to another server for good). Those out and home are of a
    migration, one over of a catalogue entry; `engine` says that only its databases move. `original` is the server that
    the account leaves. `key` is what hosts call it, as `login` is what they call the account; `epoch` grows with every
    attempt; `figures` are what the agents reported."""

    id: int
    key: str
    account: str
    migration: int | None
    entry: str | None
    engine: str | None
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
    figures: Figures
    login: str

    @classmethod
    def of_row(cls, figures: dict[str, Any], **columns: Any) -> Move:
        return cls(figures=read_figures(figures), **columns)


@in_transaction
def begin_move(conn: psycopg.Connection, account: str, to_server: str, run_id: str, requested_by: str) -> Move:
    """Begin an account's move; the same `run_id` gives the same row, and brings a returned one back to
    preparing with a new epoch. Refuses an unknown account or server, an account that is there already, a
    second move of the same server, a transit that is not handed over yet, a target that is not the
    migration's transit or home, and moving home before the original is reinstalled."""
    record = account_named(conn, account)
    same = row(conn, Move.of_row, f"SELECT {COLUMNS} FROM moves WHERE run_id = %(run)s", {"run": run_id})
    if same is not None:
        if (same.account, same.to_server) != (account, to_server):
            raise RegistryRefused(f"Run {run_id} moves {same.account} to {same.to_server}: give each move its own run.")
        return _again(conn, same) if same.state == MoveState.RETURNED else same
    server_named(conn, to_server)
    live = migration_of(conn, record.home_server)
    if live is None:
        raise RegistryRefused(
            f"Server {record.home_server} of account {account} is not being migrated: begin its migration first."
        )
    locked(conn, live.id)
    execute(conn, "SELECT FROM accounts WHERE name = %(name)s FOR UPDATE", {"name": account})
    # Another caller with the same run may have been first while this one waited for the lock.
    same = row(conn, Move.of_row, f"SELECT {COLUMNS} FROM moves WHERE run_id = %(run)s", {"run": run_id})
    if same is not None:
        return begin_move(conn, account, to_server, run_id, requested_by)
    record = account_named(conn, account)
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
            "from": record.server,
            "to": to_server,
            "direction": Direction.HOME if to_server == live.server else Direction.OUT,
            "epoch": next_epoch(conn, account),
            "run": run_id,
            "by": requested_by,
        },
    )
    begun = move(conn, id)
    _log(conn, begun, EventKind.MOVE_BEGAN, {"to": to_server, "epoch": begun.epoch, "run_id": run_id}, requested_by)
    return begun


@in_transaction
def begin_over(
    conn: psycopg.Connection,
    account: str,
    entry: str,
    run_id: str,
    requested_by: str,
    to_server: str | None = None,
    lift_gate_because: str | None = None,
) -> Move:
    """Begin the move of a shared account through a catalogue entry: to a server of the new version for good, or, when
    the entry is an engine's, of that engine's databases to a database server. `to_server` is chosen unless it is given:
    see `choice`. The same `run_id` gives the same row, and brings a returned one back to preparing with a new epoch.

    Refuses an unknown account or entry, an account that is not on a shared server, does not run what the entry starts
    from, is being moved or copied, was not tested for it or has blockers (unless the gate is lifted, with a reason),
    and when no server of the new version has room; with `Busy` when one of the two takes no further move at present
    (`MAX_MOVES_PER_SERVER`)."""
    execute(conn, "SELECT FROM accounts WHERE name = %(name)s FOR UPDATE", {"name": account})
    account_named(conn, account)
    wanted = catalogue_entry(conn, entry)
    same = row(conn, Move.of_row, f"SELECT {COLUMNS} FROM moves WHERE run_id = %(run)s", {"run": run_id})
    if same is not None:
        if (same.account, same.entry) != (account, entry) or to_server not in (None, same.to_server):
            raise RegistryRefused(f"Run {run_id} moves {same.account} to {same.to_server}: give each move its own run.")
        return _again(conn, same) if same.state == MoveState.RETURNED else same
    record = account_named(conn, account)
    value(
        conn,
        "SELECT check_leaves(%(account)s, %(entry)s, %(lifted)s)",
        {"account": account, "entry": entry, "lifted": lift_gate_because},
    )
    why_not = column(conn, "SELECT untested(ARRAY[%(account)s], %(entry)s)", {"account": account, "entry": entry})
    id = value(
        conn,
        """
        INSERT INTO moves (account, entry, engine, original, from_server, to_server, direction, epoch, run_id,
            requested_by, state, lift_gate_because)
        VALUES (%(account)s, %(entry)s, nullif(%(kind)s, 'infrastructure'), %(from)s, %(from)s, %(to)s, 'over',
            %(epoch)s, %(run)s, %(by)s, 'preparing', %(lifted)s)
        RETURNING id
        """,
        {
            "account": account,
            "entry": entry,
            "kind": wanted.kind,
            "from": record.server,
            "to": _target(conn, wanted, account, record.server, to_server),
            "epoch": next_epoch(conn, account),
            "run": run_id,
            "by": requested_by,
            "lifted": lift_gate_because,
        },
    )
    begun = move(conn, id)
    detail = {"to": begun.to_server, "epoch": begun.epoch, "run_id": run_id, "entry": entry, "engine": begun.engine}
    _log(conn, begun, EventKind.MOVE_BEGAN, detail, requested_by)
    if why_not and lift_gate_because is not None:
        _log(conn, begun, EventKind.GATE_LIFTED, {"reason": lift_gate_because, "against": why_not}, requested_by)
    return begun


def _target(conn: psycopg.Connection, entry: Entry, account: str, source: str, named: str | None) -> str:
    """Where an over move goes: the server that was named, or the one with most room, also when that is busy (the
    database refuses then, and it can be tried again)."""
    kind = ServerKind.SHARED if entry.kind == INFRASTRUCTURE else ServerKind.DATABASE
    choice.lock(conn)
    roomy = [server.name for server in choice.choices(conn, kind, entry, account, named) if server.name != source]
    fitting, taken = choice.first_that_fits(conn, roomy, account, entry.kind)
    if fitting is None and taken:
        raise RegistryRefused(f"Account {account} does not fit where there is room: {taken[0]}. {choice.GIVE_WAY}")
    layout = choice.of_its_layout(conn, kind, account) if kind != ServerKind.DATABASE else ""
    if named is not None and fitting is None:
        server_named(conn, named)
        raise RegistryRefused(
            f"Server {named} cannot take {account}: give a {kind} server with {entry.kind} {entry.to_version}{layout}"
            " that has room, an IP of each family of the account's names, and is not paused."
        )
    if fitting is None:
        raise RegistryRefused(
            f"No {kind} server{server_named(conn, source).in_site} with {entry.kind} {entry.to_version}{layout} has"
            f" room for {account}: add one, or make room."
        )
    return fitting


def _again(conn: psycopg.Connection, returned: Move) -> Move:
    _lock(conn, returned)
    execute(
        conn,
        """
        UPDATE moves SET state = 'preparing', epoch = %(epoch)s
        WHERE id = %(id)s AND state = 'returned'
        """,
        {"id": returned.id, "epoch": next_epoch(conn, returned.account)},
    )
    begun = move(conn, returned.id)
    _log(conn, begun, EventKind.MOVE_BEGAN, {"to": begun.to_server, "epoch": begun.epoch, "again": True})
    return begun


def _lock(conn: psycopg.Connection, move: Move) -> None:
    """Writers of one move take turns: on its migration, so that this one's events come in order, or its account."""
    if move.migration is not None:
        locked(conn, move.migration)
    else:
        execute(conn, "SELECT FROM accounts WHERE name = %(name)s FOR UPDATE", {"name": move.account})


@in_transaction
def move(conn: psycopg.Connection, id: int) -> Move:
    """A move; refuses an unknown id."""
    record = row(conn, Move.of_row, f"SELECT {COLUMNS} FROM moves WHERE id = %(id)s", {"id": id})
    if record is None:
        raise RegistryRefused(f"There is no move {id}: check its id.")
    return record


@in_transaction
def moves_of(conn: psycopg.Connection, migration_id: int) -> list[Move]:
    """The moves of a migration, in both directions, oldest first."""
    return rows(
        conn,
        Move.of_row,
        f"SELECT {COLUMNS} FROM moves WHERE migration = %(migration)s ORDER BY id",
        {"migration": migration_id},
    )


@in_transaction
def moves_of_account(conn: psycopg.Connection, account: str) -> list[Move]:
    """The moves of an account, oldest first."""
    return rows(
        conn, Move.of_row, f"SELECT {COLUMNS} FROM moves WHERE account = %(name)s ORDER BY id", {"name": account}
    )


@in_transaction
def live_move_of(conn: psycopg.Connection, account: str) -> Move | None:
    """The move that an account is in now; None when it is in none."""
    return row(
        conn,
        Move.of_row,
        f"SELECT {COLUMNS} FROM live_moves WHERE account = %(account)s",
        {"account": account},
    )


@in_transaction
def advance_move(
    conn: psycopg.Connection,
    move_id: int,
    state: str,
    figures: Figures | None = None,
    committed_at: datetime | None = None,
    epoch: int | None = None,
) -> Move:
    """Bring a move to its next state: preparing, copying, switching, committed, done; or returned, before the
    commit only. Nothing happens when it is there already or past. `committed` makes the account live on the
    target in the same transaction; one that moves over also belongs there then, and of one engine only its databases
    live there (`engines_of`). `figures` are merged into those already there; `committed_at` is when the source says
    that it committed: what is billed goes by that, however late the registry learns of it. `epoch`: the attempt that is
    meant; for one that is over it is refused."""
    _lock(conn, move(conn, move_id))
    before = move(conn, move_id)
    if epoch not in (None, before.epoch):
        raise RegistryRefused(f"This attempt of the move of {before.account} is over: another has begun since.")
    if states.MOVE.there_or_past(before.state, state):
        return before
    measured = None if figures is None else asdict(figures)
    execute(
        conn,
        """
        UPDATE moves SET state = %(state)s, figures = figures || %(figures)s,
            committed_at = coalesce(%(committed)s, committed_at)
        WHERE id = %(id)s
        """,
        {"id": move_id, "state": state, "figures": Jsonb(measured or {}), "committed": committed_at},
    )
    after = move(conn, move_id)
    _log(conn, after, EventKind(f"move.{state}"), measured)
    return after


@in_transaction
def begin_switch(conn: psycopg.Connection, move_id: int, after: str | None = None) -> None:
    """Record that the move's switch is about to be started; `after` is how the one before it ended."""
    record = move(conn, move_id)
    _log(conn, record, EventKind.MOVE_SWITCH, {"epoch": record.epoch, "after": after})


@in_transaction
def put_off(conn: psycopg.Connection, move_id: int, why: str) -> None:
    """Record that the move's rehearsal found its visitors' wait too long, so that nothing was held: at a quieter moment
    it may be shorter."""
    record = move(conn, move_id)
    _log(conn, record, EventKind.MOVE_PUT_OFF, {"epoch": record.epoch, "why": why})


@in_transaction
def was_put_off(conn: psycopg.Connection, account: str) -> bool:
    """Whether the account's last move ended by being put off."""
    put_off: bool = value(
        conn,
        """
        SELECT EXISTS (
            SELECT FROM events e JOIN moves m ON m.id = e.move
            WHERE e.account = %(name)s AND e.kind = 'move.put_off' AND m.state = 'returned'
                AND (e.detail ->> 'epoch')::bigint = m.epoch
                AND m.epoch = (SELECT max(epoch) FROM moves WHERE account = %(name)s)
        )
        """,
        {"name": account},
    )
    return put_off


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


def _log(
    conn: psycopg.Connection, move: Move, kind: EventKind, detail: dict[str, Any] | None, by: str | None = None
) -> None:
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
