"""Whether something may be done now: the registry's own rules, tried and undone, so that a refusal is known at once.

Each is the first thing that the run does as well, and gives the same sentence there; between the two the answer may
have changed, and then the run refuses.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from include import registry
from include.registry.kinds import ServerKind
from include.registry.queries import panel
from include.registry.states import TestState

SHARED = (ServerKind.SHARED,)


@contextmanager
def one_call_at_a_time(conn: psycopg.Connection, subject: str) -> Iterator[None]:
    """Two calls about one account or server take turns, so that the second knows of what the first has asked for."""
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(7203111, hashtext(%s))", [subject])
        yield


@contextmanager
def tried(conn: psycopg.Connection) -> Iterator[None]:
    """What is done inside is undone at the end: only its refusal remains. A mere lack of a free place is none: the run
    waits for its turn."""
    try:
        with conn.transaction(force_rollback=True):
            yield
    except registry.Busy:
        return


def to_test(conn: psycopg.Connection, account: str, entry: str, by: str) -> tuple[str, dict[str, Any]]:
    """The run that tests an account: (DAG, its params). Refused when it may not begin now."""
    run_id = f"tried-{account}"
    with tried(conn):
        old = registry.replace_test(conn, account, run_id)
        if old is not None:
            registry.advance_test(conn, old.id, TestState.REMOVED)
        registry.begin_test(conn, account, entry, run_id, by)
    return "test_account", {"account": account, "entry": entry}


def to_ask(
    conn: psycopg.Connection, server: str, entry: str, by: str, lifted: str | None = None
) -> tuple[str, dict[str, Any]]:
    """The run that migrates a server. Refused when it may not begin now."""
    with tried(conn):
        registry.begin_migration(conn, server, entry, f"tried-{server}", by, lifted)
    return "migrate_server", {"server": server, "entry": entry, "lift_gate_because": lifted}


def to_cancel(conn: psycopg.Connection, server: str, reason: str, by: str) -> tuple[str, dict[str, Any]]:
    """The run that cancels a server's migration. Refused when there is none, or when it is too late."""
    live = registry.migration_of(conn, server)
    if live is None:
        raise registry.RegistryRefused(f"Server {server} is not being migrated: there is nothing to cancel.")
    with tried(conn):
        registry.cancel_migration(conn, live.id, reason, by)
    return "manage_transits", {"action": "cancel_migration", "migration": live.id, "reason": reason}


def to_perform(
    conn: psycopg.Connection,
    account: registry.Account,
    by: str,
    entry: str | None = None,
    longest_wait_seconds: float = 1,
    lifted: str | None = None,
) -> tuple[str, dict[str, Any]]:
    """The run that performs an account: to its server's transit, or, of a shared server, through `entry` to another
    server for good. Refused when it may not begin now."""
    params = {"account": account.name, "longest_wait_seconds": longest_wait_seconds}
    if registry.server(conn, account.home_server).kind in SHARED:
        if entry is None:
            raise registry.RegistryRefused(
                f"Account {account.name} is on a shared server: say which migration, as `entry`."
            )
        with tried(conn):
            registry.begin_over(conn, account.name, entry, f"tried-{account.name}", by, lift_gate_because=lifted)
        return "migrate_account", {**params, "entry": entry, "lift_gate_because": lifted}
    migration = _handed_over(conn, account)
    if entry not in (None, migration.entry):
        raise registry.RegistryRefused(
            f"Server {account.home_server} is migrated through {migration.entry}: leave `entry` out."
        )
    if lifted is not None:
        raise registry.RegistryRefused(
            "The gate stands before the transit is asked for: leave `lift_gate_because` out."
        )
    with tried(conn):
        registry.begin_move(conn, account.name, registry.certain(migration.transit), f"tried-{account.name}", by)
    return "move_account", {**params, "to_server": migration.transit, "if_another_moves": "wait"}


def _handed_over(conn: psycopg.Connection, account: registry.Account) -> registry.Migration:
    """The migration to whose transit the account is performed; refused while there is no transit."""
    migration = registry.migration_of(conn, account.home_server)
    if migration is None or migration.transit is None:
        raise registry.RegistryRefused(
            f"Server {account.home_server} of account {account.name} has no transit: ask for one, and wait until it is"
            " handed over."
        )
    return migration


def why_not(conn: psycopg.Connection, account: registry.Account, entry: str) -> str | None:
    """Why the account cannot be performed through the entry now, as far as a look tells that locks nothing; None when
    nothing is known against it."""
    if registry.live_move_of(conn, account.name) is not None:
        return f"Account {account.name} is being moved already: wait until that move has ended."
    untested = panel.untested_account(conn, account.name, entry)
    if untested is not None:
        return untested
    if registry.server(conn, account.home_server).kind not in SHARED:
        try:
            _handed_over(conn, account)
        except registry.RegistryRefused as error:
            return str(error)
    return None
