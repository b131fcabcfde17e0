"""The watcher of a tree: a process in the sandbox that notes every path that changes while the account serves.

inotify on every directory, and on every file that has a second name. Its events are queued by the very system call that
makes the change, so an answer that first reads the queue until it is empty names everything that happened before the
question. What it cannot know any more (the queue ran over, a directory could not be watched) it says; it never guesses.
Fanotify on a whole file system would need one mark only, but overlays refuse it where it is to tell names, and on a
shared server it would tell of every customer.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import select
import socket
import stat
import struct
import sys

from ...host.sandbox import enter, is_together, open_beneath, root_of
from .walk import LONGEST

_MODIFY, _ATTRIB, _CLOSE_WRITE = 0x2, 0x4, 0x8
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF, _UNMOUNT, _OVERFLOW, _IGNORED = 0x400, 0x800, 0x2000, 0x4000, 0x8000
_ONLYDIR, _DONT_FOLLOW, _ISDIR = 0x01000000, 0x02000000, 0x40000000
_OF_FILES = _MODIFY | _ATTRIB | _CLOSE_WRITE
_OF_DIRECTORIES = _OF_FILES | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
_EVENT = struct.Struct("=iIII")
_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE)
# Between two looks at the queue: equal events become one in it meanwhile, so a busy writer costs little.
_REST_SECONDS = 0.02
MOST_DIRTY = 500_000
# What is said of a dirty path besides its name.
DATA, DEEP = 1, 2

_libc = ctypes.CDLL(None, use_errno=True)


class Watch:
    """The watches on one tree and what they have told: path -> (number of the last event, DATA | DEEP)."""

    def __init__(self, home: str) -> None:
        self.root = os.open(root_of(home), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        self.messages = is_together(home)
        self.tops = {b".", *(os.fsencode(folder[1:]) for folder in home.split(":")[1:])}
        """What lies where it does for as long as it is watched."""
        self.directories: dict[int, bytes] = {}
        self.linked: dict[int, set[bytes]] = {}
        self.dirty: dict[bytes, tuple[int, int]] = {}
        self.number = 0
        self.lost: str | None = None
        self.queue = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.queue < 0:
            self.lose("fs.inotify.max_user_instances of this server is used up; raise it")
        else:
            self.scan(b".", mark=False)

    def lose(self, why: str) -> None:
        """From now on it is not known what changed."""
        self.lost = self.lost or why
        self.dirty.clear()
        if self.queue >= 0:
            os.close(self.queue)
            self.queue = -1

    def mark(self, path: bytes, flags: int = 0) -> None:
        if len(path) > LONGEST:
            return  # left behind, as the walk says
        self.number += 1
        before = self.dirty.get(path)
        self.dirty[path] = (self.number, flags | before[1] if before else flags)

    def scan(self, top: bytes, *, mark: bool) -> None:
        """Watch a directory and all below it. The watch comes first: what is made later shows as an event."""
        waiting = [top]
        while waiting and not self.lost:
            path = waiting.pop()
            if len(path) > LONGEST:
                continue
            try:
                directory = self.open(path)
            except OSError as error:
                # Gone or moved on: the event of that is in the queue, and leads to where it is now.
                if error.errno not in (*_VANISHED, errno.EXDEV):
                    self.lose(f"a directory could not be watched ({error.strerror})")
                continue
            try:
                os.fchdir(directory)
                watch = self.add(b".", _OF_DIRECTORIES | _ONLYDIR)
                if watch is None:
                    continue
                self.directories[watch] = path
                with os.scandir(directory) as items:
                    for item in items:
                        self.take_in(path, os.fsencode(item.name), item, waiting, mark)
            finally:
                os.close(directory)

    def open(self, path: bytes) -> int:
        return open_beneath(self.root, path, os.O_RDONLY | os.O_DIRECTORY, crossing=self.messages)

    def take_in(self, parent: bytes, name: bytes, item: os.DirEntry, waiting: list[bytes], mark: bool) -> None:
        path = name if parent == b"." else parent + b"/" + name
        if mark:
            self.mark(path, DATA | DEEP)
        try:
            if item.is_dir(follow_symlinks=False):
                waiting.append(path)
            elif item.is_file(follow_symlinks=False) and item.stat(follow_symlinks=False).st_nlink > 1:
                self.watch_linked(name, path)
        except OSError:
            pass  # gone: there is an event

    def watch_linked(self, name: bytes, path: bytes) -> None:
        """A file with several names is watched itself: a change through another name shows only so."""
        watch = self.add(name, _OF_FILES | _DONT_FOLLOW)
        if watch is not None and watch not in self.directories:
            self.linked.setdefault(watch, set()).add(path)

    def add(self, name: bytes, mask: int) -> int | None:
        """Watch an entry of the current directory; None where it is gone."""
        watch = _libc.inotify_add_watch(self.queue, name, ctypes.c_uint32(mask))
        if watch >= 0:
            return watch
        number = ctypes.get_errno()
        if number == errno.ENOSPC:
            self.lose("fs.inotify.max_user_watches of this server is too small for its directories; raise it")
        elif number not in _VANISHED:
            self.lose(f"a directory could not be watched ({os.strerror(number)})")
        return None

    def drain(self) -> None:
        """Take in every event that has happened until now."""
        while self.queue >= 0:
            try:
                events = os.read(self.queue, 1 << 18)
            except BlockingIOError:
                return
            at = 0
            while at < len(events):
                watch, mask, _, length = _EVENT.unpack_from(events, at)
                at += _EVENT.size
                name = events[at : at + length].rstrip(b"\0")
                at += length
                self.event(watch, mask, name)
            if len(self.dirty) > MOST_DIRTY:
                self.lose("too much changed at once")

    def event(self, watch: int, mask: int, name: bytes) -> None:
        if mask & _OVERFLOW:
            return self.lose("too much changed at once")
        if mask & _UNMOUNT:
            return self.lose("a file system was unmounted")
        if mask & _IGNORED:
            self.directories.pop(watch, None)
            self.linked.pop(watch, None)
            return
        flags = DATA if mask & (_MODIFY | _CLOSE_WRITE) else 0
        for path in self.linked.get(watch, ()):
            self.mark(path, flags)
        if watch in self.linked:
            return
        parent = self.directories.get(watch)
        if parent is None:
            return self.lose("an event came from nowhere")
        if not name:
            if parent in self.tops and mask & (_DELETE_SELF | _MOVE_SELF):
                moved = "the home itself" if parent == b"." else "a folder of messages"
                self.lose(f"{moved} was moved or deleted")
            return self.mark(parent)
        path = name if parent == b"." else parent + b"/" + name
        if mask & (_CREATE | _MOVED_TO | _MOVED_FROM | _DELETE):
            self.mark(parent)
            self.mark(path, DATA | DEEP)
            if mask & (_CREATE | _MOVED_TO):
                self.arrived(parent, name, path, mask)
        else:
            self.mark(path, flags)

    def arrived(self, parent: bytes, name: bytes, path: bytes, mask: int) -> None:
        if mask & _ISDIR:
            return self.scan(path, mark=True)
        try:
            directory = self.open(parent)
        except OSError:
            return  # gone or moved on: there is an event
        try:
            info = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if stat.S_ISREG(info.st_mode) and info.st_nlink > 1:
                os.fchdir(directory)
                self.watch_linked(name, path)
        except OSError:
            pass
        finally:
            os.close(directory)

    def since(self, number: int) -> tuple[int, list[tuple[bytes, int]]]:
        """The number of the last event, and every path with an event after `number`."""
        self.drain()
        return self.number, [(path, flags) for path, (last, flags) in self.dirty.items() if last > number]

    def forget(self, number: int) -> None:
        """What had its last event then or before is safely over: no need to remember it."""
        self.dirty = {path: entry for path, entry in self.dirty.items() if entry[0] > number}


def _answer(watch: Watch, token: str, line: socket.socket) -> None:
    """One question, {"since": number, "forget": number or null}; a JSON line and the paths, NUL between them."""
    line.settimeout(5)
    with line.makefile("rwb") as stream:
        request = json.loads(stream.readline(1 << 16))
        if request.get("forget") is not None:
            watch.forget(request["forget"])
        number, changed = watch.since(request["since"])
        paths = b"\0".join(b"%d%s" % (flags, path) for path, flags in changed)
        head = {"token": token, "number": number, "lost": watch.lost, "length": len(paths)}
        stream.write(json.dumps(head).encode() + b"\n" + paths)


def main(arguments: list[str]) -> None:
    """`HOME SOCKET TOKEN`: watch until killed; questions come over the unix socket, which only root reaches."""
    home, path, token = arguments
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"{path}.new")
    server.listen()
    os.rename(f"{path}.new", path)
    enter(home, writable=False)
    watch = Watch(home)
    while True:
        ready, _, _ = select.select([server, *([watch.queue] if watch.queue >= 0 else [])], [], [])
        if server in ready:
            line, _ = server.accept()
            try:
                with line:
                    _answer(watch, token, line)
            except (OSError, ValueError, KeyError) as error:
                print(f"A question was not answered: {error}", file=sys.stderr)
        else:
            watch.drain()
            select.select([server], [], [], _REST_SECONDS)
