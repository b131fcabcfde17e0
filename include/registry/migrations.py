"""Migrations: one server's passage through a catalogue entry."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from include.registry import queue, states
from include.registry.addresses import unfit_addresses
from include.registry.catalogue import catalogue_entry
from include.registry.database import RegistryRefused, column, execute, in_transaction, names, row, rows, value
from include.registry.events import event
from include.registry.kinds import ONE_CUSTOMERS, EventKind
from include.registry.servers import server as server_named
from include.registry.states import MigrationState
from include.registry.tests import untested

COLUMNS = """
    id, server, entry, from_infrastructure, to_infrastructure, transit, run_id, requested_by, state,
    state_since, began_at, disk_kept, disk_discarded_at, taken_back_because
"""


@dataclass(frozen=True)
class Migration:
    """The passage of one server, the *original*, through a catalogue entry.

    `transit` is None until one is assigned. `disk_kept` is what the machines call the disk that the
    server had before its reinstall; `taken_back_because` why its accounts were taken back from a transit that died."""

    id: int
    server: str
    entry: str
    from_infrastructure: str
    to_infrastructure: str
    transit: str | None
    run_id: str
    requested_by: str
    state: str
    state_since: datetime
    began_at: datetime
    disk_kept: str | None
    disk_discarded_at: datetime | None
    taken_back_because: str | None

    @property
    def given_up(self) -> bool:
        """Whether it ended before anything of the customer was moved."""
        return self.state in states.GIVEN_UP


@in_transaction
def begin_migration(
    conn: psycopg.Connection,
    server: str,
    entry: str,
    run_id: str,
    requested_by: str,
    lift_gate_because: str | None = None,
) -> Migration:
    """Begin a server's migration; the same `run_id` gives the same row. Refuses an unknown server or entry, a
    server that is no VPS and not dedicated, has no accounts, is being migrated already or does not run what
    the entry starts from, addresses that cannot be rerouted, and a plan that no transit of the pool can ever serve.
    The gate refuses an account that was not tested for the entry or has blockers (see `untested`), unless it is lifted
    with a reason."""
    execute(conn, "SELECT FROM servers WHERE name = %(server)s FOR UPDATE", {"server": server})
    same = row(conn, Migration, f"SELECT {COLUMNS} FROM migrations WHERE run_id = %(run)s", {"run": run_id})
    if same is not None:
        if (same.server, same.entry) != (server, entry):
            raise RegistryRefused(
                f"Run {run_id} migrates {same.server} through {same.entry}: give each server its own run."
            )
        return same
    record = server_named(conn, server)
    wanted = catalogue_entry(conn, entry)
    if record.kind not in ONE_CUSTOMERS:
        raise RegistryRefused(
            f"Server {server} is a {record.kind} server: only a dedicated server or VPS is migrated through a transit."
        )
    live = migration_of(conn, server)
    if live is not None:
        raise RegistryRefused(
            f"Server {server} is being migrated already (run {live.run_id}, {live.state}): follow that run."
        )
    if record.runs(wanted.kind) != wanted.from_version:
        raise RegistryRefused(
            f"Server {server} runs {wanted.kind} {record.runs(wanted.kind) or 'unknown'}, but {entry} starts from"
            f" {wanted.from_version}: choose another entry of the catalogue."
        )
    if not value(conn, "SELECT living_on(%(server)s)", {"server": server}):
        raise RegistryRefused(f"Server {server} has no accounts: reinstall it directly, there is nothing to migrate.")
    for sentence in unfit_addresses(conn, record):
        raise RegistryRefused(sentence)
    queue.refuse_never_servable(conn, record)
    why_not = untested(conn, server, entry)
    id = value(
        conn,
        """
        INSERT INTO migrations (server, entry, from_infrastructure, to_infrastructure, run_id, requested_by,
            state, lift_gate_because)
        VALUES (%(server)s, %(entry)s, %(from)s, %(to)s, %(run)s, %(by)s, %(state)s, %(lifted)s)
        RETURNING id
        """,
        {
            "server": server,
            "entry": entry,
            "from": wanted.from_version,
            "to": wanted.to_version,
            "run": run_id,
            "by": requested_by,
            "state": MigrationState.CHECKING,
            "lifted": lift_gate_because,
        },
    )
    event(
        conn,
        EventKind.MIGRATION_BEGAN,
        migration=id,
        server=server,
        by=requested_by,
        detail={"entry": entry, "run_id": run_id},
    )
    if why_not and lift_gate_because is not None:
        detail = {"reason": lift_gate_because, "against": why_not}
        event(conn, EventKind.GATE_LIFTED, migration=id, server=server, by=requested_by, detail=detail)
    return migration(conn, id)


@in_transaction
def migration(conn: psycopg.Connection, id: int) -> Migration:
    """A migration; refuses an unknown id."""
    record = row(conn, Migration, f"SELECT {COLUMNS} FROM migrations WHERE id = %(id)s", {"id": id})
    if record is None:
        raise RegistryRefused(f"There is no migration {id}: check its id.")
    return record


@in_transaction
def list_migrations(conn: psycopg.Connection, state: str | None = None) -> list[Migration]:
    """Migrations, oldest first, in one state or all."""
    return rows(
        conn,
        Migration,
        f"""
        SELECT {COLUMNS} FROM migrations WHERE %(state)s::text IS NULL OR state = %(state)s ORDER BY id
        """,
        {"state": state},
    )


@in_transaction
def migration_of(conn: psycopg.Connection, server: str) -> Migration | None:
    """The live migration of a server; None when it has none. A transit's is the one that it serves."""
    return row(
        conn,
        Migration,
        f"SELECT {COLUMNS} FROM live_migrations WHERE server = %(server)s OR transit = %(server)s",
        {"server": server},
    )


