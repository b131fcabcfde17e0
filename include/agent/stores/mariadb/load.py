"""Loading an account's tables into its new server, while the old one serves.

What is read need not be of one moment: whoever calls this brings over, by key, every row that was changed meanwhile.
Small tables go as INSERTs over the open sessions. Big ones go side by side as LOAD DATA, which parses quicker than
INSERT, in ranges of their key where they are very big; their secondary keys are made afterwards, by sorting.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any

from ...account.accounts import Account
from ...host.digest import printable
from ...host.kept import Threads
from ...host.processes import CLIENT
from ...host.system import refuse
from ...verbs import mariadb as verbs
from ...verbs.peers import Bytes
from ...verbs.verb import Asking, Nothing
from . import follower
from .follower import READING, Both
from .sql import Login, Session, ident, immediate, literal, query, select
from .tables import HEXADECIMAL, NUMBERED, WORDED, Name, Table

Report = Callable[..., None]
SMALL = 4 << 20
_RANGE = 64 << 20
_STATEMENT = 4 << 20
_INTEGERS = {"tinyint", "smallint", "mediumint", "int", "bigint"}
# Names that a client's own parser takes as they are; LOAD DATA is no statement that can go over in hexadecimal.
_PLAIN = re.compile(r"[\w$ .,-]+")


def load(both: Both, to_fill: list[Table], report: Report) -> int:
    """Fill these tables, which are there and empty; the bytes that went over."""
    big = [table for table in to_fill if table.bytes > SMALL and _speakable(table) and not table.versioned]
    total = 0
    if big:
        total += _Big(both, big, report).run()
    for table in to_fill:
        if table not in big:
            total += fill(both, table)
            report(done_bytes=total, text=f"MariaDB: {printable('.'.join(table.name))}")
    return total


def _speakable(table: Table) -> bool:
    return all(_PLAIN.fullmatch(name) for name in (*table.name, *(column.name for column in table.own)))


# --- small tables ---


def fill(both: Both, table: Table) -> int:
    """Every row of a table, as the reading session sees it, as INSERTs; the bytes that went over."""
    total = 0
    for statement in inserts(table, both.source.lines(table.rows(), printable(table.name[1]))):
        both.on_target([statement], [table.name])
        total += len(statement)
    return total


def inserts(table: Table, rows: Iterable[bytes]) -> Iterator[bytes]:
    """The INSERTs of rows, a few megabytes each."""
    batch: list[bytes] = []
    size = 0
    for row in rows:
        if not row.startswith(b"("):
            refuse("row_too_large", f"A row of the table {printable(table.name[1])} is too large to be read.")
        batch.append(row)
        size += len(row)
        if size > _STATEMENT:
            yield table.insert(batch)
            batch, size = [], 0
    if batch:
        yield table.insert(batch)


# --- big tables ---


class _Big:
    """Big tables on their way, a few streams at a time."""

    def __init__(self, both: Both, tables: list[Table], report: Report) -> None:
        self.both, self.report = both, report
        self.tables = sorted(tables, key=lambda table: -table.bytes)
        self.keys: dict[Name, list[str]] = {}
        self.parts: dict[Name, list[str]] = {}
        self.done = 0
        self.lock = threading.Lock()

    def run(self) -> int:
        for table in self.tables:
            self.keys[table.name] = self._put_off(table)
            self.parts[table.name] = self._parts(table)
        with Threads(max(3, os.cpu_count() or 1)) as streams:
            running = [
                streams.submit(self._part, table, part) for table in self.tables for part in self.parts[table.name][:]
            ]
            try:
                for future in running:
                    future.result()
            except BaseException:
                for future in running:
                    future.cancel()
                raise
        return self.done

    def _part(self, table: Table, where: str) -> None:
        """One stream, and after a table's last one its keys."""
        self._stream(table, where)
        with self.lock:
            self.parts[table.name].remove(where)
            last = not self.parts[table.name]
        if last and self.keys[table.name]:
            self._make(table, self.keys[table.name])

    def _put_off(self, table: Table) -> list[str]:
        """Drop the keys that can be made later; their definitions."""
        text = self.both.source.run([f"SHOW CREATE TABLE {table.at}"])[0][0][1] or ""
        later = keys_to_put_off(text)
        if later:
            self.both.on_target([f"ALTER TABLE {table.at} {', '.join(f'DROP KEY {ident(name)}' for name, _ in later)}"])
        return [definition for _, definition in later]

    def _make(self, table: Table, definitions: list[str]) -> None:
        added = ", ".join(f"ADD {definition}" for definition in definitions)
        self.both.peer.call(verbs.RunQuietly(statement=f"ALTER TABLE {table.at} {added}"))

    def _parts(self, table: Table) -> list[str]:
        """WHERE clauses that part a very big table by its key."""
        columns = {column.name: column for column in table.columns}
        number = min(16, table.bytes // _RANGE + 1)
        if number == 1 or len(table.key) != 1 or columns[table.key[0]].kind not in _INTEGERS:
            return [""]
        key = ident(table.key[0])
        low, high = self.both.source.run([select([f"MIN({key})", f"MAX({key})"], f"FROM {table.at}")])[0][0]
        if low is None or high is None:
            return [""]
        first, last = int(str(low)), int(str(high))
        cuts = sorted({first + (last - first) * n // number for n in range(1, number)} - {first})
        edges = [None, *cuts, None]
        parts = []
        for start, end in zip(edges, edges[1:], strict=False):
            tests = ([f"{key} >= {start}"] if start is not None else []) + (
                [f"{key} < {end}"] if end is not None else []
            )
            parts.append(f" WHERE {' AND '.join(tests)}" if tests else "")
        return parts

    def _stream(self, table: Table, where: str) -> None:
        both = self.both
        columns = [(column.name, column.loaded()) for column in table.own]
        load = verbs.Load(database=table.name[0], table=table.name[1], columns=columns)
        script = "SET sql_mode = '', time_zone = '+00:00', character_set_results = NULL, max_statement_time = 0;"
        script += " " + immediate(table.tabs(where)).decode().strip()
        with follower.entering():
            reader = follower.login(both.account, READING)
            newest = _newest()
            with Threads(1) as pool:
                work = pool.submit(both.peer.stream, load, reader.argv("-e", script), env=reader.env())
                _wait_for_session(reader, newest, work)
        size = work.result().bytes
        with self.lock:
            self.done += size
            self.report(done_bytes=self.done, text=f"MariaDB: {printable('.'.join(table.name))}")


def _newest() -> int:
    return int(query(["IFNULL(MAX(ID), 0)"], "FROM information_schema.PROCESSLIST")[0][0] or 0)


def _wait_for_session(user: Login, newest: int, work: Future[Any]) -> None:
    seen = f"FROM information_schema.PROCESSLIST WHERE USER = {literal(user.user)} AND ID > {newest}"
    end = time.monotonic() + 20
    while not work.done() and query(["COUNT(*)"], seen)[0][0] == "0" and time.monotonic() < end:
        time.sleep(0.005)


_TOKEN = re.compile(r"`(?:[^`]|``)*`|'(?:[^'\\]|''|\\.)*'|\"(?:[^\"\\]|\"\"|\\.)*\"|[(),]|[^`'\"(),]+", re.DOTALL)
_NAME = re.compile(r"`((?:[^`]|``)*)`", re.DOTALL)


def keys_to_put_off(statement: str) -> list[tuple[str, str]]:
    """(name, definition) of the keys in a CREATE TABLE that neither guard anything nor are needed meanwhile.

    A key that a foreign key or the numbering of rows may rest on stays, and so do those before it: what is made later
    stands behind what was there, and a table's keys keep their order."""
    items, depth, item = [], 0, ""
    for token in _TOKEN.findall(statement):
        depth += {"(": 1, ")": -1}.get(token, 0)
        if depth == 1 and token == ",":
            items.append(item.strip())
            item = ""
        elif depth >= 1 and (depth > 1 or token != "("):
            item += token
        elif depth == 0 and token == ")":
            items.append(item.strip())
            break
    resting = {name for clause in items if "FOREIGN KEY" in clause for name in _NAME.findall(clause)}
    first = {_NAME.findall(clause)[0] for clause in items if clause.startswith("PRIMARY KEY")}
    numbered = {_NAME.findall(clause)[0] for clause in items if clause.startswith("`") and "AUTO_INCREMENT" in clause}
    resting |= numbered - first
    put_off: list[tuple[str, str]] = []
    for clause in items:
        names = _NAME.findall(clause)
        if clause.startswith("KEY `") and resting.intersection(names[1:]):
            put_off = []
        elif clause.startswith("KEY `"):
            put_off.append((names[0].replace("``", "`"), clause))
    return put_off


# --- on the target ---


def _load(account: Account, want: verbs.Load, asking: Asking) -> Bytes:
    """Feed the rows, which are streamed, to LOAD DATA; the first error ends it."""
    database, table = want.database, want.table
    if database not in account.mariadb_databases or not all(_PLAIN.fullmatch(name) for name in (database, table)):
        refuse("other_account", f"The table {printable(str(table))} cannot be loaded for {account.name}.")
    fields, sets = [], []
    for number, (name, how) in enumerate(want.columns):
        if not _PLAIN.fullmatch(name) or how not in (None, NUMBERED, HEXADECIMAL, WORDED):
            refuse("other_account", f"The column {printable(str(name))} cannot be loaded.")
        fields.append(f"@f{number}" if how else ident(name))
        if how:
            sets.append(f"{ident(name)} = {how.format(f'@f{number}')}")
    statement = "LOAD DATA LOCAL INFILE '/dev/stdin' INTO TABLE"
    statement += f" {ident(database)}.{ident(table)} CHARACTER SET binary FIELDS TERMINATED BY '\\t'"
    statement += f" ENCLOSED BY X'01' ESCAPED BY '\\\\' LINES TERMINATED BY '\\n' ({', '.join(fields)})"
    statement += f" SET {', '.join(sets)}" if sets else ""
    read_end, write_end = os.pipe()
    os.fchown(read_end, CLIENT, CLIENT)  # the client opens it again, as its Unix user
    size = 0
    pipes = {"stdin": read_end, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    try:
        with follower.loader(account, statement, **pipes) as client:
            os.close(read_end)
            read_end = -1
            assert client.stderr is not None
            try:
                while block := asking.stdin.read(1 << 20):
                    size += len(block)
                    _write_all(write_end, block)
            except BrokenPipeError:
                pass
            os.close(write_end)
            write_end = -1
            errors = client.stderr.read().decode("utf-8", "backslashreplace")
    finally:
        for end in (read_end, write_end):
            if end >= 0:
                os.close(end)
    if client.returncode != 0:
        lines = [line for line in errors.splitlines() if line.startswith("ERROR")] or errors.splitlines()[-1:]
        refuse(
            "restore_failed", f"The table {printable(table)} could not be loaded: {printable(' '.join(lines))[:500]}"
        )
    return Bytes(bytes=size)


def _write_all(descriptor: int, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[os.write(descriptor, view) :]


def _quiet(account: Account, want: verbs.RunQuietly, _asking: Asking) -> Nothing:
    """Run one long statement in a session of its own, as the user of following."""
    with follower.entering():
        session = Session(follower.login(account, follower.WRITING))
    with session:
        session.run([follower.START, want.statement])
    return Nothing()


PEER_VERBS = (verbs.Load.served_by(_load), verbs.RunQuietly.served_by(_quiet))
