"""Which files of a server belong to a package, by dpkg's own lists, and which its tools have made for one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

_DPKG = "/var/lib/dpkg"
_MERGED = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
"""Folders of the root that may be links into /usr; packages go on calling them so."""


def owned(root: Path) -> set[bytes]:
    """Every file and folder that a package has brought, put aside for another one, or has in ucf's care."""
    dpkg = root / _DPKG.lstrip("/")
    paths: set[bytes] = {b"/"}
    for listing in dpkg.glob("info/*.list"):
        paths.update(listing.read_bytes().splitlines())
    # Three lines each: what is put aside, its new place, the package.
    paths.update(_lines(dpkg / "diversions")[1::3])
    paths.update(line.split(b" ", 1)[1].strip() for line in _lines(root / "var/lib/ucf/registry") if b" " in line)
    merged = [folder.encode() for folder in _MERGED if (root / folder.lstrip("/")).is_symlink()]
    paths.update(b"/usr" + path for path in tuple(paths) if path.startswith(tuple(m + b"/" for m in merged)))
    return paths


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []


def matching(places: Iterable[str]) -> re.Pattern[bytes]:
    """What matches each of these places (`*` stands for a part of one name) and whatever is below."""
    patterns = (re.escape(place).replace(r"\*", "[^/]*") for place in places)
    return re.compile(os.fsencode(rf"(?:{'|'.join(patterns)})(?:/.*)?\Z"), re.DOTALL)