def locked(conn: psycopg.Connection, id: int) -> Migration:
    """A migration's row, locked: whoever changes something of a migration takes this first, so writers take
    turns and its events come in order."""
    execute(conn, "SELECT FROM migrations WHERE id = %(id)s FOR UPDATE", {"id": id})
    return migration(conn, id)


@in_transaction
def advance(
    conn: psycopg.Connection,
    id: int,
    to_state: str,
    detail: dict[str, Any] | None = None,
    by: str | None = None,
) -> Migration:
    """Bring a migration to its next state (see docs/states.md); nothing happens when it is there already or
    past. Facts that the state needs are checked by the database: no account on the original before
    accounts_moved, original_empty and reinstalling; IPs routed before rerouted and home, names too before
    home; the server enrolled with the new infrastructure before reinstalled; the transit returned before
    done. `reinstalling` and `reinstalled` set the original's own state too. assign_transit, hand_over and
    last_account_left advance by themselves."""
    before = locked(conn, id)
    if states.MIGRATION.there_or_past(before.state, to_state):
        return before
    execute(conn, "UPDATE migrations SET state = %(state)s WHERE id = %(id)s", {"id": id, "state": to_state})
    event(conn, EventKind(f"migration.{to_state}"), migration=id, server=before.server, by=by, detail=detail)
    return migration(conn, id)


@in_transaction
def cancel_migration(conn: psycopg.Connection, id: int, reason: str, by: str) -> Migration:
    """Cancel a migration: its request leaves the queue, its lease ends. Refused once an account has been
    performed. An assigned transit stays the migration's until `transit_wiped` and `return_transit`."""
    queue.lock(conn)
    return advance(conn, id, MigrationState.CANCELLED, {"reason": reason}, by)


@in_transaction
def disk_discarded(conn: psycopg.Connection, id: int) -> None:
    """Record that the disk which the server had before its reinstall is gone; refused before every account is home.
    Can be repeated."""
    record = locked(conn, id)
    changed = execute(
        conn,
        "UPDATE migrations SET disk_discarded_at = now() WHERE id = %(id)s AND disk_discarded_at IS NULL",
        {"id": id},
    )
    if changed:
        event(conn, EventKind.DISK_DISCARDED, migration=id, server=record.server, detail={"disk": record.disk_kept})


@in_transaction
def accounts_not_on(conn: psycopg.Connection, migration_id: int, server: str) -> list[str]:
    """The accounts of the migration's server that do not live on `server`, by name."""
    record = migration(conn, migration_id)
    return column(
        conn,
        """
        SELECT name FROM accounts
        WHERE home_server = %(home)s AND server <> %(server)s AND removed_at IS NULL ORDER BY name
        """,
        {"home": record.server, "server": server},
    )


@in_transaction
def may_reinstall(conn: psycopg.Connection, migration_id: int) -> None:
    """Refuses unless the original may be reinstalled at this moment: by the registry no account lives on it,
    no IP is routed to it, and the migration is where that step is due. From `advance(id, 'reinstalling')` on
    no account can be added to it either, so ask after that."""
    record = locked(conn, migration_id)
    living = column(conn, "SELECT who_is_on(%(server)s)", {"server": record.server})
    if living:
        raise RegistryRefused(
            f"Server {record.server} is not reinstalled, because accounts live on it ({names(living)}): move them"
            " first."
        )
    if record.state not in (MigrationState.ORIGINAL_EMPTY, MigrationState.REINSTALLING):
        raise RegistryRefused(
            f"Server {record.server} is not reinstalled while its migration is {record.state}: that is due"
            " after original_empty and only once."
        )
    routed = column(conn, "SELECT host(address) FROM ips WHERE routed_to = %(server)s", {"server": record.server})
    if routed:
        raise RegistryRefused(
            f"Server {record.server} is not reinstalled, because IPs are routed to it ({names(routed)}):"
            " reroute them first."
        )
