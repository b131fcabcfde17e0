"""What happens to whole servers: checked before a migration, emptied, reinstalled, wiped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import psycopg

from include import registry
from include.agent import verbs
from include.agent.account.engines import DECLARED
from include.agent.host.codec import plain
from include.agent.verbs.described import Description, Entry
from include.facts import MigrationFacts, NothingToDo
from include.hosts import NO_AGENT, AgentError, Host, HostUnreachable
from include.machines import Machines, MachineSpec
from include.moves import forwarding, names, unclaimed
from include.moves.asking import descriptions
from include.moves.channel import without_secrets
from include.moves.requirements import Seen, unfit
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


def serving(description: Description) -> list[Entry]:
    """The accounts that a described server serves, or would serve when its hold ends."""
    return [account for account in description.accounts if account["state"] in ("serving", "held")]


def refresh(conn: psycopg.Connection, server: str, host: Host) -> list[str]:
    """Brings the registry up to date with what `server` says that it serves (an account created meanwhile); gives a
    sentence on each account that it has no longer, and on the old path of each that has left it."""
    description = without_secrets(host.call(verbs.Describe()))
    gone = take_description(conn, server, description)
    migration = registry.migration_of(conn, server)
    return gone + (forwarding.record(conn, migration.id, description) if migration is not None else [])


def take_description(conn: psycopg.Connection, server: str, description: Description) -> list[str]:
    """The registry knows what a server, without secrets, says of itself; gives a sentence on each account that it has
    no longer."""
    registry.record_description(conn, server, plain(description))
    registry.sync_accounts(conn, server, serving(description))
    return note_missing(conn, server, description)


def note_missing(conn: psycopg.Connection, server: str, description: Description) -> list[str]:
    """Which accounts the server has no longer, a sentence each. An agent of before does not tell which files it cannot
    read: nothing follows from what it does not list."""
    if description.unreadable is None:
        return []
    logins = [account["account"] for account in description.accounts] + description.unreadable
    return registry.note_missing(conn, server, logins, lambda gone: _left_of(gone, description.unclaimed))


def _left_of(account: registry.Account, nobodys: dict[str, list[str]]) -> list[str]:
    """What of an account is still on its server, among what is nobody's there."""
    left = ["a user or home of that name"] if account.login in nobodys["users"] else []
    for engine in DECLARED:
        known = (account.description or {}).get(engine.name, {}).get("databases", [])
        left += [f"the {engine.title} database {one['name']!r}" for one in known if one["name"] in nobodys[engine.name]]
    return left


def refresh_all(conn: psycopg.Connection, reach: Callable[[str], Host]) -> list[str]:
    """Brings the registry up to date with every server that accounts may come to: its room, and who lives there. Gives
    a sentence on each that does not answer, and on each account that its server has no longer."""
    hosts = {server.name: reach(server.name) for server in registry.list_servers(conn) if _may_get_accounts(server)}
    described, sentences = descriptions(hosts)
    for name, description in described.items():
        sentences += take_description(conn, name, without_secrets(description))
    return sentences


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
    if begun is None:
        # Before anything begins, and kept whatever it comes to: a person signs for what is told there.
        unclaimed.require_signed(conn, server, reach(server))
    if begun is None or begun.run_id != run_id:
        with conn.transaction():
            # In a migration already: refused without asking a server that may just be reinstalled.
            if begun is None:
                refresh(conn, server, reach(server))
                require_fit(conn, server)
            begun = registry.begin_migration(
                conn, server, entry, run_id, requested_by, lift_gate_because=lift_gate_because or None
            )
    return MigrationFacts(begun.id, begun.server, begun.from_infrastructure, begun.to_infrastructure)


def require_fit(conn: psycopg.Connection, name: str) -> None:
    """Refused where the server, by what it has just said of itself, lacks something that a move needs."""
    server = registry.server(conn, name)
    ips = tuple(ip.address for ip in registry.ips_of(conn, name))
    for sentence in unfit(Seen(name, server.infrastructure, server.description or {}, server, ips=ips)):
        raise registry.RegistryRefused(sentence)


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
        require_empty(conn, registry.certain(name), f"{name} is not empty and is not handed over", transit)
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
        _ask_original(conn, migration, original)
        registry.advance(conn, migration.id, MigrationState.ORIGINAL_EMPTY)


