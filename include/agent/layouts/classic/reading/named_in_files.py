"""Which names of an engine stand in a person's files, and what may be a password near them.

The program runs in the sandbox of one folder as that person, without a network: it reads nothing that the person could
not. Nothing of a customer's is run, no link is followed, and what it tells is not believed: a password is tried.
"""

from __future__ import annotations

import heapq
import json
import os
import re
import stat
import subprocess
import sys
import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ....host import bounded
from ....host.sandbox import enter, python_argv
from ....host.shapes import Strange, parsed
from . import candidates

MAX_ENTRIES = 200_000
MAX_FILE = 512 << 10
MAX_CANDIDATES = 1000
"""For each name: to try one may take a few ms."""
_DEEPEST = 24
_FILES_A_NAME = 300
_MAX_MEMORY = 512 << 20
_MAX_OUTPUT = 16 << 20
_GRACE = 20.0
_FIRST_PERSON = 1000
# Packages of others, histories, caches, messages: nobody keeps a site's password there.
_SKIPPED = frozenset((b".git", b".svn", b".hg", b"node_modules", b".cache", b".npm", b"Maildir"))
_OF_SETTINGS = re.compile(
    rb"\.(php\d?|phtml|inc|env[\w.-]*|ini|conf|cnf|cfg|config|ya?ml|json|xml|py|rb|[cm]?js|ts|toml|properties|neon|p[lm]"
    rb"|cgi|sh|pgpass|htaccess|netrc)\Z",
    re.IGNORECASE,
)
# The passwords of which each line is one.
_OF_PASSWORDS = re.compile(rb"\.pgpass\Z")
_WORD = re.compile(r"[\w$-]+")


@dataclass
class Seen:
    """Where a name stands first, and the candidates for its password, the best first."""

    file: str
    passwords: list[str] = field(default_factory=list)


@dataclass
class Look:
    """What the files say. `unfinished`: not all of them were looked at."""

    seen: dict[str, Seen] = field(default_factory=dict)
    unfinished: bool = False


