"""The files of a server, read by root: within bounds, and only what no customer could have put there, or led to."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from ....host.digest import printable
from ....host.sandbox import open_beneath

MAX_FILE = 16 << 20
MAX_ALL = 64 << 20
MAX_FILES = 50_000
MAX_NAMES = 100_000
MAX_NOTES = 2_000
_MAX_LINKS = 40
_DEEPEST = 32
_FIRST_PERSON = 1000
_OF_WEB_SERVERS = frozenset({33})
"""www-data: the programs of customers run as it too."""


@dataclass(frozen=True)
class Place:
    """Where something stands in the host's configuration."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{printable(self.file)}:{self.line}"


class Notes:
    """What is not understood, or is nobody's: a sentence each. What is said of many places is told with the first."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self._more: dict[str, int] = {}

    def add(self, sentence: str, kind: str = "") -> None:
        """`kind`: sentences of one kind are told once, with how many more there are."""
        kind = kind or sentence
        if kind in self._first or len(self._first) >= MAX_NOTES:
            kind = kind if kind in self._first else ""
            self._first.setdefault(kind, "There is more that is not understood than can be told.")
            self._more[kind] = self._more.get(kind, 0) + 1
        else:
            self._first[kind] = printable(sentence)[:1000]

    def sentences(self) -> list[str]:
        return [
            f"{sentence} ({more} more of these)" if (more := self._more.get(kind, 0)) else sentence
            for kind, sentence in self._first.items()
        ]


class Included:
    """The files that are being read, each of which another one includes; as many as there may be, none in itself."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._open: list[str] = []
        self._bytes = 0

    @contextmanager
    def once(self, path: str, place: Place) -> Iterator[bool]:
        """Whether it may be read at this place."""
        self._bytes += 1000 + len(self._tree.text(path) or "")
        if path in self._open:
            self._tree.notes.add(f"{place}: {path} is included in itself.", f"in itself {path}")
            yield False
        elif len(self._open) >= _DEEPEST or self._bytes > MAX_ALL:
            self._tree.notes.add(f"{place}: {path} is not read: too many files are included.", "deep")
            yield False
        else:
            self._open.append(path)
            yield True
            self._open.pop()


class _Foreign(Exception):
    """Part of a path is somebody's who could lead root anywhere by it: who that is, and which part."""


