"""The way back from a transit that died: its accounts serve again, from what the original had when each left it."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from include import registry
from include.agent import verbs
from include.facts import TakeBackFacts
from include.hosts import Host, HostUnreachable
from include.machines import Machines
from include.moves import names, network
from include.moves.servers import Specify, kept_disks
from include.network.names import Names
from include.registry.take_back import IN_TRANSITS_PLACE


def look(conn: psycopg.Connection, server: str, reach: Callable[[str], Host]) -> TakeBackFacts:
    """What is to be taken back. Refused while the transit answers: what it has is newer than anything that
    could be taken back."""
    migration = registry.migration(conn, registry.may_take_back(conn, server))
    transit = registry.certain(migration.transit)
    if registry.taken_back(conn, migration.id) is None:
        try:
            reach(transit).call(verbs.Status(operation="reached"))
        except HostUnreachable:
            pass
        else:
            raise registry.RegistryRefused(
                f"Transit {transit} answers, and has what was written since the accounts left {server}: "
                "nothing is taken back. If it is beyond help, switch it off first."
            )
    return TakeBackFacts(migration.id, server, transit, migration.state in IN_TRANSITS_PLACE)


def what_is_lost(conn: psycopg.Connection, take_back: TakeBackFacts) -> str:
    """What a person reads before they agree, as Markdown."""
    server, transit = take_back.server, take_back.transit
    where = (
        f"the disk that {server} had before its reinstall, started in {transit}'s place"
        if take_back.in_transits_place
        else f"{server} itself, which still has what it had"
    )
    lines = [
        f"**{transit} is switched off and given up.** Its accounts serve again from {where}.",
        "",
        "**For ever lost is what was written, sent and received since each account left:**",
        "",
    ]
    for loss in registry.lost(conn, take_back.id):
        if loss.left_at is None:
            lines.append(f"* {loss.account}: **all of it**; it was made on {transit} and is nowhere else")
        else:
            lines.append(f"* {loss.account}: everything since {loss.left_at:%Y-%m-%d %H:%M:%S %Z}")
    lines += ["", f"Whoever can still read {transit}'s disk can save it; it is not wiped by this."]
    return "\n".join(lines)


def cut_off(
    conn: psycopg.Connection, take_back: TakeBackFacts, because: str, by: str, machines: Machines, spec: Specify
) -> None:
    """Switches the transit off, so that nothing answers there any more, and records that it is given up."""
    if not registry.kept_disk_runs(conn, take_back.id):
        machines.cut_power(spec(registry.server(conn, take_back.transit)))
    registry.begin_take_back(conn, take_back.id, because, by)


def start_kept_disk(conn: psycopg.Connection, take_back: TakeBackFacts, machines: Machines, spec: Specify) -> None:
    """Starts the original's kept disk in the transit's place, whose own disk is put aside; only where the original was
    reinstalled."""
    if not take_back.in_transits_place:
        return
    disk, transit_disk = kept_disks(registry.certain(registry.migration(conn, take_back.id).disk_kept))
    place = spec(registry.server(conn, take_back.transit))
    machines.keep(place, transit_disk)
    registry.kept_disk_started(conn, take_back.id, machines.put_back(place, disk).host_key)


def take_accounts_back(conn: psycopg.Connection, take_back: TakeBackFacts, reach: Callable[[str], Host]) -> list[str]:
    """Every account that lived on the transit serves again, at a new epoch; gives their names."""
    server, transit = (registry.server(conn, name) for name in (take_back.server, take_back.transit))
    stands_in = take_back.in_transits_place
    host = reach(transit.name if stands_in else server.name)
    host.push_agent()
    migration = registry.migration(conn, take_back.id)
    epochs = registry.taken_back(conn, migration.id) or {}
    if stands_in:
        ips = [ip.address for machine in (transit, server) for ip in registry.ips_of(conn, machine.name)]
        host.call(verbs.AcceptIps(ips=ips))
        network.send_mail_from_own(conn, transit.name, host)
        for row in registry.accounts_of(conn, server.name):
            if row.server == server.name:
                host.call(verbs.LeadTo(account=row.login, address=str(server.management_address)))
    because = registry.certain(migration.taken_back_because)
    for account, epoch in epochs.items():
        host.call(verbs.TakeBack(account=registry.account(conn, account).login, epoch=epoch, because=because))
        if not stands_in:
            registry.serves_again(conn, migration.id, account)
    for lost in registry.lost(conn, migration.id):
        if lost.left_at is None:
            registry.remove_account(conn, lost.account, f"It was on {transit.name} alone, which died.", "take_back")
    return sorted(epochs)


def lead_back(
    conn: psycopg.Connection, take_back: TakeBackFacts, zone: Names, router: network.Run, reach: Callable[[str], Host]
) -> list[str]:
    """Names and IPs lead to where the accounts serve; gives what customers are told of names that do not follow."""
    if take_back.in_transits_place:
        return []  # they lead to the transit's place, where the accounts are
    home = registry.server(conn, take_back.server)
    network.reroute(conn, router, home.name, home, reach, lost=True)
    return names.repoint(conn, zone, home.name)
