"""Bringing what changed in an account's databases to the new server, and proving that it arrived.

The binary log tells which rows changed, by key; no more is taken from it. What is in those rows is read where they are
and written over there: rows of those keys are deleted, and those that exist are inserted. So it may be done again, ends
in the same state whatever was there, runs no statement of the customer's and needs no power over other data. While the
account serves, log and rows are read at the same moment, by a snapshot that knows its position in the log.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...account.accounts import Account
from ...host.digest import printable
from ...host.system import refuse
from ..followed import WhyNot
from . import binlog, load
from . import print as mariadb_print
from .binlog import Piece, Unreadable, Window
from .follower import Both
from .sql import queries, query
from .tables import Name, Reference, Table, matching
from .values import Key

MOST_KEYS = 200_000
NO_KEY = "it is written to and has no key by which its rows can be told"
_WORD = rb"0-9A-Za-z_$\x80-\xff"


@dataclass
class Position:
    """A place in the binary log, and what tells its file from another of that name."""

    file: str
    at: int
    stamp: str

    def to_json(self) -> list[Any]:
        return [self.file, self.at, self.stamp]


def position_now() -> Position:
    """Where the binary log ends now."""
    rows = queries(["SHOW MASTER STATUS"])[0]
    if not rows:
        raise Unreadable("MariaDB here keeps no binary log")
    return position(str(rows[0][0]), int(rows[0][1] or 0))


def position(file: str, at: int) -> Position:
    """The position that the server has told."""
    return Position(file, at, binlog.stamp(_path(file)))


def _path(file: str) -> str:
    base = str(query(["@@GLOBAL.log_bin_basename"], "")[0][0])
    return base.rpartition("/")[0] + "/" + file


def started() -> str:
    """What tells this run of MariaDB from any other: a crash may have taken the end of its log, and not of its rows."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    folder, file = query(["@@GLOBAL.datadir", "@@GLOBAL.pid_file"], "")[0]
    pid = (Path(str(folder)) / str(file)).read_text().strip()
    ticks = Path(f"/proc/{int(pid)}/stat").read_text().rpartition(")")[2].split()[19]
    return f"{boot} {pid} {ticks}"


def begin(account: Account) -> tuple[Position, list[Piece]]:
    """From where to follow an account that is loaded now, and what transactions change that are prepared: it is in no
    load, and their commits name no rows."""
    stop = position_now()
    waiting = [_xid(*row) for row in queries(["XA RECOVER"])[0]]
    if not waiting:
        return stop, []
    first = str(queries(["SHOW BINARY LOGS"])[0][0][0])
    seen = window(account, position(first, 4), stop, {})
    for name in waiting:
        if name not in seen.xids:
            refuse(
                "prepared_transaction",
                f"A transaction was prepared by XA ({name.decode()}) before MariaDB's binary log here begins, so"
                f" nobody can tell whether it changes {account.name}; end it (XA COMMIT, XA ROLLBACK), then try again.",
            )
    return stop, [*seen.prepared.values()]


def refuse_prepared() -> None:
    """Refuse to dump while a transaction is prepared by XA: without a log nobody can tell whose rows it changes."""
    for row in queries(["XA RECOVER"])[0]:
        refuse(
            "prepared_transaction",
            f"A transaction is prepared by XA here ({_xid(*row).decode()}), and without a binary log of rows nobody can"
            " tell whose data it changes; end it (XA COMMIT, XA ROLLBACK), then try again.",
        )


def _xid(form: str | None, first: str | None, second: str | None, names: str | None) -> bytes:
    """What XA RECOVER lists, as the log names it."""
    both, parted = str(names).encode("utf-8", "surrogateescape"), int(first or 0)
    return binlog.xid(int(form or 0), both[:parted], both[parted : parted + int(second or 0)])


_WRITE = "let the administrator write {} under [mysqld] in MariaDB's settings here, and restart it"
_NO_LOG = WhyNot("MariaDB here keeps no binary log", _WRITE.format("log_bin and binlog_format = ROW"))
_NO_ROWS = WhyNot("MariaDB's binary log here does not hold rows (binlog_format)", _WRITE.format("binlog_format = ROW"))
_NO_CASE = WhyNot(
    "MariaDB here does not tell upper from lower case in the names of tables",
    "choose a quiet hour: a server with data cannot be set otherwise (lower_case_table_names)",
)
_ENCRYPTED = WhyNot("MariaDB's binary log here is encrypted", _WRITE.format("encrypt_binlog = OFF"))
_FILTERED = WhyNot(
    "MariaDB's binary log here leaves databases out",
    "let the administrator take binlog_do_db and binlog_ignore_db out of MariaDB's settings here, and restart it",
)


def why_not() -> WhyNot | None:
    """Why this server's binary log cannot tell what changes; None when it can."""
    names = ["log_bin", "binlog_format", "lower_case_table_names", "encrypt_binlog"]
    values = query([f"@@GLOBAL.{name}" for name in names], "")[0]
    if values[0] not in ("1", "ON"):
        return _NO_LOG
    if values[1] != "ROW":
        return _NO_ROWS
    if values[2] != "0":
        return _NO_CASE
    if values[3] in ("1", "ON"):
        return _ENCRYPTED
    status = queries(["SHOW MASTER STATUS"])[0][0]
    return _FILTERED if any(status[2:4]) else None


