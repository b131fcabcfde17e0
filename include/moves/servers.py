"""What happens to whole servers: checked before a migration, emptied, reinstalled, wiped."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg

from include import registry
from include.agent import verbs
from include.facts import MigrationFacts, NothingToDo
from include.hosts import AgentError, Host, HostUnreachable
from include.machines import Machines, MachineSpec
from include.moves import forwarding, names
from include.moves.channel import without_secrets
from include.network.names import Names
from include.registry import states
from include.registry.kinds import EventKind, ServerKind
from include.registry.states import MigrationState, RequestState, ServerState

Reach = Callable[[registry.Server], Host]
"""The agent of a server, which shows the host key of this row."""


Specify = Callable[[registry.Server], MachineSpec]
"""Says how a server of the registry is made."""

SHARED_BY_MANY = (ServerKind.SHARED, ServerKind.DATABASE, ServerKind.TEST)
"""The kinds of servers that are chosen by their room."""


def past(state: str, other: str) -> bool:
    """Whether a migration in `state` has left `other` behind it."""
    return state != other and states.MIGRATION.there_or_past(state, other)


def serving(description: dict[str, Any]) -> list[dict[str, Any]]:
    """The accounts that a described server serves, or would serve when its hold ends."""
    return [account for account in description["accounts"] if account["state"] in ("serving", "held")]


def refresh(conn: psycopg.Connection, server: str, host: Host) -> list[str]:
    """Brings the registry up to date with what `server` says that it serves (an account created meanwhile); gives a
    sentence on the old path of each account that has left it."""
    description = without_secrets(host.call(verbs.Describe()))
    registry.record_description(conn, server, description)
    registry.sync_accounts(conn, server, serving(description))
    migration = registry.migration_of(conn, server)
    return forwarding.record(conn, migration.id, description) if migration is not None else []


def refresh_all(conn: psycopg.Connection, reach: Callable[[str], Host]) -> list[str]:
    """Brings the registry up to date with every server that accounts may come to: its room, and who lives there. Gives
    a sentence on each that does not answer."""
    hosts = {server.name: reach(server.name) for server in registry.list_servers(conn) if _may_get_accounts(server)}

    def ask(name: str) -> dict[str, Any] | str:
        try:
            return without_secrets(hosts[name].call(verbs.Describe()))
        except (HostUnreachable, AgentError) as error:
            return f"{name}: {error}"

    with ThreadPoolExecutor(16) as pool:
        answers = dict(zip(hosts, pool.map(ask, hosts), strict=True))
    for name, answer in answers.items():
        if not isinstance(answer, str):
            registry.record_description(conn, name, answer)
            registry.sync_accounts(conn, name, serving(answer))
    return [answer for answer in answers.values() if isinstance(answer, str)]


def _may_get_accounts(server: registry.Server) -> bool:
    """A transit is the only server that its customer has while it is theirs: they make accounts there as well."""
    lent = server.kind == ServerKind.TRANSIT and server.state == ServerState.HANDED_OVER
    shared = server.kind in SHARED_BY_MANY or lent
    return shared and server.host_key is not None


def make_known(conn: psycopg.Connection, account: str, to_server: str, reach: Callable[[str], Host]) -> None:
    """The registry learns of an account that was created since the hand-over of the transit `to_server`, if so."""
    migration = registry.migration_of(conn, to_server)
    if migration is None or migration.transit != to_server or migration.state != MigrationState.HANDED_OVER:
        return
    if account not in {known.name for known in registry.accounts_of(conn, migration.server)}:
        refresh(conn, migration.server, reach(migration.server))


def begin(
    conn: psycopg.Connection,
    server: str,
    entry: str,
    run_id: str,
    requested_by: str,
    lift_gate_because: str | None,
    reach: Callable[[str], Host],
) -> MigrationFacts:
    """Begins the migration of `server`, or finds the one that this run began. Every account is tested for it before,
    unless there is a reason to lift that gate.

    Refused, with nothing changed, for whatever the registry or the server itself knows against it.
    """
    begun = registry.migration_of(conn, server)
    if begun is None or begun.run_id != run_id:
        with conn.transaction():
            # In a migration already: refused without asking a server that may just be reinstalled.
            if begun is None:
                refresh(conn, server, reach(server))
            begun = registry.begin_migration(
                conn, server, entry, run_id, requested_by, lift_gate_because=lift_gate_because or None
            )
    return MigrationFacts(begun.id, begun.server, begun.from_infrastructure, begun.to_infrastructure)


def require_not_given_up(conn: psycopg.Connection, migration: MigrationFacts) -> None:
    """There is nothing more to do for a migration that was cancelled or has failed, but for its way out."""
    now = registry.migration(conn, migration.id)
    if now.given_up:
        raise NothingToDo(f"The migration of {now.server} is {now.state}.")


def install_transit(
    conn: psycopg.Connection, migration: MigrationFacts, reach: Reach, machines: Machines, spec: Specify
) -> None:
    """Installs the transit anew, with the new infrastructure, and pins its host key; not once it is handed over.
    Refused unless the registry and the transit itself say, now, that nothing of anybody is on it."""
    if _past(conn, migration, MigrationState.INSTALLING_TRANSIT):
        return
    transit = registry.server(conn, registry.may_install_transit(conn, migration.id))
    _prove_transit_empty(conn, migration, transit, reach, machines, spec, act="install")
    installed = machines.reinstall(spec(transit), migration.to_infrastructure)
    registry.enrol_server(conn, transit.name, migration.to_infrastructure, installed.host_key, {})


def hand_over(conn: psycopg.Connection, migration: MigrationFacts, transit: Host, zone: Names) -> list[str]:
    """Lowers the TTLs, then hands the transit over, once; refused unless it itself says that nothing of anybody is on
    it. Gives what customers are told of names that will not follow."""
    sentences = names.repoint(conn, zone, migration.server)
    if registry.lease_of(conn, migration.id) is None:
        name = registry.migration(conn, migration.id).transit
        _ask_whether_empty(f"{name} is not empty and is not handed over", transit)
    registry.hand_over(conn, migration.id)
    return sentences


def every_account_left(conn: psycopg.Connection, migration: MigrationFacts) -> bool:
    """Records that the customer's last account has left the original. Refused while one has not.

    False once the IPs are rerouted: from then on names and IPs may be on their way home.
    """
    if _past(conn, migration, MigrationState.ACCOUNTS_MOVED):
        return False
    registry.last_account_left(conn, migration.id)
    return True


def every_account_home(conn: psycopg.Connection, migration: MigrationFacts, transit: Host) -> None:
    """Records that every account is home. Refused while one is not, be it one that was made on the transit."""
    record = registry.migration(conn, migration.id)
    if past(record.state, MigrationState.REINSTALLED):
        return
    refresh(conn, registry.certain(record.transit), transit)
    away = registry.accounts_not_on(conn, migration.id, migration.server)
    if away:
        raise registry.RegistryRefused(f"Not home yet: {', '.join(away)}. Clear move_accounts_home.")
    registry.advance(conn, migration.id, MigrationState.ACCOUNTS_HOME)


def prove_original_empty(conn: psycopg.Connection, migration: MigrationFacts, original: Host) -> None:
    """Records that the registry and the original itself say that nothing lives there. Refused otherwise."""
    if not _past(conn, migration, MigrationState.REROUTED):
        forwarding.record(conn, migration.id, original.call(verbs.Describe()))
        _ask_original(migration, original)
        registry.advance(conn, migration.id, MigrationState.ORIGINAL_EMPTY)


def emptiness(proof: registry.Proof, answer: verbs.Emptiness) -> str:
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
        f"**{proof.server} itself says**: {'it is empty.' if answer.empty else 'it is NOT empty:'}",
        "",
    ]
    # What a server tells may hold names that customers chose: shown as code, so that nothing in it is a link.
    return "\n".join([*lines, *(f"    {sentence}" for sentence in answer.because)]).rstrip()


def _all_of(names: list[str]) -> str:
    return ", ".join(names) or "none"


def reinstall(
    conn: psycopg.Connection, migration: MigrationFacts, original: Host, machines: Machines, spec: Specify
) -> None:
    """Reinstalls the original if the registry and the server both say, now, that it is empty; pins its new key. The
    disk that it had is kept: until the accounts are home, the transit has the only other copy.

    Cut off in the middle, the next call finds the proof in the event log: a server that no longer answers is
    then on its way to the new infrastructure, while one that answers is asked again.
    """
    if _past(conn, migration, MigrationState.REINSTALLING):
        return
    # From here on the registry takes no account for this server, so the two answers stay true.
    registry.advance(conn, migration.id, MigrationState.REINSTALLING)
    registry.may_reinstall(conn, migration.id)
    try:
        _ask_original(migration, original)
        registry.event(conn, EventKind.ORIGINAL_PROVEN_EMPTY, migration=migration.id, server=migration.server)
    except (HostUnreachable, AgentError) as error:
        # A server that shows another host key than the pinned one is a new one that was not pinned yet.
        if isinstance(error, AgentError) and error.code != "host_key_changed":
            raise
        if not _proven(conn, migration, EventKind.ORIGINAL_PROVEN_EMPTY):
            raise
    machine = spec(registry.server(conn, migration.server))
    machines.keep(machine, registry.certain(registry.migration(conn, migration.id).disk_kept))
    installed = machines.reinstall(machine, migration.to_infrastructure)
    registry.enrol_server(conn, migration.server, migration.to_infrastructure, installed.host_key, {})


def discard_kept_disk(conn: psycopg.Connection, migration: MigrationFacts, original: Host, machines: Machines) -> None:
    """Removes the disk that the original had before, once every account is home: by the registry, and by the original
    itself, which serves each."""
    record = registry.migration(conn, migration.id)
    if record.disk_kept is None or record.disk_discarded_at is not None:
        return
    here = {account["account"] for account in serving(original.call(verbs.Describe()))}
    if missing := [account.name for account in registry.accounts_of(conn, record.server) if account.login not in here]:
        raise registry.RegistryRefused(
            f"{record.server} itself does not serve {', '.join(missing)}: the disk that it had before is kept. Find "
            "out where that is, then clear this task."
        )
    for label in kept_disks(record.disk_kept):
        machines.discard(label)
    registry.disk_discarded(conn, record.id)


def kept_disks(label: str) -> tuple[str, str]:
    """The labels of what may be kept of a migration: the original's disk, and that of a transit that died."""
    return label, f"{label}-lost"


