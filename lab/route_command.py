"""The forced command of the router's key: `ip route show|get|replace` for service IPs, and nothing else.

Stands alone (standard library only): the router's sshd runs it with the system's Python.
"""

from __future__ import annotations

import ipaddress
import os
import sys

SERVICE = (ipaddress.ip_network("198.51.100.0/24"), ipaddress.ip_network("2001:db8:100::/64"))
LAN = (ipaddress.ip_network("10.30.0.0/24"), ipaddress.ip_network("fd30::/64"))
USAGE = "permitted: ip [-6] [-j] route show [PREFIX] | get ADDRESS | replace SERVICE-IP via LAN-ADDRESS"


class NotPermitted(ValueError):
    """The command is none of those that are permitted."""


def permitted(command: str) -> list[str]:
    """The argv that a requested command stands for, built anew from its checked parts. Raises NotPermitted."""
    words = command.split()
    options = []
    if words[:1] != ["ip"]:
        raise NotPermitted(USAGE)
    words = words[1:]
    for option in ("-6", "-j"):
        if words[:1] == [option]:
            options.append(words.pop(0))
    version = 6 if "-6" in options else 4
    match words:
        case ["route", "show"]:
            rest = ["show"]
        case ["route", "show", prefix]:
            rest = ["show", str(_prefix(prefix, version))]
        case ["route", "get", address]:
            rest = ["get", str(_prefix(address, version).network_address)]
        case ["route", "replace", prefix, "via", hop]:
            route, lan = _prefix(prefix, version), _prefix(hop, version)
            if route.num_addresses != 1 or not any(_within(route, net) for net in SERVICE):
                raise NotPermitted(f"{prefix} is no service IP of this host; give one as a host route")
            if lan.num_addresses != 1 or not any(_within(lan, net) for net in LAN):
                raise NotPermitted(f"{hop} is no server's address on the LAN")
            rest = ["replace", str(route), "via", str(lan.network_address)]
        case _:
            raise NotPermitted(USAGE)
    return ["/usr/sbin/ip", *options, "route", *rest]


def _prefix(text: str, version: int) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise NotPermitted(f"{text!r} is no address or prefix") from None
    if network.version != version:
        raise NotPermitted(f"{text} is IPv{network.version}: {'leave out' if version == 6 else 'add'} -6")
    return network


def _within(inner, outer) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)


if __name__ == "__main__":
    try:
        argv = permitted(os.environ.get("SSH_ORIGINAL_COMMAND", ""))
    except NotPermitted as refusal:
        sys.exit(f"refused: {refusal}")
    os.execv(argv[0], argv)
