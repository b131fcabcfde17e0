"""A server's IPs: out to the transit and home again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any

import psycopg

from include import registry
from include.agent import verbs
from include.hosts import Host
from include.network import routes

Run = Callable[[list[str]], str]
"""Runs one command on the router and gives what it wrote."""

DRAIN_SECONDS = 0.5
"""With the reroute after it less than the second after which a visitor's system asks again."""


def own_addresses(conn: psycopg.Connection, server: str) -> dict[str, str]:
    """The server's own service address for each record type: {"A": ..., "AAAA": ...}."""
    addresses: dict[str, str] = {}
    for ip in registry.ips_of(conn, server):
        addresses.setdefault(record_type(ip.address), str(ip.address))
    return addresses


def record_type(address: Any) -> str:
    """The type of the DNS record that holds `address`."""
    return "A" if ip_address(str(address)).version == 4 else "AAAA"


def send_mail_from_own(conn: psycopg.Connection, server: str, host: Host, *, but: Sequence[str] = ()) -> None:
    """The server's mail to the world leaves by the IPs that lead to it, `but` those that soon will not. On a transit
    the customer's own come before the transit's: from the reroute on their receivers see the address that they know."""
    leading = [ip.address for ip in registry.ips_routed_to(conn, server) if ip.address not in but]
    host.call(verbs.SendMailFrom(ips=leading))


def reroute(
    conn: psycopg.Connection,
    run: Run,
    original: str,
    to: registry.Server,
    host: Callable[[str], Host],
    lost: bool = False,
) -> list[str]:
    """Routes the original's IPs to the server `to`, which accepts them first: an IP always has one that answers.

    The server that had them lets requests in flight end before, so that none breaks; new ones are asked again a
    second later, by the visitor's own system, and meet the next server. One that is `lost` is not asked. Gives the
    addresses.
    """
    ips = registry.ips_of(conn, original)
    addresses = [str(ip.address) for ip in ips]
    host(to.name).call(verbs.AcceptIps(ips=addresses))
    hops = {ip: registry.certain(to.lan_address if record_type(ip) == "A" else to.lan_address6) for ip in addresses}
    before = [] if lost else sorted({ip.routed_to for ip in ips} - {to.name})
    for server in before:
        # Mail that leaves by an address that leads elsewhere would get no answer.
        send_mail_from_own(conn, server, host(server), but=addresses)
    # Asked before the drain: the connection to the router stands when it counts.
    waiting = [ip for ip in addresses if routes.current_next_hop(run, ip) != str(ip_address(hops[ip]))]
    for server in before if waiting else []:
        host(server).call(verbs.DrainIps(ips=waiting, seconds=DRAIN_SECONDS))
    # Nothing but the changes themselves while visitors wait; that they are so is looked at afterwards.
    for ip in waiting:
        run(routes.replace_argv(ip, hops[ip]))
    for ip in waiting:
        routes.reroute(run, ip, hops[ip])
    for server in before:
        # What lasted longer hears of its end at once, instead of waiting for answers that cannot come.
        host(server).call(verbs.ResetIps(ips=addresses))
    for ip in addresses:
        registry.ip_routed(conn, ip, to.name)
    send_mail_from_own(conn, to.name, host(to.name))
    return addresses