def window(
    account: Account, start: Position, stop: Position, tables: dict[Name, Table], again: Collection[Piece] = ()
) -> Window:
    """What concerns the account between two positions, and in these pieces before them."""
    names = [str(row[0]) for row in queries(["SHOW BINARY LOGS"])[0]]
    if start.file not in names or stop.file not in names or binlog.stamp(_path(start.file)) != start.stamp:
        raise Unreadable("the binary log since then is gone")
    files = [_path(name) for name in names[names.index(start.file) : names.index(stop.file) + 1]]
    shapes = {name: table.shape() for name, table in tables.items()}
    mine = {database.encode() for database in account.mariadb_databases}
    named = named_in([*account.mariadb_databases, *(user for user, _ in account.mariadb_users)])
    return binlog.read(
        files,
        start.at,
        stop.at,
        shapes,
        mine,
        lambda database, text: database in mine or named.search(text) is not None,
        again,
    )


def named_in(names: list[str]) -> re.Pattern[bytes]:
    """Finds any of these names in a statement's text, as a word of it; rather too often than not, so that nothing but a
    second look may follow from it: a neighbour words statements, too."""
    words = set()
    for name in names:
        for quote in ("`", '"', "'"):
            words.add(name.replace(quote, quote * 2).encode())
            words.add(name.replace("\\", "\\\\").replace(quote, "\\" + quote).encode())
    if not words:
        return re.compile(b"(?!)")
    plain = b"|".join(re.escape(word) for word in sorted(words))
    pattern = rb"(?<![" + _WORD + rb"])(?:" + plain + rb")(?![" + _WORD + rb"])"
    if any(max(word) > 127 for word in words):
        pattern += b"|[\x80-\xff]"  # in another character set it reads otherwise
    return re.compile(pattern)


# --- what must go over ---


@dataclass
class ToBring:
    """What must be brought over: of some tables the rows of these keys, of others every row, and why."""

    keys: dict[Name, set[Key]] = field(default_factory=dict)
    whole: dict[Name, str] = field(default_factory=dict)

    def add(self, name: Name, keys: set[Key]) -> None:
        self.keys.setdefault(name, set()).update(keys)

    def all_of(self, names: set[Name], why: str) -> None:
        """Every row of these tables."""
        for name in names:
            self.whole.setdefault(name, why)
            self.keys.pop(name, None)


def changed_rows(
    both: Both,
    seen: Window,
    tables: dict[Name, Table],
    carried: dict[Name, set[Key]],
    merged: Collection[Name] = (),
) -> ToBring:
    """What a window says, with the rows that foreign keys have changed unlogged, and what was carried from before."""
    to_bring = ToBring()
    for name, keys in carried.items():
        if name in tables:
            to_bring.add(name, keys)
    if seen.as_statements:
        to_bring.all_of(
            {*tables}, "somebody has logged changes of rows as statements, which may change whatever they like"
        )
    if seen.statements:
        loose = {name for name, table in tables.items() if table.engine.upper() not in mariadb_print.IDENTIFIED}
        to_bring.all_of(loose, "its engine does not tell which table it is, and something was defined meanwhile")
    for name in _below_merged(seen, tables, merged):
        to_bring.whole[name] = "it was written to through a MERGE table"
    for name, changes in seen.tables.items():
        table = tables.get(name)
        if table is None:
            continue
        if changes.unclear or not table.key:
            to_bring.whole.setdefault(name, "its log is unclear" if table.key else NO_KEY)
        else:
            to_bring.add(name, changes.keys)
    _follow_references(both, seen, tables, to_bring)
    for name, keys in list(to_bring.keys.items()):
        if len(keys) > MOST_KEYS:
            to_bring.whole.setdefault(name, f"more than {MOST_KEYS} of its rows changed")
    for name in to_bring.whole:
        to_bring.keys.pop(name, None)
    return to_bring


def _below_merged(seen: Window, tables: dict[Name, Table], merged: Collection[Name]) -> list[Name]:
    """Tables that may have been written to through one of `merged`, which have no rows of their own."""
    databases = {name[0] for name in seen.tables if name in merged}
    return [name for name, table in tables.items() if name[0] in databases and table.engine.upper() == "MYISAM"]


class _Spreading:
    """What foreign keys may have changed in rows that cannot be told: every row of the tables that refer, and of those
    that refer to them in turn."""

    def __init__(self, tables: dict[Name, Table], to_bring: ToBring) -> None:
        self.tables, self.to_bring = tables, to_bring
        self._through: set[Name] = set()

    def below(self, name: Name) -> None:
        """Rows of this table changed that cannot be told."""
        if name in self._through:
            return
        self._through.add(name)
        for reference in self.tables[name].references:
            self.whole(reference.child)

    def whole(self, name: Name) -> None:
        """Any row of this table may have changed."""
        if name in self.tables:
            self.to_bring.whole.setdefault(name, "a foreign key may have changed its rows")
            self.below(name)


