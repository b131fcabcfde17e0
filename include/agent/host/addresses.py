"""Service IPs on this server: which ones it answers for, and how it lets go of one without breaking a connection."""

import ipaddress
import json
import re
import time
from typing import Any

from .system import RUNTIME, STATE, locked, read_json, refuse, run, write_durably

_IPS = STATE / "ips.json"

# New connections to a draining IP get no answer; whoever asks asks again after a second, and meets the next server.
# The kernel itself forgets an element after its timeout, whoever has died by then.
_DRAINING = """
table inet transhumance
delete table inet transhumance
table inet transhumance {
  set draining4 { type ipv4_addr; flags timeout; }
  set draining6 { type ipv6_addr; flags timeout; }
  chain draining {
    type filter hook input priority -150; policy accept;
    ip daddr @draining4 tcp flags & (syn | ack) == syn drop
    ip6 daddr @draining6 tcp flags & (syn | ack) == syn drop
  }
}
"""
_KEPT_SHUT = 3
"""Seconds: longer than a reroute takes after the drain."""


def accept(addresses: list[str]) -> None:
    """Answer for these addresses from now on, also after a reboot."""
    added = _parsed(addresses)
    with locked(RUNTIME / "ips.lock"):
        listed = read_json(_IPS) or []
        write_durably(_IPS, json.dumps(sorted({*listed, *added})))
        for address in added:
            _put("replace", address)


def drop(addresses: list[str]) -> None:
    """No longer answer for these addresses."""
    dropped = _parsed(addresses)
    with locked(RUNTIME / "ips.lock"):
        listed = read_json(_IPS) or []
        write_durably(_IPS, json.dumps(sorted({*listed} - {*dropped})))
        for address in dropped:
            _put("delete", address)


def accept_known() -> None:
    """At boot: answer again for every address accepted before."""
    for address in read_json(_IPS) or []:
        _put("replace", address)


def drain(addresses: list[str], seconds: float) -> int:
    """Begin no new connection to these addresses and let those in flight end, for `seconds` at most (1 or less, so
    that whoever was not answered asks but once more). Gives how many are still open; `reset` ends them after the
    reroute.
    """
    if not 0 < seconds <= 1:
        refuse("bad_seconds", "A drain lasts 1 second at most: longer than that visitors notice.")
    draining = _parsed(addresses)
    shut = f"timeout {round((seconds + _KEPT_SHUT) * 1000)}ms"
    elements = "".join(
        f"add element inet transhumance draining{6 if ':' in address else 4} {{ {address} {shut} }}\n"
        for address in draining
    )
    run(["nft", "-f", "-"], input=_DRAINING + elements)
    end = time.monotonic() + seconds
    while (still := _open_connections(draining)) and time.monotonic() < end:
        time.sleep(0.02)
    return still


def _open_connections(addresses: list[str]) -> int:
    """How many TCP connections to the addresses are established here."""
    argv = ["ss", "--no-header", "--numeric", "--tcp", "state", "established"]
    return len(run([*argv, *_from(addresses)]).stdout.splitlines())


def reset(addresses: list[str]) -> int:
    """After a reroute: end the connections to these addresses that are still open here, by a reset that tells the
    visitor at once. None could get a packet any more: the next server knows nothing of them, and resets whatever asks.
    Gives how many there were.
    """
    dropped = _parsed(addresses)
    if not dropped:
        return 0
    killed = run(
        ["ss", "--kill", "--no-header", "--numeric", "--tcp", "state", "connected", *_from(dropped)]
    ).stdout.splitlines()
    if left := _open_connections(dropped):
        refuse("not_reset", f"{left} connections to {dropped[0]} stay open: this kernel does not end them (ss --kill).")
    return len(killed)


def _from(addresses: list[str]) -> list[str]:
    """The filter of `ss` for connections whose end here is one of the addresses."""
    words = []
    for index, address in enumerate(addresses):
        words += ["or"] * (index > 0) + ["src", f"[{address}]" if ":" in address else address]
    return words


def plain_address(address: Any) -> str:
    """An IPv4 or IPv6 address as everybody writes it; ValueError for all else. An IPv6 address may have a scope behind
    a `%`, which is any text: none may have one here, as addresses become words of rules and of keys' options."""
    if not isinstance(address, str) or not _PLAIN.fullmatch(address):
        raise ValueError(f"{address!r:.80} is no plain IP address")
    return str(ipaddress.ip_address(address))


def check_address(address: Any) -> str:
    """The same, or a refusal."""
    try:
        return plain_address(address)
    except ValueError as error:
        refuse("bad_address", f"{error}; give a plain IPv4 or IPv6 address.")


_PLAIN = re.compile(r"[0-9A-Fa-f:.]{2,45}")


def _parsed(addresses: list[Any]) -> list[str]:
    return [check_address(address) for address in addresses]


def _put(action: str, address: str) -> None:
    six = ":" in address
    argv = ["ip", "address", action, f"{address}/{128 if six else 32}", "dev", "lo"]
    # Without nodad an IPv6 address is tentative for a second and answers nothing.
    run(argv + (["nodad"] if six and action == "replace" else []), check=action == "replace")
