"""The walk over a tree, such as a home, that two copies are compared by; runs in a process of its own, in the sandbox.

One line stands for one entry: path, type, permissions, owner, group, time, size, content or link target, hard-link
group, extended attributes and ACLs. It shows an entry as it ought to arrive: what a move strips on purpose (set-user-id
bits, devices, security attributes) is not part of the line, it is counted and reported instead.

Among messages a link only leads on into its own folder, and its line has neither owner nor time; and of a file with two
names there are two.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import grp
import hashlib
import json
import os
import pwd
import re
import stat
import struct
import sys
import time
import zlib
from collections.abc import Collection, Iterator
from typing import Any

from ...host.digest import printable
from ...host.sandbox import devices, enter, is_together, open_beneath, root_of
from ...host.walk_format import BUCKETS

LISTED = 50
# dev, ino, size, mtime and ctime as seconds and nanoseconds (together they would end in 2262), flags, and the first
# half of the SHA-256 of the content (processors have it built in)
_CACHED = struct.Struct("=QQQqIqII16s")
LONGEST = 4000
"""Bytes of a path from the home on: the kernel and rsync take 4,096, the home's own and a temporary name included."""
_GET_FLAGS = 0x80086601
# Of the flags that chattr sets these change what programs may do or how a file is kept; they do not come over.
_FLAGS = {0x10: "immutable (chattr +i)", 0x20: "append only (chattr +a)", 0x08: "synchronous (chattr +S)"}
_FLAGS |= {0x40: "not dumped (chattr +d)", 0x80: "without access times (chattr +A)"}
_FLAGS |= {0x00010000: "synchronous directory (chattr +D)", 0x40000000: "without case (chattr +F)"}
_FLAGS |= {0x00800000: "without copy-on-write (chattr +C)", 0x04: "compressed (chattr +c)"}
_SHOWN_FLAGS = sum(_FLAGS)
Cached = tuple[int, int, int, int, bytes]
"""What is known of a file's content: size, mtime and ctime in nanoseconds, flags, hash."""
_ACLS = {"system.posix_acl_access": b"A", "system.posix_acl_default": b"D"}
# An account that serves changes while it is read. In a hold nothing does, and what one side misses is a difference.
VANISHED = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_BLOCK = 1 << 17
WORTH_CACHING = 1 << 20
"""The content of a file of this size is not read again by the same program where its times say that it is the same."""
_ZEROS = bytes(_BLOCK)
# Seconds that one walk waits in all for files that programs hold leases on.
_PATIENCE = 60.0
Entry = tuple[bytes, int, bytes, bytes, tuple[int, int, int] | None]
"""Path, inode number (0 for what is no file), line without path, names and attributes, attributes; and of a file with
several names its device, inode and number of names."""
# A change in the same clock tick as the reading could keep the ctime: such a file is read again next time.
_SETTLED_NS = 2_000_000_000


class Unread(Exception):
    """What could not be read, and why, in words."""

    def __init__(self, path: bytes, error: OSError) -> None:
        shown = printable(path[:LONGEST].decode("utf-8", "surrogateescape"))
        super().__init__(f"{shown[:200]}: {_WHY.get(error.errno or 0) or error.strerror}")


_WHY = {
    errno.EAGAIN: "a program holds a lease on it (fcntl F_SETLEASE); end it",
    errno.EXDEV: "a file system of its own begins there (such as a subvolume); copy what is in it into a plain folder",
}


class _Names(dict[int, bytes]):
    """id -> owner name as bytes, `#id` where there is none: in the sandbox only the system's own users have names."""

    def __init__(self, look_up: Any) -> None:
        super().__init__()
        self.look_up = look_up

    def __missing__(self, number: int) -> bytes:
        try:
            name = os.fsencode(self.look_up(number)[0])
        except KeyError:
            name = b"#%d" % number
        self[number] = name
        return name