def emptiness(proof: registry.Proof, answer: verbs.Emptiness, unclaimed: list[registry.Unclaimed]) -> str:
    """What a person who is asked sees, as Markdown: what the registry and the server itself say at this moment, and
    what is erased because somebody has signed for it."""
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
    lines += [f"    {sentence}" for sentence in answer.because]
    signed = [each for each in unclaimed if each.signed_by is not None]
    if signed:
        lines += ["", "**Signed for, and erased with it**", ""]
        lines += [f"    {each.sentence} (signed by {each.signed_by}: {each.reason})" for each in signed]
    return "\n".join(lines).rstrip()


def _all_of(names: list[str]) -> str:
    return ", ".join(names) or "none"


def reinstall(
    conn: psycopg.Connection, migration: MigrationFacts, original: Host, machines: Machines, spec: Specify
) -> None:
    """Reinstalls the original if the registry and the server both say, now, that it is empty; pins the key that it
    shows then. The disk that it had is kept: until the accounts are home, the transit has the only other copy. The SSH
    host keys on that disk are the server's again, unless the registry says that it gets a new one.

    Cut off in the middle, the next call finds the proof in the event log: a server that no longer answers, or has no
    agent, is then on its way to the new infrastructure, while one that answers is asked again.
    """
    if _past(conn, migration, MigrationState.REINSTALLING):
        return
    # From here on the registry takes no account for this server, so the two answers stay true.
    registry.advance(conn, migration.id, MigrationState.REINSTALLING)
    registry.may_reinstall(conn, migration.id)
    try:
        _ask_original(conn, migration, original)
        registry.event(conn, EventKind.ORIGINAL_PROVEN_EMPTY, migration=migration.id, server=migration.server)
    except (HostUnreachable, AgentError) as error:
        if isinstance(error, AgentError) and not was_just_installed(original, error):
            raise
        if not _proven(conn, migration, EventKind.ORIGINAL_PROVEN_EMPTY):
            raise
    server = registry.server(conn, migration.server)
    machine, disk = spec(server), registry.certain(registry.migration(conn, migration.id).disk_kept)
    machines.keep(machine, disk)
    installed = machines.reinstall(machine, migration.to_infrastructure, disk if server.keep_host_keys else None)
    registry.enrol_server(conn, migration.server, migration.to_infrastructure, installed.host_key, {})


def was_just_installed(host: Host, error: AgentError) -> bool:
    """Whether a server that refused to say whether it is empty is a new one: it shows another host key than the pinned
    one, or the same key, kept, and has no agent yet."""
    return error.code == "host_key_changed" or (error.code == "no_answer" and host.agent_digest() == NO_AGENT)


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
            require_empty(conn, transit.name, f"Transit {transit.name} is not empty, so it stays as it is", agent)
        except (HostUnreachable, AgentError) as error:
            handed_over = registry.lease_of(conn, migration.id) is not None
            if isinstance(error, AgentError) and error.code == "other_protocol":
                raise  # it answers, and could be asked after an upgrade
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


def _ask_original(conn: psycopg.Connection, migration: MigrationFacts, original: Host) -> None:
    require_empty(conn, migration.server, f"{migration.server} is not empty and is not reinstalled", original)


def require_empty(conn: psycopg.Connection, server: str, otherwise: str, host: Host) -> None:
    """Refused, beginning with `otherwise`, unless the server itself says that nothing of anybody is on it, but for what
    was signed for."""
    proof = ask_whether_empty(conn, server, host)
    if not proof.empty:
        unsigned = any(one.signed_by is None for one in registry.unclaimed_of(conn, server))
        to_do = f" {unclaimed.what_to_do(server)}" if unsigned else ""
        raise registry.RegistryRefused(f"{otherwise}: {unclaimed.some(proof.because)}{to_do}")


def ask_whether_empty(conn: psycopg.Connection, server: str, host: Host) -> verbs.Emptiness:
    """What the server itself says at this moment, which knows what was signed for."""
    proof = host.call(verbs.ProveEmpty(signed=unclaimed.signed(conn, server)), timeout=unclaimed.TIMEOUT)
    unclaimed.keep(conn, server, proof.unclaimed)
    return proof


def _past(conn: psycopg.Connection, migration: MigrationFacts, state: str) -> bool:
    return past(registry.migration(conn, migration.id).state, state)
