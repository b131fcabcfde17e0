"""A second look at some paths of a tree, by a program in the sandbox that waits for questions.

It is started before a hold, so that nothing starts inside it. Its lines are those of the walk (`files_walk`)."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from ...host.kept import Threads, of
from ...host.sandbox import devices, enter, is_together, open_beneath, python_argv, root_of
from ...host.system import refuse
from .trees import Tree
from .walk import LONGEST, VANISHED, WORTH_CACHING, Cached, Unread, Walk, leads_on, load_cache, unescaped

# As many files are made durable at once: they share the file system's commits.
_SYNC_WIDTH = 16


# --- the program ---


class Looker:
    """The tree, and the questions that can be asked about paths below it; no part of a path is ever a link."""

    def __init__(self, home: str, cache: dict[tuple[int, int], Cached]) -> None:
        self.root = os.open(root_of(home), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        self.devices, self.messages = devices(home), is_together(home)
        self.cache = cache

    def each(self, paths: Iterable[bytes]) -> Iterator[tuple[bytes, bytes, os.stat_result]]:
        """(path, its name in the directory that is current meanwhile, its state) of each path that is there."""
        current: bytes | None = None
        entered = False
        for path in sorted(paths):
            parent, _, name = (b".", b"", path) if b"/" not in path else path.rpartition(b"/")
            if parent != current:
                current, entered = parent, self._go(parent)
            if entered and name != b".." and len(path) <= LONGEST:
                with contextlib.suppress(*VANISHED):
                    info = os.lstat(name)
                    if not stat.S_ISDIR(info.st_mode) or info.st_dev in self.devices:
                        yield path, name, info

    def _go(self, directory: bytes) -> bool:
        try:
            descriptor = open_beneath(self.root, directory, os.O_RDONLY | os.O_DIRECTORY, crossing=self.messages)
        except OSError:
            return False
        os.fchdir(descriptor)
        os.close(descriptor)
        return True

    def states(self, paths: list[bytes]) -> dict[str, Any]:
        """[type, inode, names, time, size] of each file, directory and link among the paths."""
        states = {}
        for path, _, info in self.each(paths):
            kind = stat.S_IFMT(info.st_mode)
            letter = {stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFLNK: "l"}.get(kind, "-")
            states[os.fsdecode(path)] = [letter, info.st_ino, info.st_nlink, info.st_mtime_ns, info.st_size]
        return states

    def lines(self, paths: list[bytes]) -> dict[str, Any]:
        """{"lines": {path: [inode, rest of its line]}, "strange": paths that have names besides those asked for}."""
        walk = Walk(self.cache, messages=self.messages)
        names: dict[tuple[int, int], int] = {}
        for path, name, info in self.each(paths):
            if stat.S_ISREG(info.st_mode) and info.st_size >= WORTH_CACHING:
                info = self._written_out(name, info)
            with contextlib.suppress(*VANISHED):
                walk.entry(name, path, info)
            if info.st_size < WORTH_CACHING:
                # A writer through a mapping changes no times while its pages wait to be written out.
                self.cache.pop((info.st_dev, info.st_ino), None)
        lines = {}
        for inode, line in walk.rows():
            path, _, rest = line.rstrip(b"\n").partition(b"\t")
            lines[os.fsdecode(unescaped(path))] = [inode, os.fsdecode(rest)]
        for key, linked in walk.links.items():
            names[key] = len(linked)
        strange = [
            os.fsdecode(path)
            for path, _, _, _, linked in walk.entries
            if linked and linked[2] > names.get(linked[:2], 1)
        ]
        return {"lines": lines, "strange": strange}

    def _written_out(self, name: bytes, info: os.stat_result) -> os.stat_result:
        """A page that stays dirty keeps its file's times; written out, the next change shows in them again."""
        cached = self.cache.get((info.st_dev, info.st_ino))
        if cached and cached[:3] == (info.st_size, info.st_mtime_ns, info.st_ctime_ns):
            return info
        with contextlib.suppress(OSError):
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOATIME | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
                return os.fstat(descriptor)
            finally:
                os.close(descriptor)
        return info

    def settle(self, paths: list[bytes]) -> dict[str, Any]:
        """Make these files and directories durable."""
        with Threads(_SYNC_WIDTH) as pool:
            running = []
            for _, name, info in self.each(paths):
                if stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode):
                    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                    running.append(pool.submit(_sync, os.open(name, flags)))
                if len(running) >= 500:
                    for future in running:
                        future.result()
                    running.clear()
            for future in running:
                future.result()
        return {}

    def remove(self, paths: list[bytes]) -> dict[str, Any]:
        """Take these paths away, directories with all that is in them."""
        for _, name, info in self.each(paths):
            _remove(name, info)
        return {}

    def empty(self, paths: list[bytes]) -> dict[str, Any]:
        """Take away what is in these directories."""
        for _, name, _ in self.each(paths):
            with os.scandir(name) as items:
                inside = [os.fsencode(item.path) for item in items]
            for path in inside:
                _remove(path, os.lstat(path))
        return {}

    def link(self, paths: list[bytes]) -> dict[str, Any]:
        """Make links, each given as a path and where it leads; none that leads out of its own folder."""
        for path, leads in zip(paths[::2], paths[1::2], strict=True):
            parent, _, name = (b".", b"", path) if b"/" not in path else path.rpartition(b"/")
            if leads_on(leads) and name != b".." and self._go(parent):
                with contextlib.suppress(FileNotFoundError):
                    status = os.lstat(name)
                    if stat.S_ISLNK(status.st_mode) and os.readlink(name) == leads:
                        continue
                    _remove(name, status)
                os.symlink(leads, name)
                folder = os.stat(".")
                os.chown(name, folder.st_uid, folder.st_gid, follow_symlinks=False)
        return {}


