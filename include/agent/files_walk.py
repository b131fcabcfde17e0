"""The walk over a home directory that two copies are compared by; runs in a process of its own, in the sandbox.

One line stands for one entry: path, type, permissions, owner, group, time, size, content or link target, hard-link
group, extended attributes and ACLs. It shows an entry as it ought to arrive: what a move strips on purpose (set-user-id
bits, devices, security attributes) is not part of the line, it is counted and reported instead.
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
from collections.abc import Iterator
from typing import Any

from .files_sandbox import enter

BUCKETS = 4096
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
Known = tuple[int, int, int, int, bytes]
"""What is known of a file's content: size, mtime and ctime in nanoseconds, flags, hash."""
_ACLS = {"system.posix_acl_access": b"A", "system.posix_acl_default": b"D"}
# An account that serves changes while it is read. In a hold nothing does, and what one side misses is a difference.
VANISHED = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
# A change in the same clock tick as the reading could keep the ctime: such a file is read again next time.
_SETTLED_NS = 2_000_000_000


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
    """Collects the lines of one home; `cache` maps (dev, ino) to what was known of a file's content."""

    def __init__(self, cache: dict[tuple[int, int], Known], *, reads: bool = True) -> None:
        self.cache, self.reads = cache, reads
        self.kept: list[bytes] = []
        self.users, self.groups = _Names(pwd.getpwuid), _Names(grp.getgrgid)
        self.entries: list[tuple[bytes, os.stat_result, bytes, bytes, bytes]] = []
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

    def tree(self, root: bytes) -> None:
        """Take in `root` and everything below it, on its own file system only."""
        top = os.lstat(root)
        self.entry(root, b".", top)
        waiting = [(root, b"")]
        while waiting:
            directory, prefix = waiting.pop()
            with contextlib.suppress(*VANISHED), os.scandir(directory) as found:
                for item in found:
                    path = prefix + item.name
                    if len(path) > LONGEST:
                        self.leave("below a path of more than 4,000 bytes", path)
                        continue
                    with contextlib.suppress(*VANISHED):
                        info = item.stat(follow_symlinks=False)
                        if stat.S_ISDIR(info.st_mode):
                            if info.st_dev != top.st_dev:
                                self.leave("mounted below the home", path)
                                continue
                            waiting.append((item.path, path + b"/"))
                        self.entry(item.path, path, info)

    def entry(self, full: bytes, path: bytes, info: os.stat_result) -> None:
        """Take in one entry."""
        mode = info.st_mode
        content = b"-"
        if stat.S_ISREG(mode):
            kind = b"f"
            if mode & (stat.S_ISUID | stat.S_ISGID):
                self.leave("set-user-id or set-group-id bit of a file", path)
            if info.st_nlink > 1:
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
            content = escaped(os.readlink(full))
        elif stat.S_ISSOCK(mode):
            return  # it is its program's, which makes it when it starts
        else:
            self.leave("device or named pipe", path)
            return
        self.entries.append((path, info, kind, content, self.attributes(full, path)))

    def content(self, full: bytes, path: bytes, info: os.stat_result) -> bytes:
        """The hash of a file's content, from the cache where the file has not changed; its flags are told."""
        if not self.reads:
            self.flagged(path, self.flags_of(full, 0))
            return b"-"
        key = (info.st_dev, info.st_ino)
        known = self.cache.get(key)
        state = (info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        if known is not None and known[:3] == state:
            flags, value = known[3:]
        else:
            flags, value = self.read(full, info.st_size)
            self.read_bytes += info.st_size
        self.flagged(path, flags)
        if info.st_ctime_ns + _SETTLED_NS < self.started:
            times = (*divmod(info.st_mtime_ns, 10**9), *divmod(info.st_ctime_ns, 10**9))
            self.kept.append(_CACHED.pack(*key, info.st_size, *times, flags, value))
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
        try:
            return os.open(full, flags)
        except OSError as error:
            if error.errno == errno.ELOOP:  # a link has taken the file's place
                raise FileNotFoundError(error.errno, error.strerror) from None
            raise

    def read(self, full: bytes, size: int) -> tuple[int, bytes]:
        """The flags of one regular file, and its hash."""
        most = min(size + 1, 1 << 18)
        descriptor = self.opened(full)
        try:
            flags = _flags(descriptor)
            block = os.read(descriptor, most)
            hashed = hashlib.sha256(block)
            # A read that gives less than was asked for came to the end.
            while len(block) == most:
                block = os.read(descriptor, most)
                hashed.update(block)
        finally:
            os.close(descriptor)
        return flags, hashed.digest()[:16]

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
        for path, info, kind, content, attributes in sorted(self.entries, key=lambda entry: entry[0]):
            mode = stat.S_IMODE(info.st_mode)
            linked = b""
            if kind == b"f":
                mode &= ~(stat.S_ISUID | stat.S_ISGID)
                if info.st_nlink > 1:
                    linked = first.get((info.st_dev, info.st_ino), b"")
            elif kind == b"d":
                mode &= ~stat.S_ISUID
            yield (
                info.st_ino if kind == b"f" else 0,
                b"%s\t%s\t%o\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n"
                % (
                    escaped(path),
                    kind,
                    mode,
                    self.users[info.st_uid],
                    self.groups[info.st_gid],
                    info.st_mtime_ns,
                    info.st_size if kind == b"f" else 0,
                    content,
                    escaped(linked) if linked != path else b".",
                    attributes,
                ),
            )


def _flags(descriptor: int) -> int:
    """Those flags of an open file that are told; none where its file system knows none."""
    try:
        found = fcntl.ioctl(descriptor, _GET_FLAGS, bytes(8))
    except OSError:
        return 0
    return struct.unpack_from("=I", found)[0] & _SHOWN_FLAGS


FIELDS = ("type", "permissions", "owner", "group", "time", "size", "content", "hard links", "attributes")


def bucket_of(path: bytes) -> int:
    """Which of the 4096 parts of a digest an (escaped) path belongs to."""
    return zlib.crc32(path) % BUCKETS


def escaped(name: bytes) -> bytes:
    """A name that is one field of a line; `unescaped` is its inverse."""
    return name.replace(b"\\", b"\\\\").replace(b"\t", b"\\t").replace(b"\n", b"\\n")


def unescaped(field: bytes) -> bytes:
    if b"\\" not in field:
        return field
    return re.sub(rb"\\(.)", lambda found: {b"t": b"\t", b"n": b"\n"}.get(found[1], found[1]), field)


def load_cache(path: str) -> dict[tuple[int, int], Known]:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return {}
    content = content[: len(content) - len(content) % _CACHED.size]
    return {
        (dev, ino): (size, mtime * 10**9 + mtime_ns, ctime * 10**9 + ctime_ns, flags, value)
        for dev, ino, size, mtime, mtime_ns, ctime, ctime_ns, flags, value in _CACHED.iter_unpack(content)
    }


def main(arguments: list[str]) -> None:
    """`HOME`; stdin: {"cache": path, "listing": path}; stdout: the digest as JSON. Both files are replaced.

    With {} on stdin no content is read: {"left"} alone."""
    home = arguments[0]
    request = json.load(sys.stdin)
    gc.disable()  # nothing here refers to itself, and looking for it in so many entries takes long
    if not request:
        walk = Walk({}, reads=False)
        enter(home, writable=False)
        walk.tree(os.fsencode(home))
        json.dump({"left": walk.left}, sys.stdout)
        return
    walk = Walk(load_cache(request["cache"]))
    with open(request["cache"] + ".new", "wb") as cache, open(request["listing"] + ".new", "wb") as listing:
        enter(home, writable=False)
        walk.tree(os.fsencode(home))
        hashes = [hashlib.blake2b(digest_size=8) for _ in range(BUCKETS)]
        entries = 0
        for inode, line in walk.rows():
            hashes[bucket_of(line[: line.index(b"\t")])].update(line)
            listing.write(b"%d\t%s" % (inode, line))
            entries += 1
        cache.write(b"".join(walk.kept))
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
