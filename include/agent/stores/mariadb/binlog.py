"""Reading MariaDB's binary log: which rows of which tables changed, by their keys, and what statements were logged.

The files are read as they lie on disk, up to a position that the server has told: nothing of an account is run or
looked up for it, and what belongs to other accounts is passed over by its length. A row event holds a table's columns
by number and type alone; the shapes of the tables (`Shape`) say which of them are keys and how they read as SQL.
"""

from __future__ import annotations

import mmap
import os
import re
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from .values import Decoder, Key, decimal_width, renewed

_QUERY, _ROTATE, _FORMAT, _TABLE_MAP, _INCIDENT, _XA_PREPARE, _GTID = 2, 4, 15, 19, 26, 38, 162
_START_ENCRYPTION, _QUERY_COMPRESSED = 164, 165
# What the server says of a group: no COMMIT follows it; it is a definition. Rows have neither, however they are logged.
_STANDALONE, _DDL = 1, 32
_WRITE, _UPDATE, _DELETE = (23, 166), (24, 167), (25, 168)
_ROWS = {*_WRITE, *_UPDATE, *_DELETE}
# Stop, rotate, intvar, rand, user variable, format, xid, annotation, checkpoint, GTID, list of GTIDs.
_QUIET = {3, 4, 5, 13, 14, 15, 16, 160, 161, 162, 163}
_TRANSACTION = (
    b"BEGIN",
    b"COMMIT",
    b"ROLLBACK",
    b"SAVEPOINT",
    b"RELEASE",
    b"XA ",
    b"START TRANSACTION",
    b"SET STATEMENT",
)
_XA_ENDED = re.compile(rb"XA (?:COMMIT|ROLLBACK) (X'[0-9a-f]*',X'[0-9a-f]*',\d+)", re.IGNORECASE)
_TEMPORARY = (b"DROP TEMPORARY TABLE", b"DROP /*!40005 TEMPORARY */ TABLE")


@dataclass(frozen=True)
class Shape:
    """What the log's reader must know of a table: which columns, by number, hold its key, and each key column's
    reading; and of each reference to it that changes rows of others unlogged, the columns referred to."""

    key: tuple[tuple[int, Decoder], ...]
    referred: tuple[tuple[tuple[int, Decoder], ...], ...] = ()


@dataclass
class Table:
    """The changes of one table: its rows' keys, and the values, old and new, that other tables referred to."""

    keys: set[Key] = field(default_factory=set)
    referred: list[set[Key]] = field(default_factory=list)
    unclear: bool = False  # rows changed whose keys are not known
    untold: set[int] = field(default_factory=set)  # which of `referred` lack values that an image left out


Piece = tuple[str, int, int]
"""A file of the log, and where in it something begins and ends."""


@dataclass
class Window:
    """What happened between two positions of the log, as far as it concerns an account."""

    tables: dict[tuple[str, str], Table] = field(default_factory=dict)
    prepared: dict[bytes, Piece] = field(default_factory=dict)  # by XA PREPARE and not ended: what they change
    xids: set[bytes] = field(default_factory=set)  # every name that XA PREPARE was given, by whomever
    statements: list[bytes] = field(default_factory=list)  # texts
    as_statements: bool = False  # rows were changed by some of them, which do not tell which rows


class Unreadable(Exception):
    """The log cannot be followed from there on: why, in a sentence."""


def read(
    files: list[str],
    start: int,
    stop: int,
    shapes: dict[tuple[str, str], Shape | None],
    databases: set[bytes],
    concerns: Callable[[bytes, bytes], bool],
    again: Collection[Piece] = (),
) -> Window:
    """The changes in `databases` from position `start` of the first of `files` to position `stop` of the last.

    `shapes`: their tables, None for one without a key. `concerns(database, text)` says whether a statement, run with
    that database as its default, is to be told. `again`: what transactions that were prepared before changed."""
    window = Window()
    for path, begin, end in again:
        _File(path, window, shapes, databases, concerns).read(begin, end)
    for number, path in enumerate(files):
        first, last = number == 0, number == len(files) - 1
        _File(path, window, shapes, databases, concerns).read(start if first else 4, stop if last else None)
    return window


def stamp(path: str) -> str:
    """What tells a log file from another of the same name, made after a RESET MASTER."""
    with open(path, "rb") as file:
        return file.read(64).hex()


