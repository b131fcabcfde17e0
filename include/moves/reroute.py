"""A server's names and IPs: out to its transit, and home again."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from include import registry
from include.agent import verbs
from include.facts import MigrationFacts
from include.hosts import Host
from include.moves import names, network, servers, unclaimed
from include.network.names import Names
from include.registry.states import MigrationState


def look_at_original(conn: psycopg.Connection, migration: MigrationFacts, original: Host) -> None:
    """The original itself says that it serves nobody any more, and has nothing of nobody's that is not signed for.
    Refused otherwise, while its names and IPs still lead to it."""
    if servers.past(registry.migration(conn, migration.id).state, MigrationState.ACCOUNTS_MOVED):
        return
    if still := [account["account"] for account in servers.serving(original.call(verbs.Describe()))]:
        raise registry.RegistryRefused(
            f"{migration.server} itself serves {', '.join(still)}, so its names and IPs stay with it: have these "
            "moved, or removed there; then clear this task."
        )
    unclaimed.require_signed(conn, migration.server, original)


def names_to_transit(conn: psycopg.Connection, migration: MigrationFacts, zone: Names) -> list[str]:
    """Every name leads to the transit's own addresses, once every account has left; gives what customers are told of
    those that do not follow."""
    if not servers.every_account_left(conn, migration):
        return []
    return names.repoint(conn, zone, migration.server)


def ips_to_transit(
    conn: psycopg.Connection, migration: MigrationFacts, transit: str, router: network.Run, reach: Callable[[str], Host]
) -> list[str]:
    """Routes the original's IPs to the transit, which accepts them first; gives them."""
    if not servers.every_account_left(conn, migration):
        return []
    addresses = network.reroute(conn, router, migration.server, registry.server(conn, transit), reach)
    registry.advance(conn, migration.id, MigrationState.REROUTED)
    return addresses


def names_home(
    conn: psycopg.Connection, migration: MigrationFacts, reach: Callable[[str], Host], zone: Names
) -> list[str]:
    """Every name leads to the original, with the TTL that it had; gives what customers are told of those that do not
    follow. Refused while an account is away, unless the migration was given up."""
    record = registry.migration(conn, migration.id)
    if not record.given_up:
        servers.every_account_home(conn, migration, reach(registry.certain(record.transit)))
    return names.repoint(conn, zone, migration.server)


def ips_home(
    conn: psycopg.Connection, migration: MigrationFacts, transit: str, router: network.Run, reach: Callable[[str], Host]
) -> list[str]:
    """Routes the original's IPs to it, and lets the transit drop them; gives them."""
    home = registry.server(conn, migration.server)
    addresses = network.reroute(conn, router, home.name, home, reach)
    if registry.migration(conn, migration.id).state == MigrationState.ACCOUNTS_HOME:
        reach(transit).call(verbs.DropIps(ips=addresses))
    registry.advance(conn, migration.id, MigrationState.HOME)
    return addresses
