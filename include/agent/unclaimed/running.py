"""The processes of the server, as the kernel tells of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .here import Here

_UNIT = re.compile(r"/([^/]+\.service)\s*\Z")
_GONE = " (deleted)"


@dataclass(frozen=True)
class Running:
    """`program`: the path of what it runs, as it sees it; `unit`: the service of systemd that it belongs to, if any."""

    pid: int
    parent: int
    user: int
    program: str
    folder: str
    unit: str | None
    proc: Path

    @property
    def name(self) -> str:
        return os.path.basename(self.program)

    def sockets(self) -> set[int]:
        """The numbers of its sockets."""
        numbers = set()
        try:
            for entry in os.scandir(self.proc / "fd"):
                if (leads := os.readlink(entry.path)).startswith("socket:["):
                    numbers.add(int(leads[8:-1]))
        except OSError:
            pass  # it has ended, or this one was closed
        return numbers


def processes(here: Here) -> Iterator[Running]:
    """Every process that has a program; the kernel's own threads have none."""
    proc = here.at("/proc")
    for entry in sorted(proc.iterdir()):
        if entry.name.isdigit() and (process := _process(int(entry.name), entry)):
            yield process


def _process(pid: int, proc: Path) -> Running | None:
    try:
        status = (proc / "status").read_text(errors="replace")
        program = os.readlink(proc / "exe").removesuffix(_GONE)
        folder = os.readlink(proc / "cwd")
        groups = (proc / "cgroup").read_text(errors="replace")
    except OSError:
        return None
    parent, user = (re.search(rf"^{key}:\t(\d+)", status, re.MULTILINE) for key in ("PPid", "Uid"))
    if parent is None or user is None:
        return None
    units = [unit[1] for line in groups.splitlines() if (unit := _UNIT.search(line))]
    return Running(pid, int(parent[1]), int(user[1]), program, folder, units[0] if units else None, proc)
