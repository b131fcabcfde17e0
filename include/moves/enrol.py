"""Enrolment: a new machine's host key is pinned, the agent put on it, and what it says of itself written down."""

from __future__ import annotations

from typing import Any

import psycopg

from include import registry
from include.agent import verbs
from include.facts import MigrationFacts
from include.hosts import Host
from include.moves.channel import without_secrets
from include.moves.requirements import Seen, unfit
from include.registry.states import MigrationState


def enrol(conn: psycopg.Connection, name: str, infrastructure: str, host: Host) -> dict[str, Any]:
    """Pushes the agent to the freshly installed server `name` and records what it says; gives its description.

    The host key was pinned when the machine was installed. Refused if the server is not what was ordered.
    """
    host.push_agent()
    # Its own service IPs answer before anything is routed or pointed at them.
    host.call(verbs.AcceptIps(ips=[ip.address for ip in registry.ips_of(conn, name)]))
    description = without_secrets(host.call(verbs.Describe()))
    for sentence in unfit(Seen(name, infrastructure, description)):
        raise registry.RegistryRefused(sentence)
    host_key = registry.certain(registry.server(conn, name).host_key)
    registry.enrol_server(conn, name, infrastructure, host_key, description["versions"])
    registry.record_description(conn, name, description)
    return description


def enrol_reinstalled(conn: psycopg.Connection, migration: MigrationFacts, host: Host) -> dict[str, Any]:
    """Enrols the original again, which has the new infrastructure now; gives its versions."""
    versions = enrol(conn, migration.server, migration.to_infrastructure, host)["versions"]
    registry.advance(conn, migration.id, MigrationState.REINSTALLED)
    return versions


def enrol_transit(conn: psycopg.Connection, migration: MigrationFacts, transit: str, host: Host) -> dict[str, Any]:
    """Enrols the transit; gives its versions."""
    return enrol(conn, transit, migration.to_infrastructure, host)["versions"]
