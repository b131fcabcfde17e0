"""What is equal on both servers of one account's tables, and what makes it so besides rows: the numbers."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...host.digest import printable
from ...host.kept import Threads
from ...host.system import refuse
from ...verbs import mariadb as verbs
from ..store import Report
from . import changes, digest
from .changes import ToBring
from .definition import facts
from .follower import Both
from .sql import ident, literal, select
from .state import State
from .tables import Name, Table


class Seen(NamedTuple):
    """What is in the databases: tables with rows, sequences, and tables that show the rows of others (MERGE)."""

    tables: dict[Name, Table]
    sequences: list[Name]
    merged: list[Name]

    @property
    def made(self) -> set[Name]:
        """All that must be made before anything can be put into it."""
        return {*self.tables, *self.sequences, *self.merged}


@dataclass
class Remembered:
    """What the passes of one step of a move leave to those of the next."""

    seen: Seen | None = None
    """What the last pass has found."""
    rows: dict[Name, int] | None = None
    """How many rows each table has on the target: counted once, and kept up by what is brought over."""


class Proof:
    """Tables that were brought over, compared at one moment of both sides; what is not equal is to be loaded again."""

    def __init__(self, both: Both, databases: list[str], remembered: Remembered, state: State) -> None:
        self.both, self.databases, self.remembered, self.state = both, databases, remembered, state
        self.seconds = 0.0
        """How long whole tables were compared."""
        self._loaded_again: set[Name] = set()

    @property
    def seen(self) -> Seen:
        """What the last pass has found."""
        assert self.remembered.seen is not None
        return self.remembered.seen

    def prove(self, report: Report) -> None:
        """The whole of each table is equal on both sides, at the moment that the reading session stands at."""
        tables, state = self.seen.tables, self.state
        unproven = [name for name in sorted(state.unproven) if name in tables]
        state.unproven = {*unproven}
        if not unproven:
            return
        report(text="MariaDB: comparing what was loaded")
        began = time.monotonic()
        checks = [f"CHECKSUM TABLE {tables[name].at} EXTENDED" for name in unproven]
        with Threads(1) as pool:
            theirs = pool.submit(self.both.on_target, checks)
            mine = []
            for check in checks:
                mine.append(self.both.source.run([check])[0])
                self.both.let_go()
            answers = theirs.result()
        for name, a, b in zip(unproven, mine, answers, strict=True):
            # Another version may add up the same rows otherwise: then what is in them decides.
            same = a[0][1] == b[0][1] and not tables[name].versioned  # a checksum does not tell the rows that were
            if same or self._same_rows(tables[name]):
                state.unproven.discard(name)
            elif tables[name].steady and tables[name].key:
                self._load_again(name)
        self.seconds += time.monotonic() - began
        state.save()

    def _load_again(self, name: Name) -> None:
        if name in self._loaded_again:
            shown = printable(".".join(name))
            refuse("not_equal", f"The MariaDB table {shown} did not arrive as it is here; try again.")
        self._loaded_again.add(name)
        self.state.load.add(name)

    def count(self, whole: bool) -> None:
        """Count the rows on both sides at the moment that the reading session stands at: of every table when `whole`,
        else of those that were not counted yet. What differs is loaded again."""
        tables = self.seen.tables
        if self.remembered.rows is None:
            self.remembered.rows = {}
        counts = self.remembered.rows
        fresh = [name for name in tables if whole or name not in counts]
        mine, theirs = self.both.same([tables[name].count() for name in fresh])
        for name, our_count, their_count in zip(fresh, mine, theirs, strict=True):
            counts[name] = int(their_count[0][0] or 0)
            if our_count != their_count and name not in self.state.unproven:
                if tables[name].steady and tables[name].key:
                    self._load_again(name)
                else:
                    self.state.unproven.add(name)
        for name in counts.keys() - tables.keys():
            del counts[name]

    def rows(self) -> dict[Name, int]:
        """How many rows each followed table has."""
        if self.remembered.rows is None:
            self.count(whole=True)
        return self.remembered.rows or {}

    def _same_rows(self, table: Table) -> bool:
        mine, theirs = self.both.same([table.proof()])
        return mine == theirs

    def level(self) -> None:
        """The numbers that the next rows get, and all of a sequence, there as they are here."""
        tables, sequences, _ = self.seen
        mine, theirs = self.both.same(self._numbers())
        steps = []
        for database, our_rows, their_rows in zip(self.databases, mine, theirs, strict=False):
            their_numbers = {str(table): number for table, number in their_rows}
            for table, number in our_rows:
                if their_numbers.get(str(table)) != number and (database, str(table)) in tables:
                    steps.append(
                        f"ALTER TABLE {ident(database)}.{ident(str(table))} AUTO_INCREMENT = {int(number or 1)}"
                    )
        for name, our_rows, their_rows in zip(
            sequences, mine[len(self.databases) :], theirs[len(self.databases) :], strict=True
        ):
            if our_rows != their_rows:
                _, following, least, most, step, cycles, start, cached = [str(part) for part in our_rows[0]]
                settings = (
                    f"START WITH {int(start)} MINVALUE {int(least)} MAXVALUE {int(most)} INCREMENT BY {int(step)}"
                )
                settings += f" CACHE {int(cached)} {'CYCLE' if cycles == '1' else 'NOCYCLE'}"
                steps.append(
                    f"ALTER SEQUENCE {ident(name[0])}.{ident(name[1])} {settings} RESTART WITH {int(following)}"
                )
        self.both.on_target(steps)

    def _numbers(self) -> list[str]:
        numbering = "FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND AUTO_INCREMENT IS NOT NULL"
        asked = [
            select(["TABLE_NAME", "AUTO_INCREMENT"], f"{numbering.format(literal(database))} ORDER BY TABLE_NAME")
            for database in self.databases
        ]
        return asked + [digest.sequence(*name) for name in self.seen.sequences]

    def sync(self, written: Collection[Name]) -> None:
        """Bring to the target's disk what engines that keep no log have written there."""
        tables = self.seen.tables
        if loose := sorted(name for name in written if name in tables and not tables[name].steady):
            self.both.peer.call(verbs.Sync(tables=loose))

    def sync_all(self) -> None:
        """The same of every table: what a load has written is much more than what a hold does."""
        self.sync(self.seen.tables)

    def differences(self, brought: ToBring) -> list[str]:
        """What of all that the last pass brought over, and of all numbers, is not equal, as sentences."""
        tables, sequences, _ = self.seen
        asked = changes.proofs(brought, tables)
        numbers = self._numbers()
        mine, theirs = self.both.same([statement for _, statement in asked] + numbers)
        names = [name for name, _ in asked] + [(database, "numbering") for database in self.databases] + sequences
        bad = {name for name, a, b in zip(names, mine, theirs, strict=True) if a != b}
        return [f"{printable('.'.join(name))}: not the same on both sides." for name in sorted(bad)]

    def facts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """All that is no row and no number, on both sides."""
        with Threads(1) as pool:
            theirs = pool.submit(self.both.peer.call, verbs.FactsOfAll())
            return facts(self.both.account), theirs.result()