class Walk:
    """Collects the lines of one tree; `cache` maps (dev, ino) to what was known of a file's content."""

    def __init__(self, cache: dict[tuple[int, int], Cached], *, reads: bool = True, messages: bool = False) -> None:
        self.cache, self.reads, self.messages = cache, reads, messages
        self.led: dict[str, str] = {}
        """Where links among messages lead."""
        self.kept = bytearray()
        self.users, self.groups = _Names(pwd.getpwuid), _Names(grp.getgrgid)
        self.entries: list[Entry] = []
        self.patient_until = 0.0
        self.links: dict[tuple[int, int], list[bytes]] = {}
        self.files = self.bytes = self.read_bytes = 0
        self.left: dict[str, dict[str, Any]] = {}
        self.started = time.time_ns()

    def leave(self, kind: str, path: bytes) -> None:
        """Note something that a move does not carry over."""
        seen = self.left.setdefault(kind, {"count": 0, "first": []})
        seen["count"] += 1
        if len(seen["first"]) < LISTED:
            seen["first"].append(path[:LONGEST].decode("utf-8", "backslashreplace"))

    def tree(self, root: bytes, on: Collection[int] = ()) -> None:
        """Take in `root` and everything below it, on its own file system, or on these, only.

        Each directory is opened from the root on and becomes the current one, so no path is too long for the kernel."""
        before = os.open(".", os.O_PATH)
        top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            on = on or {os.fstat(top).st_dev}
            os.fchdir(top)
            self.entry(b".", b".", os.fstat(top))
            waiting = [b""]
            while waiting:
                prefix = waiting.pop()
                with contextlib.suppress(*VANISHED):
                    waiting += self.directory(top, prefix, on)
        finally:
            os.fchdir(before)
            os.close(top)
            os.close(before)

    def directory(self, top: int, prefix: bytes, on: Collection[int]) -> list[bytes]:
        """Take in what is in one directory; the directories among it, as prefixes."""
        try:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOATIME
            descriptor = open_beneath(top, prefix or b".", flags, crossing=self.messages)
        except OSError as error:
            if isinstance(error, VANISHED) or error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV):
                return []  # something else has taken its place
            raise Unread(prefix, error) from None
        directories = []
        try:
            os.fchdir(descriptor)
            with os.scandir(descriptor) as items:
                for item in items:
                    name = os.fsencode(item.name)
                    path = prefix + name
                    if len(path) > LONGEST:
                        self.leave("below a path of more than 4,000 bytes", path)
                        continue
                    with contextlib.suppress(*VANISHED):
                        info = item.stat(follow_symlinks=False)
                        if stat.S_ISDIR(info.st_mode):
                            if info.st_dev not in on:
                                raise Unread(path, OSError(errno.EXDEV, os.strerror(errno.EXDEV)))
                            directories.append(path + b"/")
                        self.entry(name, path, info)
        finally:
            os.close(descriptor)
        return directories

    def entry(self, full: bytes, path: bytes, info: os.stat_result) -> None:
        """Take in one entry, by its path from the current directory; raises Unread."""
        try:
            self._entry(full, path, info)
        except VANISHED:
            raise
        except OSError as error:
            raise Unread(path, error) from None

    def _entry(self, full: bytes, path: bytes, info: os.stat_result) -> None:
        mode = info.st_mode
        content = b"-"
        if stat.S_ISREG(mode):
            kind = b"f"
            if mode & (stat.S_ISUID | stat.S_ISGID):
                self.leave("set-user-id or set-group-id bit of a file", path)
            if info.st_nlink > 1 and not self.messages:
                self.links.setdefault((info.st_dev, info.st_ino), []).append(path)
            content = self.content(full, path, info)
            self.files += 1
            self.bytes += info.st_size
        elif stat.S_ISDIR(mode):
            kind = b"d"
            if mode & stat.S_ISUID:
                self.leave("set-user-id bit of a directory", path)
            self.flagged(path, self.flags_of(full, os.O_DIRECTORY))
        elif stat.S_ISLNK(mode):
            kind = b"l"
            leads = os.readlink(full)
            if self.messages:
                if not leads_on(leads):
                    self.leave("link that leads elsewhere", path)
                    return
                self.led[os.fsdecode(path)] = os.fsdecode(leads)
            content = escaped(leads)
        elif stat.S_ISSOCK(mode):
            return  # it is its program's, which makes it when it starts
        else:
            self.leave("device or named pipe", path)
            return
        self.entries.append(self._kept(path, info, kind, content, self.attributes(full, path)))

    def _kept(self, path: bytes, info: os.stat_result, kind: bytes, content: bytes, attributes: bytes) -> Entry:
        """What is kept of an entry until all are known: there may be millions."""
        mode = stat.S_IMODE(info.st_mode)
        if kind == b"f":
            mode &= ~(stat.S_ISUID | stat.S_ISGID)
        elif kind == b"d":
            mode &= ~stat.S_ISUID
        shown = kind != b"l" or not self.messages
        text = b"%s\t%o\t%s\t%s\t%d\t%d\t%s" % (
            kind,
            mode,
            self.users[info.st_uid] if shown else b"-",
            self.groups[info.st_gid] if shown else b"-",
            info.st_mtime_ns if shown else 0,
            info.st_size if kind == b"f" else 0,
            content,
        )
        file = kind == b"f"
        named = file and info.st_nlink > 1 and not self.messages
        linked = (info.st_dev, info.st_ino, info.st_nlink) if named else None
        return path, info.st_ino if file else 0, text, attributes, linked

    def content(self, full: bytes, path: bytes, info: os.stat_result) -> bytes:
        """The hash of a file's content, from the cache where the file has not changed; its flags are told."""
        if not self.reads:
            self.flagged(path, self.flags_of(full, 0))
            return b"-"
        key = (info.st_dev, info.st_ino)
        cached = self.cache.get(key)
        state = (info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        if cached is not None and cached[:3] == state:
            flags, value = cached[3:]
        else:
            flags, value = self.read(full, info.st_size)
            self.read_bytes += info.st_size
        self.flagged(path, flags)
        if info.st_ctime_ns + _SETTLED_NS < self.started:
            times = (*divmod(info.st_mtime_ns, 10**9), *divmod(info.st_ctime_ns, 10**9))
            self.kept += _CACHED.pack(*key, info.st_size, *times, flags, value)
            if info.st_nlink > 1 or info.st_size >= WORTH_CACHING:  # a small one costs less to read than to remember
                self.cache[key] = (*state, flags, value)
        return value.hex().encode()

    def flagged(self, path: bytes, flags: int) -> None:
        """Note the flags of an entry."""
        if flags:
            for flag, kind in _FLAGS.items():
                if flags & flag:
                    self.leave(kind, path)

    def flags_of(self, full: bytes, more: int) -> int:
        """The flags of a file or directory that is not read."""
        descriptor = self.opened(full, more)
        try:
            return _flags(descriptor)
        finally:
            os.close(descriptor)

    def opened(self, full: bytes, more: int = 0) -> int:
        """Open a file or directory to be read; never follows a link."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOATIME | os.O_CLOEXEC | more
        while True:
            try:
                return os.open(full, flags)
            except BlockingIOError:
                # A process holds a lease on it. The kernel takes it away, in 45 seconds at the latest.
                self.patient_until = self.patient_until or time.monotonic() + _PATIENCE
                if time.monotonic() > self.patient_until:
                    raise
                time.sleep(0.05)
            except OSError as error:
                if error.errno == errno.ELOOP:  # a link has taken the file's place
                    raise FileNotFoundError(error.errno, error.strerror) from None
                raise

    def read(self, full: bytes, size: int) -> tuple[int, bytes]:
        """The flags of one regular file, and the hash of its content.

        Of blocks that hold nothing but zeros only the place of what follows counts: a hole is not read, wherever the
        file system of either copy has one. A file without such blocks has the SHA-256 of its content."""
        descriptor = self.opened(full)
        try:
            hashed, at, skipped = hashlib.sha256(), 0, False
            if size > _BLOCK:
                at = _next_data(descriptor, 0)
                skipped = at > 0
            while block := os.pread(descriptor, min(_BLOCK, max(size - at, 0) + 1), at):
                if len(block) == _BLOCK and block == _ZEROS:
                    following = max(_next_data(descriptor, at + _BLOCK), at + _BLOCK)
                    at, skipped = following, True
                    continue
                if skipped:
                    hashed.update(b"at %d:" % at)
                    skipped = False
                hashed.update(block)
                at += len(block)
                if len(block) < _BLOCK:
                    break
            return _flags(descriptor), hashed.digest()[:16]
        finally:
            os.close(descriptor)

    def attributes(self, full: bytes, path: bytes) -> bytes:
        """Extended attributes and ACLs, the latter by name."""
        try:
            names = os.listxattr(full, follow_symlinks=False)
        except OSError:
            return b"-"
        if not names:
            return b"-"
        kept = []
        for name in sorted(names):
            if name in _ACLS:
                kept.append(_ACLS[name] + self.acl(os.getxattr(full, name, follow_symlinks=False)))
            elif name.startswith("user."):
                value = hashlib.blake2b(os.getxattr(full, name, follow_symlinks=False), digest_size=16)
                kept.append(escaped(os.fsencode(name)) + b"=" + value.hexdigest().encode())
            elif not name.startswith("system."):
                self.leave(f"extended attribute {name.encode('unicode_escape').decode()}", path)
        return b",".join(kept) or b"-"

    def acl(self, value: bytes) -> bytes:
        """A POSIX ACL as text, ids as names."""
        parts = []
        for tag, permissions, number in struct.iter_unpack("<HHI", value[4:]):
            name = self.users[number] if tag == 2 else self.groups[number] if tag == 8 else b""
            parts.append(b"%d:%s:%d" % (tag, escaped(name), permissions))
        return b"[" + b" ".join(sorted(parts)) + b"]"

    def lines(self) -> list[bytes]:
        """The line of each entry, sorted by path."""
        return [line for _, line in self.rows()]

    def rows(self) -> Iterator[tuple[int, bytes]]:
        """(inode number, line) of each entry, sorted by path; 0 stands for what is no regular file."""
        # The names of one file outside of what was walked do not count: they are not carried.
        first = {key: min(paths) for key, paths in self.links.items() if len(paths) > 1}
        self.entries.sort(key=lambda entry: entry[0])
        for path, inode, text, attributes, linked in self.entries:
            first_path = first.get(linked[:2], b"") if linked else b""
            shown = escaped(first_path) if first_path != path else b"."
            yield inode, b"%s\t%s\t%s\t%s\n" % (escaped(path), text, shown, attributes)


def _next_data(descriptor: int, at: int) -> int:
    """The block from `at` on that begins or holds the next data; the end, where there is none."""
    try:
        return os.lseek(descriptor, at, os.SEEK_DATA) // _BLOCK * _BLOCK
    except OSError as error:
        if error.errno == errno.ENXIO:
            return max(at, os.fstat(descriptor).st_size)
        return at


def _flags(descriptor: int) -> int:
    """Those flags of an open file that are told; none where its file system knows none."""
    try:
        raw = fcntl.ioctl(descriptor, _GET_FLAGS, bytes(8))
    except OSError:
        return 0
    return struct.unpack_from("=I", raw)[0] & _SHOWN_FLAGS


def leads_on(link: bytes) -> bool:
    """Whether what a link says leads from its own folder further into that."""
    return 0 < len(link) <= LONGEST and not link.startswith(b"/") and b".." not in link.split(b"/")


def bucket_of(path: bytes) -> int:
    """Which of the 4096 parts of a digest an (escaped) path belongs to."""
    return zlib.crc32(path) % BUCKETS


def escaped(name: bytes) -> bytes:
    """A name that is one field of a line; `unescaped` is its inverse."""
    return name.replace(b"\\", b"\\\\").replace(b"\t", b"\\t").replace(b"\n", b"\\n")


def unescaped(field: bytes) -> bytes:
    if b"\\" not in field:
        return field
    return re.sub(rb"\\(.)", lambda match: {b"t": b"\t", b"n": b"\n"}.get(match[1], match[1]), field)


def load_cache(path: str) -> dict[tuple[int, int], Cached]:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return {}
    return _cached(content)


def _cached(content: bytes) -> dict[tuple[int, int], Cached]:
    content = content[: len(content) - len(content) % _CACHED.size]
    return {
        (dev, ino): (size, mtime * 10**9 + mtime_ns, ctime * 10**9 + ctime_ns, flags, value)
        for dev, ino, size, mtime, mtime_ns, ctime, ctime_ns, flags, value in _CACHED.iter_unpack(content)
    }


def main(arguments: list[str]) -> None:
    """`HOME`; stdin: {"cache": path, "listing": path}; stdout: the digest as JSON. Both files are replaced.

    With {} on stdin no content is read: {"left", "links"} alone. What cannot be read ends it, told on stderr."""
    try:
        _main(arguments[0], json.load(sys.stdin))
    except Unread as error:
        sys.exit(str(error))


def _main(home: str, request: dict[str, str]) -> None:
    gc.disable()  # nothing here refers to itself, and looking for it in so many entries takes long
    root, messages = os.fsencode(root_of(home)), is_together(home)
    if not request:
        walk = Walk({}, reads=False, messages=messages)
        enter(home, writable=False)
        walk.tree(root, devices(home))
        json.dump({"left": walk.left, "links": walk.led}, sys.stdout)
        return
    with contextlib.ExitStack() as opened:
        old_cache = opened.enter_context(open(request["cache"], "a+b"))
        cache = opened.enter_context(open(request["cache"] + ".new", "wb"))
        listing = opened.enter_context(open(request["listing"] + ".new", "wb"))
        enter(home, writable=False)
        old_cache.seek(0)
        walk = Walk(_cached(old_cache.read()), messages=messages)
        walk.tree(root, devices(home))
        hashes = [hashlib.blake2b(digest_size=8) for _ in range(BUCKETS)]
        entries = 0
        for inode, line in walk.rows():
            hashes[bucket_of(line[: line.index(b"\t")])].update(line)
            listing.write(b"%d\t%s" % (inode, line))
            entries += 1
        cache.write(walk.kept)
    parts = [part.hexdigest() for part in hashes]
    result = {
        "files": walk.files,
        "bytes": walk.bytes,
        "entries": entries,
        "digest": hashlib.blake2b("".join(parts).encode(), digest_size=16).hexdigest(),
        "parts": parts,
        "_read_bytes": walk.read_bytes,
        "_left": walk.left,
    }
    json.dump(result, sys.stdout)
