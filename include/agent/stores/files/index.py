"""What a home was when both copies were last seen to be equal: a line an entry, found by its path.

Kept in memory while an account is followed, and on disk so that the next verb goes on from it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .walk import escaped, unescaped

_TYPE, _SIZE, _TIME, _LINKED = 0, 5, 4, 7


class Index:
    """path -> the rest of its line, and what leads from one path to others: directories and hard links."""

    def __init__(self) -> None:
        self.rest: dict[bytes, bytes] = {}
        self.children: dict[bytes, set[bytes]] = {}
        self.inodes: dict[bytes, int] = {}
        self.named: dict[int, bytes] = {}
        self.linked: dict[bytes, set[bytes]] = {}
        self.files = self.bytes = 0

    def put(self, path: bytes, inode: int, rest: bytes) -> None:
        """Take in what a path is now."""
        self.drop(path)
        self.rest[path] = rest
        self.children.setdefault(parent_of(path), set()).add(path)
        fields = rest.split(b"\t")
        if fields[_TYPE] == b"f":
            self.files += 1
            self.bytes += int(fields[_SIZE])
            self.inodes[path] = inode
            self.named[inode] = path
            if fields[_LINKED]:
                self.linked.setdefault(_first_name(path, fields), set()).add(path)

    def drop(self, path: bytes) -> None:
        """The path is no more (what is below it stays until it is dropped itself)."""
        rest = self.rest.pop(path, None)
        if rest is None:
            return
        self.children[parent_of(path)].discard(path)
        fields = rest.split(b"\t")
        if fields[_TYPE] == b"f":
            self.files -= 1
            self.bytes -= int(fields[_SIZE])
            inode = self.inodes.pop(path)
            if self.named.get(inode) == path:
                del self.named[inode]
            if fields[_LINKED]:
                self.linked[_first_name(path, fields)].discard(path)

    def kind(self, path: bytes) -> str | None:
        """f, d or l; None for what is not there."""
        rest = self.rest.get(path)
        return None if rest is None else rest[:1].decode()

    def time_and_size(self, path: bytes) -> tuple[int, int] | None:
        rest = self.rest.get(path)
        if rest is None:
            return None
        fields = rest.split(b"\t")
        return int(fields[_TIME]), int(fields[_SIZE])

    def below(self, path: bytes) -> Iterator[bytes]:
        """Everything that is listed below a path."""
        waiting = [path]
        while waiting:
            for child in self.children.get(waiting.pop(), ()):
                if child != b".":
                    yield child
                    waiting.append(child)

    def group(self, path: bytes) -> set[bytes]:
        """The path and the other names that its file has in the home."""
        rest = self.rest.get(path)
        if rest is None:
            return {path}
        fields = rest.split(b"\t")
        if fields[_TYPE] != b"f" or not fields[_LINKED]:
            return {path}
        return {path, *self.linked[_first_name(path, fields)]}

    def save(self, path: Path, head: dict[str, Any]) -> None:
        """Write it to disk: `head` and a line an entry, the old file or the new one, never half."""
        with open(f"{path}.new", "wb") as file:
            file.write(json.dumps(head).encode() + b"\n")
            file.writelines(
                b"%d\t%s\t%s\n" % (self.inodes.get(name, 0), escaped(name), rest) for name, rest in self.rest.items()
            )
        os.replace(f"{path}.new", path)


def load(lines: Iterable[bytes]) -> Index:
    """An index of these lines: inode number, path, rest."""
    index = Index()
    for line in lines:
        inode, path, rest = line.rstrip(b"\n").split(b"\t", 2)
        index.put(unescaped(path), int(inode), rest)
    return index


def parent_of(path: bytes) -> bytes:
    return path.rpartition(b"/")[0] or b"."


def _first_name(path: bytes, fields: list[bytes]) -> bytes:
    return path if fields[_LINKED] == b"." else unescaped(fields[_LINKED])
