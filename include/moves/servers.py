"""What happens to whole servers: checked before a migration, emptied, reinstalled, wiped."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import psycopg

from include import registry
from include.hosts import AgentError, HostUnreachable
from include.moves import forwarding
from include.moves.path import Agent, without_secrets
from include.registry import states


class Machines(Protocol):
    """`include.machines.Machines`: makes servers, and makes them anew."""

    def install(self, spec: Any, infrastructure: str) -> Any: ...
    def reinstall(self, spec: Any, infrastructure: str) -> Any: ...
    def wipe(self, spec: Any) -> None: ...


Specify = Callable[[registry.Server], Any]
"""Says how a server of the registry is made: its `include.machines.MachineSpec`."""

SHARED_BY_MANY = ("shared", "database", "test")
"""The kinds of servers that are chosen by their room."""

PROVEN = "original.proven_empty"
"""The event that says that the original itself, while it was being reinstalled, called itself empty."""


def past(state: str, other: str) -> bool:
    """Whether a migration in `state` has left `other` behind it."""
    return state != other and states.MIGRATION.there_or_past(state, other)


def serving(description: dict[str, Any]) -> list[dict[str, Any]]:
    """The accounts that a described server serves, or would serve when its hold ends."""
    return [account for account in description["accounts"] if account["state"] in ("serving", "held")]


def refresh(conn: psycopg.Connection, server: str, host: Agent) -> list[str]:
    """Brings the registry up to date with what `server` says that it serves (an account created meanwhile); gives a
    sentence on the old path of each account that has left it."""
    description = without_secrets(host.call("describe"))
    registry.record_description(conn, server, description)
    registry.sync_accounts(conn, server, serving(description))
    migration = registry.migration_of(conn, server)
    return forwarding.record(conn, migration.id, description) if migration is not None else []


def refresh_all(conn: psycopg.Connection, reach: Callable[[str], Agent]) -> list[str]:
    """Brings the registry up to date with every server that accounts may come to: its room, and who lives there. Gives
    a sentence on each that does not answer."""
    names = [one.name for one in registry.servers(conn) if one.kind in SHARED_BY_MANY and one.host_key]
    hosts = {name: reach(name) for name in names}

    def ask(name: str) -> dict[str, Any] | str:
        try:
            return without_secrets(hosts[name].call("describe"))
        except (HostUnreachable, AgentError) as error:
            return f"{name}: {error}"

    with ThreadPoolExecutor(16) as pool:
        answers = dict(zip(names, pool.map(ask, names), strict=True))
    for name, answer in answers.items():
        if not isinstance(answer, str):
            registry.record_description(conn, name, answer)
            registry.sync_accounts(conn, name, serving(answer))
    return [answer for answer in answers.values() if isinstance(answer, str)]


def make_known(conn: psycopg.Connection, account: str, to_server: str, reach: Callable[[str], Agent]) -> None:
    """The registry learns of an account that was created since the hand-over of the transit `to_server`, if so."""
    migration = registry.migration_of(conn, to_server)
    if migration is None or migration.transit != to_server or migration.state != "handed_over":
        return
    if account not in {one.name for one in registry.accounts_of(conn, migration.server)}:
        refresh(conn, migration.server, reach(migration.server))


def begin(
    conn: psycopg.Connection,
    server: str,
    entry: str,
    run_id: str,
    requested_by: str,
    lift_gate_because: str | None,
    reach: Callable[[], Agent],
) -> dict[str, Any]:
    """Begins the migration of `server`, or finds the one that this run began; gives what the steps hand on. Every
    account is tested for it before, unless there is a reason to lift that gate.

    Refused, with nothing changed, for whatever the registry or the server itself knows against it.
    """
    begun = registry.migration_of(conn, server)
    if begun is None or begun.run_id != run_id:
        with conn.transaction():
            # In a migration already: refused without asking a server that may just be reinstalled.
            if begun is None:
                refresh(conn, server, reach())
            begun = registry.begin_migration(
                conn, server, entry, run_id, requested_by, lift_gate_because=lift_gate_because
            )
    return {
        "id": begun.id,
        "server": begun.server,
        "from_infrastructure": begun.from_infrastructure,
        "to_infrastructure": begun.to_infrastructure,
    }


def install_transit(conn: psycopg.Connection, migration: dict[str, Any], machines: Machines, spec: Specify) -> None:
    """Installs the transit with the new infrastructure and pins its host key; not once it is handed over."""
    if _past(conn, migration, "installing_transit"):
        return
    transit = registry.server(conn, registry.may_install_transit(conn, migration["id"]))
    installed = machines.install(spec(transit), migration["to_infrastructure"])
    registry.enrol_server(conn, transit.name, migration["to_infrastructure"], installed.host_key, {})


def every_account_left(conn: psycopg.Connection, migration: dict[str, Any]) -> bool:
    """Records that the customer's last account has left the original. Refused while one has not.

    False once the IPs are rerouted: from then on names and IPs may be on their way home.
    """
    if _past(conn, migration, "accounts_moved"):
        return False
    registry.last_account_left(conn, migration["id"])
    return True


def every_account_home(conn: psycopg.Connection, migration: dict[str, Any]) -> None:
    """Records that every account is home. Refused while one is not."""
    away = registry.accounts_not_on(conn, migration["id"], migration["server"])
    if away:
        raise registry.Refused(f"Not home yet: {', '.join(away)}. Clear move_accounts_home.")
    registry.advance(conn, migration["id"], "accounts_home")


def prove_original_empty(conn: psycopg.Connection, migration: dict[str, Any], original: Agent) -> None:
    """Records that the registry and the original itself say that nothing lives there. Refused otherwise."""
    if not _past(conn, migration, "rerouted"):
        forwarding.record(conn, migration["id"], original.call("describe"))
        _ask_whether_empty(migration["server"], original)
        registry.advance(conn, migration["id"], "original_empty")


def emptiness(proof: registry.Proof, said: dict[str, Any]) -> str:
    """What a person who is asked sees, as Markdown: what the registry and the server itself say at this moment."""
    lines = [
        f"After a yes everything on **{proof.server}** is erased, and it is installed with infrastructure "
        f"{proof.to_infrastructure}. Both are asked once more at that moment.",
        "",
        "**The registry says**",
        "",
        f"* on {proof.server} live: {_all_of(proof.living)}",
        f"* of its accounts live on {proof.transit}: {_all_of(proof.on_transit)}",
        f"* IPs routed to {proof.server}: {_all_of(proof.routed_here)}",
        f"* its IPs routed to {proof.transit}: {_all_of(proof.routed_to_transit)}",
        "",
        f"**{proof.server} itself says**: {'it is empty.' if said['empty'] else 'it is NOT empty:'}",
        "",
    ]
    # What a server tells may hold names that customers chose: shown as code, so that nothing in it is a link.
    return "\n".join([*lines, *(f"    {sentence}" for sentence in said["because"])]).rstrip()


def _all_of(names: list[str]) -> str:
    return ", ".join(names) or "none"


def reinstall(
    conn: psycopg.Connection, migration: dict[str, Any], original: Agent, machines: Machines, spec: Specify
) -> None:
    """Reinstalls the original if the registry and the server both say, now, that it is empty; pins its new key.

    Cut off in the middle, the next call finds the proof in the event log: a server that no longer answers is
    then on its way to the new infrastructure, while one that answers is asked again.
    """
    if _past(conn, migration, "reinstalling"):
        return
    # From here on the registry takes no account for this server, so the two answers stay true.
    registry.advance(conn, migration["id"], "reinstalling")
    registry.may_reinstall(conn, migration["id"])
    try:
        _ask_whether_empty(migration["server"], original)
        registry.event(conn, PROVEN, migration=migration["id"], server=migration["server"])
    except (HostUnreachable, AgentError) as error:
        # A server that shows another host key than the pinned one is a new one that was not pinned yet.
        if isinstance(error, AgentError) and error.code != "host_key_changed":
            raise
        log = registry.events(conn, migration_id=migration["id"], limit=1_000_000)
        if not any(event.kind == PROVEN for event in log):
            raise
    machine = spec(registry.server(conn, migration["server"]))
    installed = machines.reinstall(machine, migration["to_infrastructure"])
    registry.enrol_server(conn, migration["server"], migration["to_infrastructure"], installed.host_key, {})


def wipe_transit(conn: psycopg.Connection, migration: dict[str, Any], machines: Machines, spec: Specify) -> None:
    """Wipes the transit. Not once it is back in the pool: by then it may be another customer's."""
    request = registry.request_of(conn, migration["id"])
    if request is not None and request.state == "returned_to_pool":
        return
    transit = registry.may_wipe(conn, migration["id"])
    machines.wipe(spec(registry.server(conn, transit)))
    registry.transit_wiped(conn, migration["id"])


def _ask_whether_empty(server: str, host: Agent) -> None:
    proof = host.call("prove_empty")
    if not proof["empty"]:
        raise registry.Refused(f"{server} is not empty and is not reinstalled: {' '.join(proof['because'])}")


def _past(conn: psycopg.Connection, migration: dict[str, Any], state: str) -> bool:
    return past(registry.migration(conn, migration["id"]).state, state)
