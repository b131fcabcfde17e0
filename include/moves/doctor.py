"""The doctor: what each server has, and lacks, for a move; asked now, kept in the registry."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg

from include import registry
from include.agent import verbs
from include.agent.host.codec import plain
from include.agent.verbs.described import Description
from include.hosts import AgentError, Host, HostUnreachable, agent_digest
from include.moves.channel import without_secrets
from include.moves.requirements import Judged, Seen, judge
from include.registry.kinds import ServerKind
from include.registry.states import ServerState

MAX_SERVERS = 16
"""So many are asked at a time."""
AGENT = "agent"
"""The requirement that `upgrade` meets."""


@dataclass(frozen=True)
class Answer:
    """What a server has said of itself, and by how many seconds its clock is ahead."""

    description: Description
    clock_ahead: float


def examine(conn: psycopg.Connection, reach: Callable[[str], Host], name: str | None = None) -> list[str]:
    """Asks one server, or all, and keeps what is said of each requirement; gives a sentence on each that is not met."""
    servers = [registry.server(conn, name)] if name else registry.list_servers(conn)
    enrolled = [server for server in servers if server.host_key is not None]
    hosts = {server.name: reach(server.name) for server in enrolled}
    with ThreadPoolExecutor(MAX_SERVERS) as pool:
        answers = dict(zip(hosts, pool.map(ask, hosts.values()), strict=True))
    unmet = []
    for server in servers:
        judged = _judged(conn, server, answers.get(server.name))
        registry.record_judged(conn, server.name, judged)
        unmet += [each.sentence for each in judged if not each.met]
    return unmet


def ask(host: Host) -> Answer | Judged:
    """What one server says of itself now, or why nothing is known of it."""
    before = time.time()
    try:
        description = without_secrets(host.call(verbs.Describe()))
    except (HostUnreachable, AgentError) as error:
        another = isinstance(error, AgentError) and error.code == "other_protocol"
        return Judged(AGENT if another else "reached", False, str(error))
    after = time.time()
    clock = description.readiness["time"] if description.readiness else after
    return Answer(description, clock - after if clock > after else min(0.0, clock - before))


def _judged(conn: psycopg.Connection, server: registry.Server, answer: Answer | Judged | None) -> list[Judged]:
    if answer is None:
        return [_not_enrolled(server)]
    enrolled = Judged("enrolled", True, "Its host key is pinned, and the orchestrator's key is let in.")
    if isinstance(answer, Judged):
        return [enrolled, _of(server, answer)]
    registry.record_description(conn, server.name, plain(answer.description))
    reached = Judged("reached", True, "It answers.")
    theirs = _agent(server.name, answer.description.agent_digest)
    return [enrolled, reached, theirs, *judge(seen(conn, server, answer.description, answer.clock_ahead))]


def _not_enrolled(server: registry.Server) -> Judged:
    if server.kind == ServerKind.TRANSIT and server.state in (ServerState.FREE, ServerState.WIPED):
        return Judged("enrolled", True, "It is installed and enrolled when a migration gets it.")
    return Judged("enrolled", False, f"{server.name} is not enrolled: type python -m cli enrol {server.name}.")


def _of(server: registry.Server, judged: Judged) -> Judged:
    return Judged(judged.requirement, judged.met, f"{server.name}: {judged.sentence}")


def _agent(name: str, digest: str) -> Judged:
    ours = agent_digest()
    if digest == ours:
        return Judged(AGENT, True, f"It has the agent of this orchestrator ({ours[:12]}).")
    numbers = f"the agent {digest[:12]}, and this orchestrator's is {ours[:12]}"
    return Judged(AGENT, False, f"{name} has {numbers}: type python -m cli upgrade.")


def seen(conn: psycopg.Connection, server: registry.Server, description: Description, clock_ahead: float = 0.0) -> Seen:
    """The server as it is judged."""
    return Seen(
        server.name,
        server.infrastructure,
        plain(description),
        server,
        clock_ahead,
        tuple(ip.address for ip in registry.ips_of(conn, server.name)),
        tuple(str(each.management_address) for each in registry.list_servers(conn) if each.host_key is not None),
        tuple(registry.unfit_addresses(conn, server)),
    )
