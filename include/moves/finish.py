"""The end of a shared server that every account has left: it is asked, a person agrees, and it is installed anew or
wiped. With it ends the forwarding for those who have left."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg

from include import registry
from include.agent import verbs
from include.agent.verbs.described import Description
from include.catalogue import infrastructures
from include.facts import FinishFacts
from include.hosts import AgentError, Host, HostUnreachable
from include.machines import Machines
from include.moves import enrol, forwarding, servers
from include.moves.channel import without_secrets
from include.registry.kinds import EventKind
from include.registry.states import ServerState

Reach = Callable[[str], Host]
"""The agent of a server, by its name."""

REINSTALL, WIPE = "reinstall", "wipe"
QUIET_DAYS = 7
"""So long nothing must have come by the old path; a weekly job, or a visitor with an old bookmark, comes within."""


def check(conn: psycopg.Connection, asked: FinishFacts, by: str, reach: Reach) -> FinishFacts:
    """Refused, with nothing changed, unless the registry and the server itself say that nobody is on it, and nothing
    has come by the old path for a week or somebody has said why that does not matter."""
    registry.may_finish(conn, asked.server, asked.run_id)
    if registry.finishing(conn, asked.server, asked.run_id).begun:
        return asked
    if asked.then == REINSTALL and asked.infrastructure not in infrastructures.load():
        declared = ", ".join(infrastructures.load())
        raise registry.RegistryRefused(
            f"Nothing declares infrastructure {asked.infrastructure!r:.40}: fill in one of {declared}."
        )
    host = reach(asked.server)
    _require_empty(conn, asked.server, host)
    still = still_used(conn, asked.server, without_secrets(host.call(verbs.Describe())))
    if still and not asked.not_quiet_because:
        raise registry.RegistryRefused(
            f"{asked.server} is still used: {' '.join(still)} Wait until nothing has come for {QUIET_DAYS} days, or "
            "start again with a reason in 'Not quiet, because'."
        )
    registry.ask_finish(conn, asked.server, asked.run_id, asked.because, by)
    return asked


def still_used(conn: psycopg.Connection, server: str, description: Description) -> list[str]:
    """A sentence on each account for which something came by the old path lately, and on each name that leads there."""
    recent = {
        account["account"]: account["forwarded"]
        for account in description.accounts
        if _latest(account.get("forwarded") or {}) > time.time() - QUIET_DAYS * 86400
    }
    leading = [f"The name {name} leads to it." for name in registry.leads_to(conn, server)]
    return forwarding.sentences(recent) + leading


def _latest(forwarded: dict[str, dict[str, Any]]) -> float:
    return max((passed["last"] or 0.0 for passed in forwarded.values() if passed["count"]), default=0.0)


def question(conn: psycopg.Connection, facts: FinishFacts, reach: Reach) -> str:
    """What a person reads before they agree, as Markdown: what the registry and the server itself say now."""
    registry.may_finish(conn, facts.server, facts.run_id)
    host = reach(facts.server)
    answer = servers.ask_whether_empty(conn, facts.server, host)
    description = without_secrets(host.call(verbs.Describe()))
    left = sorted(account["account"] for account in description.accounts if account["state"] == "moved")
    still = still_used(conn, facts.server, description)
    end = f"is installed with infrastructure {facts.infrastructure}" if facts.then == REINSTALL else "is given up"
    # What a server tells may hold names that customers chose: shown as code, so that nothing in it is a link.
    lines = [
        f"After a yes everything on **{facts.server}** is erased, it forwards nothing any more, and it {end}. "
        "Both are asked once more at that moment.",
        "",
        f"* why: {facts.because}",
        f"* the registry: nobody lives on it; from it have moved: {', '.join(left) or 'none'}",
        f"* {facts.server} itself says: {'it is empty' if answer.empty else 'it is NOT empty:'}",
        *(f"\n        {sentence}" for sentence in answer.because),
        f"* what still comes for those who have left, or leads there: {'this' if still else 'nothing'}",
        *(f"\n        {sentence}" for sentence in still),
        *([f"* that does not matter, because: {facts.not_quiet_because}"] if still else []),
    ]
    return "\n".join(lines)


def erase(
    conn: psycopg.Connection, facts: FinishFacts, by: str, reach: Reach, machines: Machines, spec: servers.Specify
) -> None:
    """Asks both once more, then installs the server anew, or wipes it.

    Cut off in the middle, the next call finds the proof in the event log: a server that does not answer, or has no
    agent yet, is then on its way, while one that answers is asked again."""
    done = registry.finishing(conn, facts.server, facts.run_id)
    if done.ended:
        return
    host = reach(facts.server)
    if not done.begun:
        _require_empty(conn, facts.server, host)  # asked before the state changes, too: a no leaves it in service
    registry.begin_finish(
        conn, facts.server, facts.run_id, by, {"because": facts.because, "then": facts.then, **_override(facts)}
    )
    try:
        _require_empty(conn, facts.server, host)
        registry.server_proven_empty(conn, facts.server, facts.run_id)
    except (HostUnreachable, AgentError) as error:
        if isinstance(error, AgentError) and not servers.was_just_installed(host, error):
            raise
        if not registry.finishing(conn, facts.server, facts.run_id).proven_empty:
            raise
    machine = spec(registry.server(conn, facts.server))
    if facts.then == WIPE:
        machines.wipe(machine)
        registry.end_finish(conn, facts.server, facts.run_id, ServerState.WIPED)
    else:
        installed = machines.reinstall(machine, facts.infrastructure)
        registry.enrol_server(conn, facts.server, facts.infrastructure, installed.host_key, {})


def put_into_service(conn: psycopg.Connection, facts: FinishFacts, reach: Reach) -> None:
    """A server that was installed anew is enrolled, and accounts may come to it; one that was wiped is not reached."""
    if facts.then == REINSTALL and not registry.finishing(conn, facts.server, facts.run_id).ended:
        enrol.enrol(conn, facts.server, facts.infrastructure, reach(facts.server))
        registry.end_finish(conn, facts.server, facts.run_id, ServerState.SERVING)


def approved(conn: psycopg.Connection, facts: FinishFacts, by: str) -> None:
    """Keeps who has agreed."""
    registry.event(conn, EventKind.SERVER_FINISH_APPROVED, server=facts.server, by=by, detail={"run_id": facts.run_id})


def _override(facts: FinishFacts) -> dict[str, str]:
    return {"not_quiet_because": facts.not_quiet_because} if facts.not_quiet_because else {}


def _require_empty(conn: psycopg.Connection, server: str, host: Host) -> None:
    servers.require_empty(conn, server, f"{server} is not empty and is not finished", host)