class _Scan:
    def __init__(self, names: Collection[str], uid: int, not_below: Collection[str], seconds: float) -> None:
        self.plain = {name for name in names if _WORD.fullmatch(name)}
        self.odd = {name: re.compile(rf"(?<![\w$-]){re.escape(name)}(?![\w$-])") for name in {*names} - self.plain}
        self.uid, self.not_below = uid, {os.fsencode(path) for path in not_below}
        self.end = time.monotonic() + seconds
        self.entries = 0
        self.look = Look()
        self.files: dict[str, int] = {}
        self.best: dict[str, dict[str, int]] = {}

    def run(self, folder: str) -> Look:
        for path, status in self._files(os.fsencode(folder)):
            if (text := self._text(path, status)) is not None:
                self._take(text, path, may_keep=not self._is_anothers(status))
        for name, ranks in self.best.items():
            best = heapq.nsmallest(MAX_CANDIDATES, ranks, key=ranks.__getitem__)
            self.look.seen[name].passwords = best
        return self.look

    def _files(self, top: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
        """Files that may be of settings; those next to the top first."""
        waiting = deque([(top, 0)])
        while waiting:
            folder, depth = waiting.popleft()
            for entry in self._entries(folder):
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:  # it went
                    continue
                if stat.S_ISREG(status.st_mode) and _OF_SETTINGS.search(entry.name):
                    yield entry.path, status
                elif stat.S_ISDIR(status.st_mode) and not self._is_skipped(entry):
                    if depth < _DEEPEST:
                        waiting.append((entry.path, depth + 1))
                    else:
                        self.look.unfinished = True

    def _entries(self, folder: bytes) -> Iterator[os.DirEntry[bytes]]:
        """Until there were as many as are looked at, or for as long."""
        if self.entries > MAX_ENTRIES:
            return
        try:
            with os.scandir(folder) as scan:
                for entry in scan:
                    self.entries += 1
                    if self.entries > MAX_ENTRIES or time.monotonic() > self.end:
                        self.entries, self.look.unfinished = MAX_ENTRIES + 1, True
                        return
                    yield entry
        except OSError:  # it went, or is not this person's to read
            return

    def _is_skipped(self, entry: os.DirEntry[bytes]) -> bool:
        return entry.name in _SKIPPED or entry.path in self.not_below

    def _is_anothers(self, status: os.stat_result) -> bool:
        """Whether another person wrote it: a name counts there, a password does not."""
        return status.st_uid >= _FIRST_PERSON and status.st_uid != self.uid

    def _text(self, path: bytes, status: os.stat_result) -> str | None:
        if not 0 < status.st_size <= MAX_FILE:
            return None
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(descriptor, "rb") as file:
                if not os.path.samestat(os.fstat(descriptor), status):
                    return None
                content = file.read(MAX_FILE)
        except OSError:
            return None
        if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return content.decode("utf-16", "replace")
        return None if b"\0" in content else content.decode("utf-8", "surrogateescape").replace("\r", "\n")

    def _take(self, text: str, path: bytes, may_keep: bool) -> None:
        places: dict[str, list[int]] = {}
        for match in _WORD.finditer(text):
            if match[0] in self.plain:
                places.setdefault(match[0], []).append(match.start())
        for name, pattern in self.odd.items():
            if name in text and (values := [match.start() for match in pattern.finditer(text)]):
                places[name] = values
        for name, starts in places.items():
            self.look.seen.setdefault(name, Seen(os.fsdecode(path)))
            self.files[name] = self.files.get(name, 0) + 1
            if time.monotonic() > self.end:
                self.look.unfinished = True
            elif may_keep and self.files[name] <= _FILES_A_NAME:
                self._keep(name, candidates.near(text, starts, bool(_OF_PASSWORDS.search(path))))

    def _keep(self, name: str, values: Iterator[tuple[int, str]]) -> None:
        ranks = self.best.setdefault(name, {})
        for rank, value in values:
            if value and value != name and rank < ranks.get(value, rank + 1):
                ranks[value] = rank
        if len(ranks) > 20 * MAX_CANDIDATES:
            best = heapq.nsmallest(MAX_CANDIDATES, ranks, key=ranks.__getitem__)
            self.best[name] = {value: ranks[value] for value in best}


def read(folder: str, names: Collection[str], uid: int, not_below: Collection[str], seconds: float) -> Look:
    """The same in this process."""
    return _Scan(names, uid, not_below, seconds).run(folder)


def main(arguments: list[str]) -> None:
    """`FOLDER`; stdin: {"uid", "gid", "names", "not_below", "seconds"}; stdout: what was found."""
    request = json.load(sys.stdin)
    os.umask(0o022)  # what stands above the folder in the sandbox is for everybody to pass
    enter(arguments[0], writable=False, owner=(request["uid"], request["gid"]))
    bounded.limit_this_process(_MAX_MEMORY)
    look = read(arguments[0], request["names"], request["uid"], request["not_below"], request["seconds"])
    seen = [[name, each.file, each.passwords] for name, each in look.seen.items()]
    json.dump({"seen": seen, "unfinished": look.unfinished}, sys.stdout)


def look_into(
    folder: str, uid: int, gid: int, names: Sequence[str], not_below: Collection[str], seconds: float
) -> Look:
    """Have a folder looked through as that person; what does not end well is unfinished."""
    request: dict[str, Any] = {"uid": uid, "gid": gid, "names": list(names), "not_below": list(not_below)}
    try:
        done = bounded.answer(
            python_argv(__name__, folder),
            json.dumps(request | {"seconds": seconds}).encode(),
            timeout=seconds + _GRACE,
            most=_MAX_OUTPUT,
            start_new_session=True,
        )
        if done.returncode == 0:
            return _understood(parsed(done.stdout), {*names})
    except (subprocess.TimeoutExpired, bounded.TooMuch, Strange):
        pass
    return Look(unfinished=True)


def _understood(answer: Any, names: Collection[str]) -> Look:
    """What has read hostile files is not trusted to say it well."""
    match answer:
        case {"seen": list(seen), "unfinished": bool(unfinished)}:
            look = Look(unfinished=unfinished)
        case _:
            return Look(unfinished=True)
    for each in seen:
        match each:
            case [str(name), str(file), list(passwords)] if name in names:
                texts = [text for text in passwords[:MAX_CANDIDATES] if isinstance(text, str)]
                look.seen[name] = Seen(file[:4096], texts)
            case _:
                look.unfinished = True
    return look
