"""What listens on the network and is neither an account's, nor the system's, nor one of the layout's services."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ..layouts import own
from ..verbs import Unclaimed
from . import debian, packages
from .here import Here, unclaimed
from .running import processes

KIND = "listener"
_TABLES = ("tcp", "tcp6", "udp", "udp6")
_LISTENS = {"tcp": "0A", "udp": "07"}
_SHOWN = 10


@dataclass(frozen=True)
class _Socket:
    inode: int
    user: int
    address: str


def look(here: Here) -> list[Unclaimed]:
    """Each by its program, and the service of systemd that it belongs to."""
    own_programs = packages.matching((*debian.PROGRAMS, *own.PROGRAMS))
    # What has ended between one look and the other listens no longer.
    first, whose = {*_sockets(here)}, _whose(here)
    addresses: dict[str, list[str]] = {}
    for listener in first.intersection(_sockets(here)):
        if listener.user in here.users:
            continue
        program, unit = whose.get(listener.inode, ("", None))
        if program and own_programs.match(os.fsencode(program)):
            continue
        name = (f"{program} ({unit})" if unit else program) or f"no process, {listener.address}"
        addresses.setdefault(name, []).append(listener.address)
    return [
        unclaimed(KIND, name, f"{name} listens here on {_some(of_name)}.")
        for name, of_name in sorted(addresses.items())
    ]


def _some(addresses: list[str]) -> str:
    shown = sorted({*addresses})
    return ", ".join(shown[:_SHOWN]) + (f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else "")


def _sockets(here: Here) -> list[_Socket]:
    """What waits for others. A port that the kernel has given out for a question is none."""
    return [listener for table in _TABLES for listener in _table(here, table)]


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
    programs: dict[int, tuple[str, str | None]] = {}
    for each in sorted(processes(here), key=lambda process: -process.pid):
        for inode in each.sockets():
            programs[inode] = each.program, each.unit
    return programs
