"""Files outside homes that no package has brought: each by the topmost folder that is nobody's, with count and size.

A folder that a package has brought is gone through; one that none has is weighed as a whole. Links are no files: what
they lead to is looked at where it lies. Other file systems are told as mounts, and only the system's own are entered.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from ..layouts import own
from ..verbs import Unclaimed
from . import debian, packages
from .here import NOT_LOOKED_AT, Here, unclaimed

KIND = "files"
SECONDS = 120.0
"""What the walk may take; what there was no time for is told."""
WEIGHED = 200_000
"""Entries of one folder that are counted; whoever has more is told so."""
MOST_IN_FOLDER = 50
"""Unclaimeds of nobody's in one folder that are told one by one."""


def look(here: Here, elsewhere: Collection[str]) -> list[Unclaimed]:
    """What of files is nobody's. `elsewhere`: places that are told as something else."""
    owned = packages.owned(here.root) | {folder.encode() for folder in debian.FOLDERS}
    walk = _Walk(here, owned, packages.matching((*debian.PLACES, *own.PLACES, *elsewhere)))
    walk.run()
    return walk.things


@dataclass
class Weight:
    """How much there is in a folder; `more`: not all of it was counted."""

    files: int = 0
    bytes: int = 0
    more: bool = False

    def __str__(self) -> str:
        files = f"{self.files} file{'' if self.files == 1 else 's'}"
        return f"{'more than ' if self.more else ''}{files}, {_size(self.bytes)}"


def _size(number: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


@dataclass
class _Walk:
    here: Here
    owned: set[bytes]
    passed_over: re.Pattern[bytes]
    things: list[Unclaimed] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    """Folders for which there was no time, or that let nobody in."""

    def run(self) -> None:
        root = os.fsencode(self.here.root).rstrip(b"/")
        self.skip = len(root)
        self.end = time.monotonic() + SECONDS
        self.system = {root + mount.rstrip("/").encode() for mount in debian.MOUNTS}
        waiting = [root or b"/"]
        while waiting:
            folder = waiting.pop()
            if time.monotonic() > self.end:
                self.unseen.append(self._named(folder))
                continue
            waiting += self._folder(folder)
        if self.unseen:
            places = ", ".join(name[:200] for name in sorted(self.unseen)[:3]) + ("..." if len(self.unseen) > 3 else "")
            sentence = (
                f"Not all files could be looked at within {SECONDS:.0f} s: {places} may hold what is nobody's; look "
                "there, or again when the server has less to do."
            )
            self.things.append(unclaimed(NOT_LOOKED_AT, KIND, sentence))

    def _named(self, path: bytes) -> str:
        return os.fsdecode(path[self.skip :] or b"/")

    def _folder(self, folder: bytes) -> list[bytes]:
        """Tell what is nobody's in a folder that is a package's; those below it that are to be gone through."""
        strays: list[tuple[str, Weight]] = []
        below = []
        for path, info in self._entries(folder):
            name = path[self.skip :]
            if not stat.S_ISDIR(info.st_mode):
                if name not in self.owned:
                    strays.append((os.fsdecode(name), Weight(1, info.st_size)))
            elif name in self.owned or not name:
                below.append(path)
            elif (weight := self._weigh(path)).files:
                strays.append((os.fsdecode(name) + "/", weight))
        self._tell(self._named(folder), strays)
        return below

    def _entries(self, folder: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
        """Files and folders there that may be somebody's, none of another file system."""
        try:
            device = os.stat(folder).st_dev
            entries = [*os.scandir(folder)]
        except (FileNotFoundError, NotADirectoryError):
            return  # it has gone meanwhile
        except OSError:
            self.unseen.append(self._named(folder))
            return
        for entry in entries:
            path = os.path.join(folder, entry.name)
            if self.passed_over.match(path, self.skip):
                continue
            try:
                info = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            folder_or_file = stat.S_ISDIR(info.st_mode) or stat.S_ISREG(info.st_mode)
            if folder_or_file and (info.st_dev == device or path in self.system):
                # Python keeps what it has compiled beside a package's modules.
                if entry.name != b"__pycache__" or not path.startswith(b"/usr/", self.skip):
                    yield path, info

    def _weigh(self, folder: bytes) -> Weight:
        """All that is in a folder, as far as it is counted."""
        weight, waiting, seen = Weight(), [folder], 0
        while waiting:
            for path, info in self._entries(waiting.pop()):
                seen += 1
                if seen > WEIGHED or time.monotonic() > self.end:
                    weight.more = True
                    return weight
                if stat.S_ISDIR(info.st_mode):
                    waiting.append(path)
                elif path[self.skip :] not in self.owned:
                    weight.files += 1
                    weight.bytes += info.st_size
        return weight

    def _tell(self, folder: str, strays: list[tuple[str, Weight]]) -> None:
        if len(strays) > MOST_IN_FOLDER:
            whole = Weight(
                sum(weight.files for _, weight in strays),
                sum(weight.bytes for _, weight in strays),
                any(weight.more for _, weight in strays),
            )
            strays = [(folder.rstrip("/") + "/*", whole)]
        self.things += [
            unclaimed(KIND, name, f"{name} belongs to no account and no package ({weight}).") for name, weight in strays
        ]
