"""Which of a server's addresses do not do for what is to be done with it."""

from collections.abc import Iterable
from ipaddress import ip_address

import psycopg

from include.registry.database import in_transaction
from include.registry.kinds import ONE_CUSTOMERS, ServerKind
from include.registry.network import ips_of
from include.registry.servers import Server


@in_transaction
def unfit_addresses(conn: psycopg.Connection, server: Server) -> list[str]:
    """Why a customer's own server cannot be migrated, or a transit not be lent, with the addresses that it has: a
    sentence each. The inventory takes addresses as they are; a server of another kind needs no more."""
    if server.kind in ONE_CUSTOMERS:
        return [*missing_addresses(server), *_shares(server, [ip.address for ip in ips_of(conn, server.name)])]
    return missing_addresses(server) if server.kind == ServerKind.TRANSIT else []


def missing_addresses(server: Server) -> list[str]:
    """Which addresses a server lacks to be installed, and to have IPs routed to it: a sentence each. The view `pool`
    asks the same of a transit."""
    sentences = []
    if ip_address(server.management_address).version != 4:
        sentences.append(
            f"{server.name} is managed at {server.management_address}, but is installed over IPv4: give it an IPv4"
            " management address."
        )
    for field, family in (("lan_address", "IPv4"), ("lan_address6", "IPv6")):
        if getattr(server, field) is None:
            sentences.append(
                f"{server.name} has no {family} LAN address, which the router needs to send its IPs to it: give it one"
                f" ({field} in the inventory)."
            )
    return sentences


def _shares(server: Server, ips: Iterable[str]) -> list[str]:
    """An address that stays with the machine while its IPs go to the transit cannot be one of them."""
    own = {
        "management": server.management_address,
        "IPv4 LAN": server.lan_address,
        "IPv6 LAN": server.lan_address6,
    }
    return [
        f"{address} is the {use} address of {server.name} and a service address too: after the reroute its transit"
        f" would answer there, so give {server.name} a {use} address of its own."
        for use, address in own.items()
        if address in set(ips)
    ]
