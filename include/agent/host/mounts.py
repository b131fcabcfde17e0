"""What is mounted on this server, as the kernel tells it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True)
class Mount:
    """`at`: where; `kind`: of which file system; `source`: what, as the file system calls it; `within`: the folder of
    that file system which is seen here, / where it is all of it."""

    at: str
    kind: str
    source: str
    within: str


def all_mounts() -> list[Mount]:
    """Every mount, in the order in which they were made."""
    return [_mount(line) for line in MOUNTS.read_bytes().splitlines()]


def _mount(line: bytes) -> Mount:
    before, _, after = line.partition(b" - ")
    fields, (kind, source, *_) = before.split(b" "), after.split(b" ")
    return Mount(_plain(fields[4]), _plain(kind), _plain(source), _plain(fields[3]))


def _plain(field: bytes) -> str:
    """A field without the kernel's way to write spaces in it."""
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda octal: bytes([int(octal[1], 8)]), field))


def below(*folders: str) -> list[str]:
    """Where something is mounted below these folders, whatever is mounted at them."""
    starts = tuple(os.path.realpath(folder).rstrip("/") + "/" for folder in folders)
    return sorted({mount.at for mount in all_mounts() if mount.at.startswith(starts)})
