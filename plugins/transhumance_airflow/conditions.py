"""The conditions that a run can wait for: each a question to the registry of a few milliseconds, by name.

A name and its arguments are all that a waiting trigger keeps, so both stay as they are while runs wait.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import psycopg

from include import registry
from include.facts import MigrationFacts, MoveAsked, MoveFacts, MoveOverAsked
from include.moves import begin, names, servers
from include.network.names import NameServerFailed
from include.registry.states import MOVE, MigrationState
from transhumance_airflow import connections
from transhumance_airflow.step import log_sentences, written

log = logging.getLogger(__name__)


def transit_assigned(conn: psycopg.Connection, migration: int) -> str | None:
    """The transit that the migration got. First come, first served: asking takes one as soon as one is free."""
    return registry.assign_transit(conn, migration)


def every_account_moved(conn: psycopg.Connection, migration: int, transit: str | None = None) -> bool | None:
    """True when no account of the migration lives anywhere but on its transit and no move is under way, or when this
    was so before. Waits of earlier releases name the `transit` themselves."""
    now = registry.migration(conn, migration)
    if servers.past(now.state, MigrationState.HANDED_OVER):
        return True
    if registry.accounts_not_on(conn, migration, transit or registry.certain(now.transit)):
        return None
    under_way = [move for move in registry.moves_of(conn, migration) if move.state not in MOVE.ended]
    return None if under_way else True


def names_settled(conn: psycopg.Connection, server: str) -> bool | None:
    """True when every cache that keeps to TTLs has let go of what the server's names pointed at before."""
    return registry.names_settled(conn, server) or None


def move_begun(conn: psycopg.Connection, **asked: Any) -> MoveFacts | None:
    """The move of an account out to a transit, or home. Asking begins it as soon as no other account of its server
    moves."""
    return begin.begin_move(conn, MoveAsked(**asked))


def over_begun(conn: psycopg.Connection, **asked: Any) -> MoveFacts | None:
    """The move of a shared account. Asking begins it as soon as both servers have a turn for it, on the server that is
    chosen then."""
    return begin.begin_over(conn, MoveOverAsked(**asked))


@dataclass(frozen=True)
class Condition:
    """A question, the facts that it is about, and which arguments follow from them."""

    about: type
    arguments: Callable[[Any], dict[str, Any]]
    ask: Callable[..., Any]


CONDITIONS = {
    "transit_assigned": Condition(MigrationFacts, lambda facts: {"migration": facts.id}, transit_assigned),
    "every_account_moved": Condition(MigrationFacts, lambda facts: {"migration": facts.id}, every_account_moved),
    "names_settled": Condition(MigrationFacts, lambda facts: {"server": facts.server}, names_settled),
    "move_begun": Condition(MoveAsked, asdict, move_begun),
    "over_begun": Condition(MoveOverAsked, asdict, over_begun),
}

GIVEN_UP = "the migration was given up"
"""What a wait of a migration ends with when the migration was cancelled, or failed, meanwhile."""


def ask(conn: psycopg.Connection, condition: str, arguments: dict[str, Any]) -> Any:
    """What the condition gives, as Airflow keeps it, or None while it is not met, or GIVEN_UP. Raises KeyError for a
    condition that does not exist."""
    asked = CONDITIONS[condition].ask
    return GIVEN_UP if given_up(conn, arguments) else written(asked(conn, **arguments))


def given_up(conn: psycopg.Connection, arguments: dict[str, Any]) -> bool:
    """Whether a wait with these arguments is one of a migration that was given up."""
    return "migration" in arguments and registry.migration(conn, arguments["migration"]).given_up


def refresh_original(conn: psycopg.Connection, migration: MigrationFacts) -> None:
    """Brings the registry up to date with the accounts that the original itself serves now, lets new names be lowered,
    and logs what still takes the old path of those that have left.

    While the customer may still perform; later the original is empty or gone.
    """
    if not servers.past(registry.migration(conn, migration.id).state, MigrationState.HANDED_OVER):
        log_sentences(servers.refresh(conn, migration.server, connections.host(migration.server, conn)))
        try:
            log_sentences(names.repoint(conn, connections.names(), migration.server))
        except NameServerFailed as error:
            # A wait of weeks does not end for that: each account's move asks again, and so does the step after this.
            log.warning("Names that were added are not looked at now: %s", error)