class _File:
    def __init__(self, path: str, window: Window, shapes: Any, databases: set[bytes], concerns: Any) -> None:
        self.path, self.window, self.shapes, self.concerns = path, window, shapes, concerns
        self.databases = databases
        self.maps: dict[bytes, _Map | None] = {}
        # Where the group of events begins, where this event ends, and whether the group changes this account's rows.
        self.begun, self.after, self.mine = 4, 4, False
        self.defines = False  # whether the group is a definition, or nothing but its one statement

    def read(self, start: int, stop: int | None) -> None:
        with open(self.path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            stop = size if stop is None else stop
            if not 4 <= start <= stop <= size:
                raise Unreadable("the position is not in the binary log any more")
            if start == stop:
                return
            with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
                tail = self._tail(data)
                at = start
                while at + 19 <= stop:
                    kind, length = data[at + 4], int.from_bytes(data[at + 9 : at + 13], "little")
                    if length < 19 or at + length > stop:
                        raise Unreadable("the binary log does not end where an event ends")
                    if kind == _GTID:
                        self.begun, self.mine = at, False
                        self.defines = bool(data[at + 19 + 12] & (_STANDALONE | _DDL))
                    self.after = at + length
                    self._event(data, kind, at + 19, at + length - tail)
                    at += length

    @staticmethod
    def _tail(data: mmap.mmap) -> int:
        """How long the checksum after each event is."""
        if data[:4] != b"\xfebin" or data[8] != _FORMAT:
            raise Unreadable("the binary log is in a form that is not known")
        length = int.from_bytes(data[13:17], "little")
        after = 4 + length
        if len(data) > after + 4 and data[after + 4] == _START_ENCRYPTION:
            raise Unreadable("the binary log is encrypted")
        return 4 if data[after - 5] == 1 else 0

    def _event(self, data: mmap.mmap, kind: int, at: int, end: int) -> None:
        if kind in _ROWS:
            table = self.maps.get(data[at : at + 6])
            if table is not None:
                self.mine = True
                self._rows(table, kind, data[at + 8 : end])
        elif kind == _TABLE_MAP:
            number = data[at : at + 6]
            length = data[at + 8]
            database = data[at + 9 : at + 9 + length]
            # A number keeps its table for the whole file, but for one that was altered.
            self.maps[number] = self._map(data[at + 9 : end], database) if database in self.databases else None
        elif kind in (_QUERY, _QUERY_COMPRESSED):
            self._statement(data[at:end], kind == _QUERY_COMPRESSED)
        elif kind == _XA_PREPARE:
            name = _prepared(data[at + 1 : end])
            self.window.xids.add(name)
            if self.mine and not data[at]:  # with the byte set it is committed at once
                self.window.prepared[name] = (self.path, self.begun, self.after)
        elif kind not in _QUIET:
            raise Unreadable(f"the binary log holds an event of kind {kind}, which is not known here")

    def _statement(self, body: bytes, compressed: bool) -> None:
        length, status = body[8], int.from_bytes(body[11:13], "little")
        database = body[13 + status : 13 + status + length]
        text = body[13 + status + length + 1 :]
        if compressed:
            text = _expanded(text)
        if ended := _XA_ENDED.match(text):
            self.window.prepared.pop(ended[1].lower(), None)
        begins = text.lstrip()[:40].upper()
        if begins.startswith(_TEMPORARY) or begins.rstrip(b"; ").startswith(_TRANSACTION):
            if not begins.startswith(b"SET STATEMENT"):
                return
        if self.concerns(database, text):
            self.window.statements.append(text)
            self.window.as_statements |= not self.defines

    def _map(self, body: bytes, database: bytes) -> _Map:
        at = len(database) + 1
        length = body[at]
        name = (database.decode("utf-8", "replace"), body[at + 1 : at + 1 + length].decode("utf-8", "replace"))
        at += length + 2
        count, at = _count(body, at)
        types = body[at : at + count]
        at += count
        length, at = _count(body, at)
        old = {number: kind for number, kind in enumerate(types) if kind in (7, 12)}
        return _Map(name, count, _widths(types, body[at : at + length]), old)

    def _rows(self, table: _Map, kind: int, body: bytes) -> None:
        changed = self.window.tables.setdefault(table.name, Table())
        shape = self.shapes.get(table.name)
        if shape is None or table.widths is None:
            changed.unclear = True
            return
        if not changed.referred:
            changed.referred = [set() for _ in shape.referred]
        count, at = _count(body, 0)
        length = (count + 7) // 8
        images = 2 if kind in _UPDATE else 1
        present = []
        for _ in range(images):
            bits = int.from_bytes(body[at : at + length], "little")
            present.append([number for number in range(count) if bits >> number & 1])
            at += length
        rows = _expanded(body[at:]) if kind >= 165 else body[at:]
        needed = {number for part in (shape.key, *shape.referred) for number, _ in part}
        at = 0
        try:
            while at < len(rows):
                seen: list[dict[int, bytes]] = []
                for columns in present:
                    values, at = _row(rows, at, columns, table.widths, needed)
                    values |= {n: renewed(table.old[n], values[n]) for n in table.old.keys() & values.keys()}
                    if seen:  # an image may leave out what did not change
                        values = {**{n: v for n, v in seen[0].items() if n not in columns}, **values}
                    key = _key(values, shape.key)
                    if key is not None:
                        changed.keys.add(key)
                    elif not seen:
                        changed.unclear = True
                    seen.append(values)
                self._refer(changed, shape, kind, seen, present)
        except (IndexError, ValueError, OverflowError):
            changed.unclear = True

    @staticmethod
    def _refer(changed: Table, shape: Shape, kind: int, seen: list[dict[int, bytes]], present: list[list[int]]) -> None:
        if kind in _WRITE:
            return
        for at, (part, values) in enumerate(zip(shape.referred, changed.referred, strict=True)):
            # A smaller image (binlog_row_image) holds the old value of what it is found by alone.
            if any(n not in present[0] and (len(present) == 1 or n in present[1]) for n, _ in part):
                changed.untold.add(at)
            if len(seen) == 2 and all(seen[0].get(n) == seen[1].get(n) for n, _ in part):
                continue
            for image in seen:
                value = _key(image, part)
                if value is not None:
                    values.add(value)


def xid(form: int, first: bytes, second: bytes) -> bytes:
    """A name that XA gives to a transaction, as XA COMMIT and XA ROLLBACK are logged."""
    return f"x'{first.hex()}',x'{second.hex()}',{form}".encode()


def _prepared(body: bytes) -> bytes:
    """What XA PREPARE names."""
    form, first, second = (int.from_bytes(body[at : at + 4], "little") for at in (0, 4, 8))
    return xid(form, body[12 : 12 + first], body[12 + first : 12 + first + second])


@dataclass(frozen=True)
class _Map:
    name: tuple[str, str]
    count: int
    widths: list[tuple[int, int]] | None
    old: dict[int, int]  # columns whose times are in the form before MariaDB 10.1, with their types


def _count(data: bytes, at: int) -> tuple[int, int]:
    """A packed number and where it ends."""
    first = data[at]
    if first < 251:
        return first, at + 1
    size = {252: 2, 253: 3, 254: 8}[first]
    return int.from_bytes(data[at + 1 : at + 1 + size], "little"), at + 1 + size


def _expanded(data: bytes) -> bytes:
    """What a compressed event holds."""
    size = data[0] & 7
    return zlib.decompress(data[1 + size :])


_FIXED = {1: 1, 2: 2, 3: 4, 6: 0, 7: 4, 8: 8, 9: 3, 10: 3, 11: 3, 12: 8, 13: 1, 14: 3}
_PLAIN, _COUNTED = 0, 1  # a width in bytes; a count of so many bytes that tells the width


def _widths(types: bytes, meta: bytes) -> list[tuple[int, int]] | None:
    """How wide each column is in a row; None when a type is not known."""
    widths, at = [], 0
    for kind in types:
        if kind in _FIXED:
            widths.append((_PLAIN, _FIXED[kind]))
        elif kind in (4, 5):
            widths.append((_PLAIN, meta[at]))
            at += 1
        elif kind in (15, 253, 141):
            widths.append((_COUNTED, 1 if int.from_bytes(meta[at : at + 2], "little") < 256 else 2))
            at += 2
        elif kind == 16:
            widths.append((_PLAIN, meta[at + 1] + (meta[at] > 0)))
            at += 2
        elif kind in (17, 18, 19):
            widths.append((_PLAIN, {17: 4, 18: 5, 19: 3}[kind] + (meta[at] + 1) // 2))
            at += 1
        elif kind == 246:
            widths.append((_PLAIN, decimal_width(meta[at], meta[at + 1])))
            at += 2
        elif kind in (249, 250, 251, 252, 255, 140):
            widths.append((_COUNTED, meta[at]))
            at += 1
        elif kind in (247, 248):
            widths.append((_PLAIN, meta[at + 1]))
            at += 2
        elif kind == 254:
            widths.append(_string_width(meta[at], meta[at + 1]))
            at += 2
        else:
            return None
    return widths


def _string_width(first: int, second: int) -> tuple[int, int]:
    length = second
    if first & 0x30 != 0x30:
        length |= ((first & 0x30) ^ 0x30) << 4
        first |= 0x30
    if first in (247, 248):
        return _PLAIN, second
    return _COUNTED, 1 if length < 256 else 2


def _row(
    rows: bytes, at: int, columns: list[int], widths: list[tuple[int, int]], needed: set[int]
) -> tuple[dict[int, bytes], int]:
    """The wanted columns of the row at `at`, those that are not NULL; and where the row ends."""
    nulls = int.from_bytes(rows[at : at + (len(columns) + 7) // 8], "little")
    at += (len(columns) + 7) // 8
    values: dict[int, bytes] = {}
    for bit, number in enumerate(columns):
        if nulls >> bit & 1:
            continue
        kind, width = widths[number]
        if kind == _COUNTED:
            size = rows[at] if width == 1 else int.from_bytes(rows[at : at + width], "little")
            at += width
        else:
            size = width
        if number in needed:
            values[number] = rows[at : at + size]
        at += size
    if at > len(rows):
        raise ValueError("a row is longer than its event")
    return values, at


def _key(values: dict[int, bytes], parts: tuple[tuple[int, Decoder], ...]) -> Key | None:
    try:
        return tuple(decode(values[number]) for number, decode in parts)
    except KeyError:
        return None
