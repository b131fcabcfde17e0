"""Routes on a Linux router, reached through a function that runs one command there.

A reroute is one `ip route replace`: the kernel swaps the next hop in one step, so there is no instant
without a route. The new server must accept the IP before (make before break); nothing is deleted first.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable

Run = Callable[[list[str]], str]


class RouteError(Exception):
    """The router did not do what was asked; the message says what it said."""


def _parse(ip: str, next_hop: str | None = None) -> tuple[list[str], str]:
    """The family's options of `ip`, and the IP as a host route."""
    try:
        address = ipaddress.ip_address(ip)
        hop = ipaddress.ip_address(next_hop) if next_hop is not None else address
    except ValueError as error:
        raise RouteError(f"{error}: give a plain IPv4 or IPv6 address.") from None
    if hop.version != address.version:
        raise RouteError(f"{ip} cannot be routed via {next_hop}: both must be IPv4 or both IPv6.")
    return (["-6"] if address.version == 6 else []), f"{address}/{address.max_prefixlen}"


def replace_argv(ip: str, next_hop: str) -> list[str]:
    """The command that routes `ip` to `next_hop`, whatever it was routed to."""
    family, route = _parse(ip, next_hop)
    return ["ip", *family, "route", "replace", route, "via", str(ipaddress.ip_address(next_hop))]


def show_argv(ip: str) -> list[str]:
    """The command that prints the route of `ip` as JSON."""
    family, route = _parse(ip)
    return ["ip", *family, "-j", "route", "show", route]


def current_next_hop(run: Run, ip: str) -> str | None:
    """The address that `ip` is routed to now, or None if it has no route of its own."""
    answer = run(show_argv(ip)).strip()
    try:
        routes = json.loads(answer or "[]")
        hops = [route["gateway"] for route in routes]
    except (ValueError, KeyError, TypeError):
        raise RouteError(f"The router's answer for {ip} is no list of routes: {answer[:200]!r}.") from None
    if len(hops) > 1:
        raise RouteError(f"{ip} has {len(hops)} routes ({', '.join(hops)}): leave one of them on the router.")
    return hops[0] if hops else None


def reroute(run: Run, ip: str, next_hop: str) -> str | None:
    """Route `ip` to `next_hop` and see that it is so. Returns the next hop before; can be repeated."""
    target = str(ipaddress.ip_address(next_hop)) if _parse(ip, next_hop) else next_hop
    before = current_next_hop(run, ip)
    if before != target:
        run(replace_argv(ip, next_hop))
        after = current_next_hop(run, ip)
        if after != target:
            raise RouteError(f"{ip} is routed to {after or 'nowhere'}, not {target}: look at the router.")
    return before