def _follow_references(both: Both, seen: Window, tables: dict[Name, Table], to_bring: ToBring) -> None:
    """Rows that a foreign key deletes or changes are in no log: they are those that refer, on either side, to a value
    that a changed row had or has."""
    asked_before: dict[Reference, set[Key]] = {}
    waiting: dict[Reference, set[Key]] = {}
    spreading = _Spreading(tables, to_bring)
    for name, changes in seen.tables.items():
        if name not in tables:
            continue
        if name in to_bring.whole:
            spreading.below(name)
        for at, reference in enumerate(tables[name].references):
            if at in changes.untold:
                spreading.whole(reference.child)
            elif at < len(changes.referred):
                waiting.setdefault(reference, set()).update(changes.referred[at])
    while waiting:
        asked: list[tuple[Table, str]] = []
        for reference, values in waiting.items():
            fresh = values - asked_before.setdefault(reference, set())
            asked_before[reference] |= fresh
            child = tables.get(reference.child)
            if child is None or not fresh:
                continue
            if child.name in to_bring.whole:
                spreading.below(child.name)
                continue
            if not child.key or len(asked_before[reference]) > MOST_KEYS:
                to_bring.whole[child.name] = "a foreign key changed rows of it that cannot be told"
                spreading.below(child.name)
                continue
            columns = [*child.key, *(name for onward in child.references for name in onward.referred)]
            asked += [(child, child.keys(columns, where)) for where in matching(reference.columns, fresh)]
        waiting = {}
        for sides in both.same([statement for _, statement in asked]) if asked else ():
            for (child, _), rows in zip(asked, sides, strict=True):
                for row in rows:
                    _refer(child, [str(part) for part in row], to_bring, waiting)


_LITERAL = re.compile(r"NULL|-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?|(?:_[a-z0-9]+ )?X'[0-9A-Fa-f]*'")


def _refer(child: Table, row: list[str], to_bring: ToBring, waiting: dict[Reference, set[Key]]) -> None:
    """A row that refers to what changed, and the values of it that others refer to in turn. The other server told it,
    perhaps: what becomes part of a statement is a literal, as `Table.keys` words it."""
    at = len(child.key)
    if len(row) != at + sum(len(reference.referred) for reference in child.references) or not all(
        map(_LITERAL.fullmatch, row)
    ):
        refuse("strange_reply", f"The new server's keys of {printable('.'.join(child.name))} are none; look at it.")
    to_bring.add(child.name, {tuple(row[:at])})
    for reference in child.references:
        waiting.setdefault(reference, set()).add(tuple(row[at : at + len(reference.referred)]))
        at += len(reference.referred)


# --- bringing it over ---


@dataclass
class Brought:
    """What was brought over: by how many rows each table grew, and what took how long."""

    grown: dict[Name, int] = field(default_factory=dict)
    slow: list[dict[str, Any]] = field(default_factory=list)


def bring(both: Both, to_bring: ToBring, tables: dict[Name, Table]) -> Brought:
    """Write over there what the reading session sees here."""
    done = Brought()
    counts: list[Name] = []
    statements: list[Any] = []
    inserts: list[bytes] = []
    for name, keys in to_bring.keys.items():
        table = tables[name]
        rows: dict[bytes, None] = {}  # two keys that only their collation calls equal may name one row
        for where in matching(table.key, keys):
            counts.append(name)
            statements += [table.count(where), table.delete(where)]
            rows |= dict.fromkeys(both.source.lines(table.rows(where), printable(name[1])))
        done.grown[name] = len(rows)
        inserts += load.inserts(table, rows)
        both.let_go()
    for name, (before, *_) in zip(counts, both.write([*statements, *inserts], to_bring.keys), strict=False):
        done.grown[name] -= int(before)
    for name, why in to_bring.whole.items():
        began = time.monotonic()
        table = tables[name]
        count = table.count()
        before = both.write([count, *table.empty()], [name])[0][0]
        load.fill(both, table)
        done.grown[name] = int(both.on_target([count])[0][0][0] or 0) - int(before)
        seconds = round(time.monotonic() - began, 3)
        done.slow.append({"what": f"MariaDB table {printable('.'.join(name))}", "seconds": seconds, "why": why})
        both.let_go()
    return done


def proofs(to_bring: ToBring, tables: dict[Name, Table]) -> list[tuple[Name, str]]:
    """The statements whose answers are equal on both sides when all of this has arrived."""
    asked = [
        (name, tables[name].proof(where))
        for name, keys in to_bring.keys.items()
        for where in matching(tables[name].key, keys)
    ]
    return asked + [(name, tables[name].proof()) for name in to_bring.whole]


def unequal(both: Both, to_bring: ToBring, tables: dict[Name, Table]) -> list[Name]:
    """The tables of which the rows that were brought over are not the same on both sides."""
    asked = proofs(to_bring, tables)
    if not asked:
        return []
    mine, theirs = both.same([statement for _, statement in asked])
    return sorted({name for (name, _), a, b in zip(asked, mine, theirs, strict=True) if a != b})