class Tree:
    """The files of a server below `root`; paths are the server's own, such as /etc/passwd."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = str(root).rstrip("/")
        self.root_owner = os.stat(root).st_uid
        self._bytes = 0
        self._unread: set[str] = set()
        self.notes = Notes()
        self.files: dict[str, str] = {}
        """What was read, by the path that was asked for."""

    def on_disk(self, path: str) -> str:
        return self._root + path

    def text(self, path: str) -> str | None:
        """What a file of the host's says; None, with a note unless it is not there, where it cannot be read."""
        if path in self.files or path in self._unread:
            return self.files.get(path)
        self._unread.add(path)
        try:
            content = self._read(path)
        except FileNotFoundError:
            return None
        except _Foreign as foreign:
            self.notes.add(f"{path} is not read, because {foreign} may change it; make it root's alone.")
            return None
        except (OSError, ValueError) as error:
            self.notes.add(f"{path} could not be read: {getattr(error, 'strerror', None) or error}.")
            return None
        self._unread.remove(path)
        self.files[path] = content
        return content

    def lines(self, path: str) -> list[str]:
        """The lines of a file, none where there is no such file."""
        return (self.text(path) or "").split("\n")

    def _read(self, path: str) -> str:
        if len(self.files) >= MAX_FILES or self._bytes >= MAX_ALL:
            raise ValueError("the configuration of this server is larger than the agent reads")
        descriptor, foreign = self._open(path, os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("it is no file")
            if foreign:
                self._require_hosts(path, status)
                if status.st_nlink > 1:
                    raise foreign
            content = file.read(MAX_FILE + 1)
        if len(content) > MAX_FILE:
            raise ValueError(f"it has more than {MAX_FILE >> 20} MB")
        self._bytes += len(content)
        return content.decode("utf-8", "surrogateescape").replace("\r\n", "\n")

    def _open(self, path: str, flags: int) -> tuple[int, _Foreign | None]:
        """Open it; from where a part of the path is a customer's on, only if none is a link."""
        at, rest, foreign = self._followed(path)
        flags |= os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        if not rest:
            return os.open(self.on_disk(at), flags), foreign
        folder = os.open(self.on_disk(at), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return open_beneath(folder, os.fsencode(rest), flags), foreign
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EXDEV) and foreign:
                raise foreign from None
            raise
        finally:
            os.close(folder)

    def real(self, path: str) -> str:
        """Where a path of the host's leads, its links followed below the root; raises where one of its parts is not the
        host's."""
        at, rest, foreign = self._followed(path)
        if rest:
            raise foreign or FileNotFoundError(path)
        return at

    def settled(self, path: str) -> str:
        """The same, but from where the path is a customer's on, or leads nowhere, it is taken as it is written."""
        try:
            at, rest, _ = self._followed(path)
        except (OSError, ValueError):
            return os.path.normpath(path)
        return os.path.normpath(f"{at.rstrip('/')}/{rest}")

    def top_of_others(self, path: str) -> str | None:
        """The path as far as it is the host's alone, and the first part that is not; None where it leads nowhere."""
        try:
            at, rest, foreign = self._followed(path)
        except (OSError, ValueError):
            return None
        if rest and not foreign:
            return None
        return os.path.normpath(f"{at}/{rest.partition('/')[0]}")

    def _followed(self, path: str) -> tuple[str, str, _Foreign | None]:
        """Where a path leads as far as it is there and the host's; what of it is left; and whose that is."""
        parts, at, links = deque(path.split("/")), "", 0
        self._require_hosts("/", os.stat(self._root or "/"))
        while parts:
            part = parts.popleft()
            if part in ("", "."):
                continue
            if part == "..":
                at = at.rpartition("/")[0]
                continue
            try:
                status = os.lstat(self.on_disk(f"{at}/{part}"))
                self._require_hosts(f"{at}/{part}", status)
            except _Foreign as foreign:
                return at or "/", "/".join((part, *parts)), foreign
            except FileNotFoundError:
                return at or "/", "/".join((part, *parts)), None
            if not stat.S_ISLNK(status.st_mode):
                at = f"{at}/{part}"
                continue
            links += 1
            if links > _MAX_LINKS:
                raise ValueError("its links lead in a circle")
            target = os.readlink(self.on_disk(f"{at}/{part}"))
            parts.extendleft(reversed(target.split("/")))
            at = "" if target.startswith("/") else at
        return at or "/", "", None

    def _require_hosts(self, path: str, status: os.stat_result) -> None:
        """Refuse what a customer could change, or put another thing in the place of."""
        mode = status.st_mode
        if status.st_uid != self.root_owner and _is_persons(status.st_uid):
            raise _Foreign(f"the user with number {status.st_uid}, whose {path} is,")
        if mode & 0o020 and not stat.S_ISLNK(mode) and _is_persons(status.st_gid):
            raise _Foreign(f"the group with number {status.st_gid}, which may write {path},")
        if mode & 0o002 and not stat.S_ISLNK(mode) and not mode & stat.S_ISVTX:
            raise _Foreign(f"everybody, who may write {path},")

    def is_there(self, path: str) -> bool:
        return self.status(path) is not None

    def status(self, path: str) -> os.stat_result | None:
        """Of the thing itself, a link not followed at the end; None where there is none."""
        try:
            return os.lstat(self.on_disk(path))
        except (OSError, ValueError):
            return None

    def names(self, folder: str) -> list[str]:
        """The names in a folder, in order; none where there is none."""
        try:
            descriptor, _ = self._open(folder, os.O_DIRECTORY)
        except FileNotFoundError:
            return []
        except (_Foreign, OSError, ValueError):
            self.notes.add(f"The folder {folder} could not be looked into; make it and all above it root's.")
            return []
        try:
            return sorted(os.listdir(descriptor))[:MAX_NAMES]
        finally:
            os.close(descriptor)

    def names_beneath(self, home: str, folder: str) -> list[str]:
        """The names in a folder of a customer's home, of which no part is a link; none where there is no such one."""
        try:
            at = os.open(self.on_disk(self.settled(home)), os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (OSError, ValueError):
            return []
        try:
            inside = open_beneath(at, os.fsencode(folder), os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return []
        finally:
            os.close(at)
        try:
            return sorted(os.listdir(inside))[:MAX_NAMES]
        finally:
            os.close(inside)

    def matching(self, pattern: str) -> list[str]:
        """The paths that a pattern of a shell's kind matches, in order; one without wildcards is taken as it is."""
        paths = [""]
        for part in pattern.split("/")[1:]:
            if re.search(r"[*?\[]", part):
                paths = [
                    f"{at}/{name}"
                    for at in paths
                    for name in self.names(at or "/")
                    if fnmatch(name, part) and (not name.startswith(".") or part.startswith("."))
                ][:MAX_NAMES]
            else:
                paths = [f"{at}/{part}" for at in paths]
        return [path for path in paths if self.is_there(path)]

    def is_folder(self, path: str) -> bool:
        try:
            descriptor, _ = self._open(path, os.O_DIRECTORY)
        except (_Foreign, OSError, ValueError):
            return False
        os.close(descriptor)
        return True


def _is_persons(number: int) -> bool:
    """Whether a user or group may be a customer's, or what runs their programs."""
    return number >= _FIRST_PERSON or number in _OF_WEB_SERVERS
