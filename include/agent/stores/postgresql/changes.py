"""Which rows of a followed database have changed: read from a logical slot of its own, in pgoutput's format.

What is applied on the target comes by another slot of the same publication, so what is compared in the end does not
depend on what was sent. A key that is proven equal is forgotten until its row changes again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .digest import shown

MOST_KEYS = 50_000  # of one table; more are slower to look up than the table is to read
LONGEST = 8192  # bytes of a message that are looked at: a key stands near the beginning of its row

Key = tuple[str, ...]


class Short(Exception):
    """The message is longer than what was read of it, or holds what cannot be a key."""


@dataclass
class Table:
    """A table as a Relation message tells of it: the columns of its key by position, and their names."""

    schema: str
    name: str
    whole: bool  # no key: an old row is identified by all of its columns
    columns: list[str]
    positions: list[int]

    @property
    def shown(self) -> str:
        return shown(self.schema, self.name)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, form: str) -> Any:
        size = struct.calcsize(form)
        if self.at + size > len(self.data):
            raise Short
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += size
        return value

    def bytes(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise Short
        self.at += size
        return self.data[self.at - size : self.at]

    def text(self) -> str:
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise Short
        raw = self.data[self.at : end]
        self.at = end + 1
        return _decoded(raw)

    def row(self, positions: list[int], *, to_its_end: bool) -> Key:
        """The columns at these positions of a row; the rest is skipped where something comes after it."""
        values: dict[int, str] = {}
        for number in range(self.take(">H")):
            if len(values) == len(positions) and not to_its_end:
                break
            kind = self.bytes(1)
            if kind == b"t":
                value = self.bytes(self.take(">I"))
                if number in positions:
                    values[number] = _decoded(value)
            elif number in positions:
                raise Short  # NULL is in no key; "unchanged" tells no value
        if len(values) < len(positions):
            raise Short
        return tuple(values[position] for position in positions)


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Short from None


@dataclass
class Changes:
    """What is known of a followed database since its snapshot."""

    lsn: int  # where the last transaction that was taken in ends
    rows: dict[str, int] = field(default_factory=dict)  # of each table, by the name that it has in digests
    keys: dict[str, set[Key]] = field(default_factory=dict)  # of rows that may differ
    columns: dict[str, list[str]] = field(default_factory=dict)  # what the keys are made of
    whole: set[str] = field(default_factory=set)  # tables that may differ anywhere
    names: dict[str, list[str]] = field(default_factory=dict)  # schema and name of each table that changed
    files: dict[str, int] = field(default_factory=dict)  # the file of each table, by its oid
    _tables: dict[int, Table] = field(default_factory=dict)
    _skipping: bool = False

    def take(self, messages: Iterable[bytes]) -> None:
        """Take in whole transactions; those that were taken in before are passed over."""
        for message in messages:
            kind, reader = message[:1], _Reader(message[1:])
            if kind == b"B":
                self._skipping = reader.take(">Q") < self.lsn
            elif kind == b"R":
                table = _relation(reader)
                self._tables[table[0]] = table[1]
            elif kind == b"C" and not self._skipping:
                reader.bytes(9)
                self.lsn = reader.take(">Q")
            elif kind in (b"I", b"U", b"D") and not self._skipping:
                self._row(kind, reader)
            elif kind == b"T" and not self._skipping:
                count = reader.take(">I")
                reader.bytes(1)
                for _ in range(count):
                    self._emptied(self._tables[reader.take(">I")])

    def _row(self, kind: bytes, reader: _Reader) -> None:
        table = self._tables[reader.take(">I")]
        self.names[table.shown] = [table.schema, table.name]
        self.rows[table.shown] = self.rows.get(table.shown, 0) + {b"I": 1, b"U": 0, b"D": -1}[kind]
        if table.whole or table.shown in self.whole:
            self._all_of(table.shown)
            return
        try:
            if kind == b"U":
                follows = reader.bytes(1)
                if follows in (b"K", b"O"):
                    self._changed(table, reader.row(table.positions, to_its_end=True))
                    reader.bytes(1)
            else:
                reader.bytes(1)
            self._changed(table, reader.row(table.positions, to_its_end=False))
        except Short:
            self._all_of(table.shown)

    def _changed(self, table: Table, key: Key) -> None:
        if self.columns.get(table.shown, table.columns) != table.columns:
            self._all_of(table.shown)  # its key is another one since
            return
        self.columns[table.shown] = table.columns
        keys = self.keys.setdefault(table.shown, set())
        keys.add(key)
        if len(keys) > MOST_KEYS:
            self._all_of(table.shown)

    def _emptied(self, table: Table) -> None:
        self.rows[table.shown] = 0
        self.anywhere(table.schema, table.name)

    def anywhere(self, schema: str, table: str) -> None:
        """This table may differ in any row."""
        self.names[shown(schema, table)] = [schema, table]
        self._all_of(shown(schema, table))

    def written_anew(self, files: Iterable[tuple[int, str, str, int]]) -> None:
        """What is written to another file may be other rows, of which no log tells: (oid, schema, table, file) each."""
        for oid, schema, table, file in files:
            if self.files.get(str(oid), file) != file:
                self.files[str(oid)] = file
                self.anywhere(schema, table)

    def _all_of(self, name: str) -> None:
        self.whole.add(name)
        self.keys.pop(name, None)
        self.columns.pop(name, None)

    def equal(self, keys: dict[str, list[Key]], whole: Iterable[str]) -> None:
        """These are proven equal; the tables as a whole too."""
        for name, proven in keys.items():
            self.keys.get(name, set()).difference_update(proven)
            if not self.keys.get(name):
                self.keys.pop(name, None)
                self.columns.pop(name, None)
        self.whole.difference_update(whole)

    def unlike(self, later: Changes) -> bool:
        """Whether something that differs here did not change `later`: then it is no change on its way.

        What changed later may just have been read at two moments."""
        keys = any(
            table not in later.whole and not keys <= later.keys.get(table, set()) for table, keys in self.keys.items()
        )
        return keys or any(table not in later.whole and table not in later.keys for table in self.whole)

    def question(self) -> dict[str, Any]:
        """What is to be looked at on both sides (see postgres_look): {"keys": {table: ...}, "whole": [tables]}."""
        keys = {
            name: {
                "schema": self.names[name][0],
                "table": self.names[name][1],
                "columns": columns,
                "keys": sorted(self.keys[name]),
            }
            for name, columns in self.columns.items()
        }
        return {"keys": keys, "whole": [self.names[name] for name in sorted(self.whole)]}

    def to_json(self) -> dict[str, Any]:
        return {
            "lsn": self.lsn,
            "rows": self.rows,
            "keys": {name: sorted(keys) for name, keys in self.keys.items()},
            "columns": self.columns,
            "whole": sorted(self.whole),
            "names": self.names,
            "files": self.files,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Changes:
        keys = {name: {tuple(key) for key in keys} for name, keys in data["keys"].items()}
        return cls(data["lsn"], data["rows"], keys, data["columns"], set(data["whole"]), data["names"], data["files"])


def _relation(reader: _Reader) -> tuple[int, Table]:
    number = reader.take(">I")
    schema, name, identity = reader.text() or "pg_catalog", reader.text(), reader.bytes(1)
    columns, positions = [], []
    for position in range(reader.take(">H")):
        flags, column = reader.take(">B"), reader.text()
        reader.bytes(8)
        if flags & 1:
            columns.append(column)
            positions.append(position)
    return number, Table(schema, name, identity == b"f" or not positions, columns, positions)


def lsn(text: str) -> int:
    """A position in the log as a number, from the form `16/B374D848`."""
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)
