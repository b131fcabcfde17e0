"""The facts of the registry that a run can wait for: each a query of a few milliseconds, by name.

A name and its arguments are all that a waiting trigger keeps, so both stay as they are while runs wait.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import psycopg

from include import registry
from include.moves import channel, names, servers
from include.network.names import NameServerFailed
from include.registry.states import MOVE, MigrationState
from transhumance_airflow import connections

log = logging.getLogger(__name__)


def transit_assigned(conn: psycopg.Connection, migration: int) -> str | None:
    """The transit that the migration got. First come, first served: asking takes one as soon as one is free."""
    return registry.assign_transit(conn, migration)


def every_account_moved(conn: psycopg.Connection, migration: int, transit: str) -> bool | None:
    """True when no account of the migration lives anywhere but on the transit and no move is under way, or when
    this was so before."""
    if servers.past(registry.migration(conn, migration).state, MigrationState.HANDED_OVER):
        return True
    if registry.accounts_not_on(conn, migration, transit):
        return None
    under_way = [move for move in registry.moves_of(conn, migration) if move.state not in MOVE.ended]
    return None if under_way else True


def names_settled(conn: psycopg.Connection, server: str) -> bool | None:
    """True when every cache that keeps to TTLs has let go of what the server's names pointed at before."""
    return registry.names_settled(conn, server) or None


def move_begun(
    conn: psycopg.Connection,
    account: str,
    to_server: str,
    run_id: str,
    requested_by: str,
    longest_wait_seconds: float,
) -> dict[str, Any] | None:
    """The move of an account out to a transit, or home, as its steps hand it on. Asking begins it as soon as no other
    account of its server moves."""
    try:
        move = registry.begin_move(conn, account, to_server, run_id, requested_by)
    except registry.Busy:
        return None
    return {**channel.for_steps(move), "longest_wait_seconds": longest_wait_seconds}


def over_begun(
    conn: psycopg.Connection,
    account: str,
    entry: str,
    run_id: str,
    requested_by: str,
    to_server: str | None,
    lift_gate_because: str | None,
    longest_wait_seconds: float,
) -> dict[str, Any] | None:
    """The move of a shared account, as its steps hand it on. Asking begins it as soon as both servers have a turn for
    it, on the server that is chosen then."""
    try:
        move = registry.begin_over(conn, account, entry, run_id, requested_by, to_server, lift_gate_because)
    except registry.Busy:
        return None
    return {**channel.for_steps(move), "longest_wait_seconds": longest_wait_seconds}


FACTS: dict[str, Callable[..., Any]] = {
    "transit_assigned": transit_assigned,
    "every_account_moved": every_account_moved,
    "names_settled": names_settled,
    "move_begun": move_begun,
    "over_begun": over_begun,
}


GIVEN_UP = "the migration was given up"
"""What a wait of a migration ends with when the migration was cancelled, or failed, meanwhile."""


def ask(conn: psycopg.Connection, fact: str, arguments: dict[str, Any]) -> Any:
    """The fact's value, or None while it is not so, or GIVEN_UP. Raises KeyError for a fact that does not exist."""
    asked = FACTS[fact]
    return GIVEN_UP if given_up(conn, arguments) else asked(conn, **arguments)


def given_up(conn: psycopg.Connection, arguments: dict[str, Any]) -> bool:
    """Whether a wait with these arguments is one of a migration that was given up."""
    return "migration" in arguments and registry.migration(conn, arguments["migration"]).given_up


def refresh_original(conn: psycopg.Connection, migration: int, transit: str) -> None:
    """Brings the registry up to date with the accounts that the original itself serves now, lets new names be lowered,
    and logs what still takes the old path of those that have left.

    While the customer may still perform; later the original is empty or gone.
    """
    begun = registry.migration(conn, migration)
    if not servers.past(begun.state, MigrationState.HANDED_OVER):
        told(servers.refresh(conn, begun.server, connections.host(begun.server, conn)))
        try:
            told(names.repoint(conn, connections.names(), begun.server))
        except NameServerFailed as error:
            # A wait of weeks does not end for that: each account's move asks again, and so does the step after this.
            log.warning("Names that were added are not looked at now: %s", error)


def told(sentences: list[str]) -> list[str]:
    """The sentences, after they were written to the task's log."""
    for sentence in sentences:
        log.info(sentence)
    return sentences