def wipe_transit(
    conn: psycopg.Connection, migration: MigrationFacts, reach: Reach, machines: Machines, spec: Specify
) -> None:
    """Wipes the transit if the registry and the transit itself say, now, that nothing of anybody is on it. Not once it
    is back in the pool: by then it may be another customer's."""
    if registry.migration(conn, migration.id).transit is None:
        raise NothingToDo("The migration was cancelled before it had a transit.")
    request = registry.request_of(conn, migration.id)
    if request is not None and request.state == RequestState.RETURNED_TO_POOL:
        return
    transit = registry.server(conn, registry.may_wipe(conn, migration.id))
    _prove_transit_empty(conn, migration, transit, reach, machines, spec, act="wipe")
    machines.wipe(spec(transit))
    registry.transit_wiped(conn, migration.id)


def _prove_transit_empty(
    conn: psycopg.Connection,
    migration: MigrationFacts,
    transit: registry.Server,
    reach: Reach,
    machines: Machines,
    spec: Specify,
    act: str,
) -> None:
    """Asks the transit itself, whatever the registry believes: it may have been restored from a backup.

    Cut off in the middle, the next call finds the proof in the event log: a transit that does not answer is then on its
    way, while one that answers is asked again.
    """
    machine = machines.there(spec(transit))
    if machine is not None:
        try:
            # A free transit has no pinned key: what it is known by is what its machine was made with.
            agent = reach(replace(transit, host_key=machine.host_key))
            _ask_whether_empty(f"Transit {transit.name} is not empty, so it stays as it is", agent)
        except (HostUnreachable, AgentError) as error:
            handed_over = registry.lease_of(conn, migration.id) is not None
            before = (act,) if handed_over else (act, "install")  # until then it may have no agent yet
            if not any(
                _proven(conn, migration, EventKind.TRANSIT_PROVEN_EMPTY, act=proven_act) for proven_act in before
            ):
                raise registry.RegistryRefused(
                    f"Transit {transit.name} cannot be asked whether it is empty, so it stays as it is: {error} Look "
                    "at it, and wipe it by hand only if you know that nobody's data is on it; then clear this task."
                ) from error
    registry.event(
        conn, EventKind.TRANSIT_PROVEN_EMPTY, migration=migration.id, server=transit.name, detail={"act": act}
    )


def _proven(conn: psycopg.Connection, migration: MigrationFacts, kind: EventKind, **detail: str) -> bool:
    """Whether the log of this migration has such a proof."""
    log = registry.list_events(conn, migration_id=migration.id, limit=1_000_000)
    return any(event.kind == kind and detail.items() <= event.detail.items() for event in log)


def _ask_original(migration: MigrationFacts, original: Host) -> None:
    _ask_whether_empty(f"{migration.server} is not empty and is not reinstalled", original)


def _ask_whether_empty(otherwise: str, host: Host) -> None:
    proof = host.call(verbs.ProveEmpty())
    if not proof.empty:
        raise registry.RegistryRefused(f"{otherwise}: {' '.join(proof.because)}")


def _past(conn: psycopg.Connection, migration: MigrationFacts, state: str) -> bool:
    return past(registry.migration(conn, migration.id).state, state)
