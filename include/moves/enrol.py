"""Enrolment: a new machine's host key is pinned, the agent put on it, and what it says of itself written down."""

from __future__ import annotations

import re

import psycopg

from include import registry
from include.agent import verbs
from include.agent.host.codec import plain
from include.agent.verbs.described import Description
from include.catalogue import infrastructures
from include.facts import MigrationFacts
from include.hosts import Host
from include.moves import network
from include.moves.channel import without_secrets
from include.registry.states import MigrationState

RSYNC = (3, 5, 0)
"""Older ones follow a customer's links as root."""


def enrol(conn: psycopg.Connection, name: str, infrastructure: str, host: Host) -> Description:
    """Pushes the agent to the freshly installed server `name` and records what it says; gives its description.

    The host key was pinned when the machine was installed. Refused if the server is not what was ordered.
    """
    host.push_agent()
    # Its own service IPs answer before anything is routed or pointed at them.
    host.call(verbs.AcceptIps(ips=[ip.address for ip in registry.ips_of(conn, name)]))
    # Not by those that lead to its transit while it is away.
    network.send_mail_from_own(conn, name, host)
    description = without_secrets(host.call(verbs.Describe()))
    for sentence in unfit(name, infrastructure, description):
        raise registry.RegistryRefused(sentence)
    host_key = registry.certain(registry.server(conn, name).host_key)
    registry.enrol_server(conn, name, infrastructure, host_key, description.versions)
    registry.record_description(conn, name, plain(description))
    return description


def enrol_reinstalled(conn: psycopg.Connection, migration: MigrationFacts, host: Host) -> dict[str, str]:
    """Enrols the original again, which has the new infrastructure now; gives its versions."""
    versions = enrol(conn, migration.server, migration.to_infrastructure, host).versions
    registry.advance(conn, migration.id, MigrationState.REINSTALLED)
    return versions


def enrol_transit(conn: psycopg.Connection, migration: MigrationFacts, transit: str, host: Host) -> dict[str, str]:
    """Enrols the transit; gives its versions."""
    return enrol(conn, transit, migration.to_infrastructure, host).versions


def unfit(name: str, infrastructure: str, description: Description) -> list[str]:
    """Why the server cannot take part in a migration to `infrastructure`; empty if it can."""
    because = []
    declared = infrastructures.load().get(infrastructure)
    if declared is None:
        file = f"config/infrastructures/{infrastructure}.yaml"
        because.append(f"Nothing declares infrastructure {infrastructure}: write {file}.")
    elif unlike := declared.unlike(description.debian, description.versions):
        runs = "; ".join(unlike)
        because.append(f"{name} is not of infrastructure {infrastructure}: it runs {runs}. Install it again.")
    rsync = version(description.versions["rsync"])
    if rsync < RSYNC:
        because.append(
            f"{name} has rsync {description.versions['rsync']}, which follows a customer's links as root: install "
            "3.5.0 or later."
        )
    if down := description.services_down:
        because.append(f"{name} does not run {', '.join(down)}: see why on the server, then clear the task.")
    return because


def version(text: str) -> tuple[int, ...]:
    """The first dotted number in `text`: "3.5.0-1" is (3, 5, 0)."""
    number = re.search(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in number.group().split(".")) if number else ()
