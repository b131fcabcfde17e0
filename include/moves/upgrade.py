"""The present agent on every server. One that is at work there is not replaced (the agent itself refuses it)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg

from include import registry
from include.hosts import AgentError, Host, HostUnreachable, agent_digest
from include.moves import doctor
from include.moves.requirements import Judged
from include.registry.kinds import EventKind

MAX_TOLD = 10


def upgrade(conn: psycopg.Connection, reach: Callable[[str], Host], name: str | None = None) -> str:
    """Gives this orchestrator's agent to one server, or to all, each for itself; gives who has which, as a table.
    Refused at the end where some did not take it: another try leaves the others as they are."""
    servers = [registry.server(conn, name)] if name else registry.list_servers(conn)
    hosts = {server.name: reach(server.name) for server in servers if server.host_key is not None}
    if name and not hosts:
        raise registry.RegistryRefused(f"{name} is not enrolled: type python -m cli enrol {name}.")
    with ThreadPoolExecutor(doctor.MAX_SERVERS) as pool:
        outcomes = dict(zip(hosts, pool.map(_push, hosts.values()), strict=True))
    doctor.examine(conn, hosts.__getitem__, name)
    for server, outcome in outcomes.items():
        if outcome is True:
            registry.event(conn, EventKind.SERVER_UPGRADED, server=server, detail={"agent": agent_digest()[:12]})
        if isinstance(outcome, str):
            registry.record_judgement(conn, server, Judged(doctor.AGENT, False, f"{server}: {outcome}"))
    failed = [f"{server}: {outcome}" for server, outcome in outcomes.items() if isinstance(outcome, str)]
    if failed:
        more = f" And {len(failed) - MAX_TOLD} more." if len(failed) > MAX_TOLD else ""
        raise registry.RegistryRefused(
            f"{len(failed)} of {len(outcomes)} servers have not taken the agent; the others have it."
            f" {' '.join(failed[:MAX_TOLD])}{more}"
        )
    return "\n".join(f"{each.server:32}  {each.sentence}" for each in registry.judged_requirements(conn, name, "agent"))


def _push(host: Host) -> bool | str:
    """Whether it was another one that the server had; or why it does not take it."""
    try:
        return host.push_agent()
    except (HostUnreachable, AgentError) as error:
        return str(error)
