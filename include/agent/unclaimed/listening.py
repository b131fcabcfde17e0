"""What listens on the network and is neither an account's, nor the system's, nor one of the layout's services."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ..layouts import own
from ..verbs import Thing
from . import debian, packages
from .here import Here, thing
from .running import processes

KIND = "listener"
_TABLES = ("tcp", "tcp6", "udp", "udp6")
_LISTENS = {"tcp": "0A", "udp": "07"}
_SHOWN = 10


@dataclass(frozen=True)
class _Socket:
    inode: int
    user: int
    what: str


def look(here: Here) -> list[Thing]:
    """Each by its program, and the service of systemd that it belongs to."""
    known = packages.matching((*debian.PROGRAMS, *own.PROGRAMS))
    # What has ended between one look and the other listens no longer.
    first, whose = {*_sockets(here)}, _whose(here)
    found: dict[str, list[str]] = {}
    for one in first.intersection(_sockets(here)):
        if one.user in here.users:
            continue
        program, unit = whose.get(one.inode, ("", None))
        if program and known.match(os.fsencode(program)):
            continue
        name = (f"{program} ({unit})" if unit else program) or f"no process, {one.what}"
        found.setdefault(name, []).append(one.what)
    return [thing(KIND, name, f"{name} listens here on {_some(what)}.") for name, what in sorted(found.items())]


def _some(what: list[str]) -> str:
    shown = sorted({*what})
    return ", ".join(shown[:_SHOWN]) + (f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else "")


def _sockets(here: Here) -> list[_Socket]:
    """What waits for others. A port that the kernel has given out for a question is none."""
    return [one for table in _TABLES for one in _table(here, table)]


def _table(here: Here, table: str) -> Iterator[_Socket]:
    protocol, given_out = table[:3], _given_out(here)
    path = here.at(f"/proc/net/{table}")
    for line in path.read_text().splitlines()[1:] if path.exists() else []:
        fields = line.split()
        address, _, port = fields[1].partition(":")
        number = int(port, 16)
        if fields[3] == _LISTENS[protocol] and not (protocol == "udp" and number in given_out):
            yield _Socket(int(fields[9]), int(fields[7]), f"{protocol} {_address(address)}:{number}")


def _given_out(here: Here) -> range:
    path = here.at("/proc/sys/net/ipv4/ip_local_port_range")
    first, last = map(int, path.read_text().split()) if path.exists() else (32768, 60999)
    return range(first, last + 1)


def _address(text: str) -> str:
    """The kernel writes addresses in words of four bytes, each in this machine's order."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    address = socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, packed)
    return f"[{address}]" if ":" in address else address


def _whose(here: Here) -> dict[int, tuple[str, str | None]]:
    """By its number, the program and service of each socket; of several the one that began it."""
    found: dict[int, tuple[str, str | None]] = {}
    for each in sorted(processes(here), key=lambda one: -one.pid):
        for inode in each.sockets():
            found[inode] = each.program, each.unit
    return found