def _remove(path: bytes, info: os.stat_result) -> None:
    if stat.S_ISDIR(info.st_mode):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def main(arguments: list[str]) -> None:
    """`HOME CACHE read|write`: a JSON line in, {"ask": ..., "paths": [...]}; a JSON line out; ends with its input."""
    home, cache, rights = arguments
    kept = {key: cached for key, cached in load_cache(cache).items() if cached[0] >= WORTH_CACHING}
    enter(home, writable=rights == "write", makes_links=True)
    # A directory can be as deep as a path is long, and is taken away level by level.
    sys.setrecursionlimit(2 * LONGEST)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    looker = Looker(home, kept)
    questions = (looker.states, looker.lines, looker.settle, looker.remove, looker.empty, looker.link)
    asks = {question.__name__: question for question in questions}
    print("{}", flush=True)
    for request in sys.stdin:
        asked = json.loads(request)
        try:
            reply: dict[str, Any] = {"ok": asks[asked["ask"]]([os.fsencode(path) for path in asked["paths"]])}
        except (OSError, Unread) as error:
            reply = {"error": str(error)}
        print(json.dumps(reply), flush=True)


# --- its user ---


class Looking:
    """The program for one account, running."""

    def __init__(self, tree: Tree, *, writable: bool) -> None:
        self.lock = threading.Lock()
        rights = "write" if writable else "read"
        argv = python_argv(__name__, tree.home, str(tree.directory / "files.hashes"), rights)
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout
        if not self.process.stdout.readline():
            refuse("files_not_read", f"The sandbox of {tree.shown} could not be made; look at the journal.")

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


class _Running:
    """The programs that run: one that was started for a call of a peer is there for the next."""

    def __init__(self) -> None:
        self.of: dict[str, Looking] = {}
        self.starting = threading.Lock()

    def close(self) -> None:
        while self.of:
            self.of.popitem()[1].end()


def begin(tree: Tree, *, writable: bool) -> Looking:
    """Have the program run for this tree, from now until `end` or until this run ends."""
    running = of(_Running)
    with running.starting:
        looking = running.of.get(tree.name)
        if looking is None or looking.process.poll() is not None:
            looking = running.of[tree.name] = Looking(tree, writable=writable)
        return looking


def ask(tree: Tree, question: str, paths: Iterable[bytes], *, writable: bool = False) -> dict[str, Any]:
    """What the program answers to this `question` ("states", "lines", "settle", "remove", "empty") about these paths;
    "link" takes where they lead as well, behind each."""
    looking = begin(tree, writable=writable)
    request = json.dumps({"ask": question, "paths": [os.fsdecode(path) for path in paths]})
    with looking.lock:
        assert looking.process.stdin and looking.process.stdout
        try:
            looking.process.stdin.write(request.encode() + b"\n")
            looking.process.stdin.flush()
            reply = json.loads(looking.process.stdout.readline())
        except (OSError, ValueError):
            end(tree)
            refuse("files_not_read", f"What reads {tree.shown} has died; look at the journal and try again.")
    if "error" in reply:
        refuse("files_not_read", f"The files in {tree.shown} could not be read again: {reply['error']}.")
    return reply["ok"]


def end(tree: Tree) -> None:
    """The program for this tree is no more; another `begin` starts a new one."""
    looking = of(_Running).of.pop(tree.name, None)
    if looking:
        looking.end()
