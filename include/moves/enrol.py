"""Enrolment: a server's host key is pinned, the agent put on it, and what it says of itself written down.

A server that we install is laid down with the orchestrator's key; on one that is there already the host's own access as
root lets that key in, once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import psycopg

from include import registry
from include.agent import verbs
from include.agent.host.codec import plain
from include.agent.verbs.described import Description
from include.facts import MigrationFacts
from include.hosts import Host
from include.hosts.root_access import Access, NotEnrolled, RootAccess, fingerprint, require_key
from include.moves import doctor, network, prepare, servers, unclaimed
from include.moves.channel import without_secrets
from include.moves.requirements import Seen, unfit
from include.registry.states import MigrationState


def enrol(conn: psycopg.Connection, name: str, infrastructure: str, host: Host) -> Description:
    """Pushes the agent to the freshly installed server `name` and records what it says; gives its description.

    The host key was pinned when the machine was installed. One of the host's own making is prepared first. Refused if
    the server is not what was ordered.
    """
    host.push_agent()
    if prepare.is_own(infrastructure):
        prepare.lay_down(conn, name, host)
    # Its own service IPs answer before anything is routed or pointed at them.
    host.call(verbs.AcceptIps(ips=[ip.address for ip in registry.ips_of(conn, name)]))
    # Not by those that lead to its transit while it is away.
    network.send_mail_from_own(conn, name, host)
    description = without_secrets(host.call(verbs.Describe()))
    asked_for = replace(doctor.seen(conn, registry.server(conn, name), description), infrastructure=infrastructure)
    for sentence in unfit(asked_for):
        raise registry.RegistryRefused(sentence)
    host_key = registry.certain(registry.server(conn, name).host_key)
    registry.enrol_server(conn, name, infrastructure, host_key, description.versions)
    registry.record_description(conn, name, plain(description))
    if prepare.is_own(infrastructure):
        _sign_for_what_was_installed(conn, name, host)
    return description


def _sign_for_what_was_installed(conn: psycopg.Connection, name: str, host: Host) -> None:
    """What a fresh server of the host's own making has is no customer's: it comes again with each installation."""
    for each in unclaimed.look(conn, name, host):
        registry.sign_unclaimed(conn, name, each.kind, each.name, "It was installed with the server.", "enrolment")


def enrol_reinstalled(conn: psycopg.Connection, migration: MigrationFacts, host: Host) -> dict[str, str]:
    """Enrols the original again, which has the new infrastructure now; gives its versions."""
    versions = enrol(conn, migration.server, migration.to_infrastructure, host).versions
    registry.advance(conn, migration.id, MigrationState.REINSTALLED)
    return versions


def enrol_transit(conn: psycopg.Connection, migration: MigrationFacts, transit: str, host: Host) -> dict[str, str]:
    """Enrols the transit; gives its versions."""
    return enrol(conn, transit, migration.to_infrastructure, host).versions


@dataclass(frozen=True)
class Enrolment:
    """What is asked for: a server of the registry, over which access. `host_key`: the one that a person has compared
    there, or its fingerprint, if they have. `public_key`: the orchestrator's."""

    server: str
    access: Access
    public_key: str
    host_key: str | None
    requested_by: str


def enrol_existing(
    conn: psycopg.Connection, asked: Enrolment, agent_of: Callable[[registry.Server], Host]
) -> list[str]:
    """Lets the orchestrator in to a server that is there already, gives it the agent and writes down what it says. Can
    be repeated. Gives what was done, and what the server lacks for a move: a sentence each."""
    name, server = asked.server, registry.server(conn, asked.server)
    with RootAccess(name, asked.access, require_key(name, server.host_key, asked.host_key)) as root:
        for sentence in unfit(Seen(name, server.infrastructure, root.look()), "python", "sshd"):
            raise NotEnrolled(sentence)
        changed = root.let_in(asked.public_key)
    host = agent_of(replace(server, host_key=root.host_key))
    host.push_agent()
    versions = host.call(verbs.Describe()).versions
    confirmed_by = asked.requested_by if asked.host_key else None
    registry.enrol_server(conn, name, server.infrastructure, root.host_key, versions, confirmed_by)
    servers.refresh(conn, name, host)
    lacks = doctor.examine(conn, lambda _: host, name)
    done = [f"{name} is enrolled; its host key is {fingerprint(root.host_key)}."]
    return [*done, *(f"Written there: {path}." for path in changed), *lacks]
