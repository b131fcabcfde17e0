"""One account's tables on their way: loaded, brought up to date pass by pass, and proven."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from . import mariadb_changes, mariadb_digest, mariadb_follower, mariadb_load, mariadb_tables
from .accounts import Account
from .digest import printable
from .mariadb_binlog import Unreadable, Window
from .mariadb_changes import Wanted
from .mariadb_definition import definition, facts, objects
from .mariadb_follower import READING, Both
from .mariadb_sql import ident, literal, queries, select
from .mariadb_state import State, state_path
from .mariadb_tables import Name, Table
from .system import Refused, refuse

Report = Callable[..., None]
_TRIES = 6
# What the last pass has found of each account: its tables and its sequences.
_seen: dict[str, tuple[dict[Name, Table], list[Name]]] = {}
# How many rows each table has on the target: counted once, and kept up by what is brought over.
_rows: dict[str, dict[Name, int]] = {}


class Following:
    """One account on its way to one peer; of it the databases that can be followed."""

    def __init__(self, account: Account, peer: Any, databases: list[str]) -> None:
        self.account, self.databases, self.both = account, databases, Both(account, peer)
        self.peer, self.state = peer, State(account)
        self.bytes, self.prove_seconds = 0, 0.0
        self.slow: list[dict[str, Any]] = []
        self.left: list[str] = []
        self.wanted = Wanted()
        self.behind: set[Name] = set()
        self.retold = False

    # --- catching up, while the account serves ---

    def catch_up(self, report: Report, patient: bool) -> None:
        """Load what is not there yet, bring over what has changed, and prove what was not proven yet.

        When `patient`, tables without a key that were written to meanwhile are loaded once more."""
        _seen.pop(self.account.name, None)
        if not self._known_there():
            self._begin()
        for _ in range(_TRIES):
            try:
                if self.state.load:
                    self._load(report)
                self.advance()
                if patient and self.behind and not self.state.load:
                    patient, self.state.load = False, self.behind
                    self.behind = set()
                if self.state.load:
                    continue
                self.tell()
                self._prove(report)
                self._count()
                self.both.thaw()
                return
            except Unreadable:
                self._begin()
            except Refused:
                _rows.pop(self.account.name, None)
                # A table that is altered while it is read ends the session; the next pass finds the statement.
                if not self._altered():
                    raise
        refuse("not_followed", f"The MariaDB tables of {self.account.name} are altered all the time; try again.")

    def _known_there(self) -> bool:
        there = self.peer.call("mariadb_followed", {})["token"]
        return bool(self.state.token) and there == self.state.token and self.state.databases == self.databases

    def _begin(self) -> None:
        """Empty databases there, and the position here from which on changes are brought over."""
        what = definition(self.account)
        objects(self._followed())  # what cannot be carried is refused before anything is done
        state_path(self.account).unlink(missing_ok=True)
        self.state = State(self.account)
        self.state.token, self.state.databases = secrets.token_hex(16), self.databases
        self.peer.call("mariadb_prepare", {**what, "token": self.state.token})
        if self.databases:
            self.state.position = mariadb_changes.here()
        tables, sequences = self._look()
        self.state.load = {*tables, *sequences}
        self.state.save()

    def _followed(self) -> Account:
        return replace(self.account, mariadb_databases=tuple(self.databases))

    def _look(self) -> tuple[dict[Name, Table], list[Name]]:
        """The tables and sequences as they are now; refuses tables that lie elsewhere."""
        sequences = []
        for database in self.databases:
            listed = mariadb_digest.tables_of(database)
            sequences += [(database, name) for name, table in listed.items() if table["kind"] == "SEQUENCE"]
        found = _seen[self.account.name] = (mariadb_tables.tables(self.databases), sequences)
        return found

    def _altered(self) -> bool:
        if not self.state.position:
            return False
        seen = mariadb_changes.window(self.account, self.state.position, mariadb_changes.here(), {})
        return bool(seen.statements)

    def _load(self, report: Report) -> None:
        """Make the tables that are waited for, and fill them."""
        self.both.thaw()
        tables, sequences = self._look()
        state = self.state
        drops = []
        for database, name in sorted(state.load):
            at = f"{ident(database)}.{ident(name)}"
            drops += [f"DROP TABLE IF EXISTS {at}"] if (database, name) in tables else [f"DROP SEQUENCE IF EXISTS {at}"]
        self.both.there(drops)
        for name in state.load:
            _rows.get(self.account.name, {}).pop(name, None)
        state.told = ""
        for database in self.databases:
            names = sorted(name for of, name in state.load & {*tables, *sequences} if of == database)
            if names:
                self.bytes += self._make(database, names)
        wanted = [tables[name] for name in sorted(state.load) if name in tables]
        self.bytes += mariadb_load.load(self.both, wanted, report)
        state.unproven |= {table.name for table in wanted}
        state.load = set()
        state.save()

    def _make(self, database: str, names: list[str]) -> int:
        """Tables without rows, and sequences, as the source's own tool words them."""
        with mariadb_follower.entering():
            reader = mariadb_follower.login(self.account, READING)
            argv = [*reader.as_unix_user(), "mariadb-dump", "--no-defaults", f"--user={reader.user}", "--no-data"]
            argv += ["--protocol=socket", "--skip-lock-tables", "--skip-add-locks", "--skip-add-drop-table"]
            argv += ["--skip-triggers", "--skip-comments", "--default-character-set=utf8mb4", "--single-transaction"]
            argv += ["--", database, *names]
            return self.peer.stream("mariadb_restore", {"database": database}, argv, env=reader.env())["bytes"]

    # --- one pass ---

    def advance(self, held: bool = False) -> None:
        """Bring over what changed since the position, and move it on.

        While the account serves, what was brought over is proven at once, at the moment of the reading; what is not
        equal, as an unsteady table that was written to, is brought over again by the next pass. In the hold the proof
        comes after (`differences`)."""
        state = self.state
        if not state.position:  # there is no database that can be followed
            _seen[self.account.name] = ({}, [])
            return
        if held:
            self.both.thaw()
            stop = mariadb_changes.here()
        else:
            stop = mariadb_changes.position(*self.both.freeze())
        tables, _ = _seen.get(self.account.name) or self._look()
        seen = mariadb_changes.window(self.account, state.position, stop, tables)
        if seen.statements:
            state.told = ""
            tables, _ = self._look()
            seen = mariadb_changes.window(self.account, state.position, stop, tables)
        what = mariadb_changes.wanted(self.both, seen, tables, state.waiting())
        if held:
            unproven = state.unproven & {*tables}
            what.all_of(unproven, "it was written to while it was compared, and its engine has no snapshots")
        else:
            self._put_off(what, seen)
        done = mariadb_changes.bring(self.both, what, tables)
        counted = _rows.get(self.account.name, {})
        for name in counted.keys() & done.grown.keys():
            counted[name] += done.grown[name]
        self.slow += done.slow
        self.wanted = what
        if held:
            return
        different = mariadb_changes.unequal(self.both, what, tables)
        state.carried = {name: what.keys[name] for name in different if name in what.keys}
        state.prepare(seen.prepared)
        state.position = stop
        state.save()

    def _put_off(self, what: Wanted, seen: Window) -> None:
        """While the account serves, a table of which all must go over is loaded anew, after the pass.

        One that is written to and has no key would be loaded for ever: it is again when there is time for it."""
        state = self.state
        self.behind |= {name for name, why in what.whole.items() if why == mariadb_changes.NO_KEY}
        state.unproven |= self.behind
        state.load |= {*what.whole} - self.behind
        what.whole.clear()
        if seen.statements:
            among = "(" + ", ".join(literal(name) for name in self.databases) + ")"
            listed = f"FROM information_schema.TABLES WHERE TABLE_SCHEMA IN {among} AND TABLE_TYPE <> 'VIEW'"
            mine, theirs = self.both.same([select(["TABLE_SCHEMA", "TABLE_NAME"], listed)])
            ours, there = ({(str(a), str(b)) for a, b in rows[0]} for rows in (mine, theirs))
            _, sequences = _seen[self.account.name]
            state.load |= (ours - there).union(mariadb_changes.named(seen, sequences))
            gone = there - ours
            self.both.there([f"DROP TABLE IF EXISTS {ident(d)}.{ident(n)}" for d, n in sorted(gone)])
            state.unproven -= gone
        for name in state.load:
            what.keys.pop(name, None)

    # --- users and objects ---

    def tell(self, empty: tuple[str, ...] = (), others: tuple[str, ...] = ()) -> None:
        """Users, events and objects there as they are here now; `empty`: databases that are made empty first, when
        no objects come yet (`others` are those that are there by now)."""
        what = definition(self.account)
        self.left = what["left"]
        followed = replace(self.account, mariadb_databases=(*self.databases, *others))
        made = objects(followed)
        told = hashlib.sha256(json.dumps([what, made], sort_keys=True).encode()).hexdigest()
        if told == self.state.told:
            return
        self.peer.call("mariadb_expect", {**what, "token": self.state.token, "empty": list(empty)})
        # Objects of one database may need another's, so they come when all tables are there.
        if {*followed.mariadb_databases} == {*self.account.mariadb_databases}:
            self.peer.call("mariadb_objects", {"objects": made})
        self.state.told = told
        self.state.save()

    # --- proof ---

    def _prove(self, report: Report) -> None:
        """The whole of each table is equal on both sides, at the moment that the reading session stands at."""
        tables, state = _seen[self.account.name][0], self.state
        unproven = [name for name in sorted(state.unproven) if name in tables]
        state.unproven = {*unproven}
        if not unproven:
            return
        report(text="MariaDB: comparing what was loaded")
        began = time.monotonic()
        checks = [f"CHECKSUM TABLE {tables[name].at} EXTENDED" for name in unproven]
        with ThreadPoolExecutor(1) as pool:
            theirs = pool.submit(self.both.there, checks)
            mine = []
            for check in checks:
                mine.append(self.both.source.run([check])[0])
                self.both.let_go()
            there = theirs.result()
        for name, a, b in zip(unproven, mine, there, strict=True):
            # Another version may add up the same rows otherwise: then what is in them decides.
            if a[0][1] == b[0][1] or self._same_rows(tables[name]):
                state.unproven.discard(name)
            elif tables[name].steady and tables[name].key:
                state.load.add(name)
        self.prove_seconds += time.monotonic() - began
        state.save()
        if state.load:
            name = printable(".".join(min(state.load)))
            refuse("not_equal", f"The MariaDB table {name} did not arrive as it is here; try again.")

    def _count(self) -> None:
        tables = _seen[self.account.name][0]
        known = _rows.setdefault(self.account.name, {})
        fresh = [name for name in tables if name not in known]
        for name, rows in zip(fresh, self.both.there([tables[name].count() for name in fresh]), strict=True):
            known[name] = int(rows[0][0] or 0)
        for name in known.keys() - tables.keys():
            del known[name]

    def rows(self) -> dict[Name, int]:
        """How many rows each followed table has."""
        if self.account.name not in _rows:
            self._count()
        return _rows[self.account.name]

    def _same_rows(self, table: Table) -> bool:
        mine, theirs = self.both.same([table.proof()])
        return mine == theirs

    def level(self) -> None:
        """The numbers that the next rows get, there as they are here."""
        tables, sequences = _seen[self.account.name]
        mine, theirs = self.both.same(self._numbers())
        steps = []
        for database, ours, there in zip(self.databases, mine, theirs, strict=False):
            known = {str(name): number for name, number in there}
            for name, number in ours:
                if known.get(str(name)) != number and (database, str(name)) in tables:
                    steps.append(
                        f"ALTER TABLE {ident(database)}.{ident(str(name))} AUTO_INCREMENT = {int(number or 1)}"
                    )
        for name, ours, there in zip(
            sequences, mine[len(self.databases) :], theirs[len(self.databases) :], strict=True
        ):
            if ours != there:
                value = int(ours[0][1] or 0)
                steps.append(f"ALTER SEQUENCE {ident(name[0])}.{ident(name[1])} RESTART WITH {value}")
        self.both.there(steps)

    def _numbers(self) -> list[str]:
        numbering = "FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND AUTO_INCREMENT IS NOT NULL"
        asked = [
            select(["TABLE_NAME", "AUTO_INCREMENT"], f"{numbering.format(literal(database))} ORDER BY TABLE_NAME")
            for database in self.databases
        ]
        return asked + [mariadb_digest.sequence(*name) for name in _seen[self.account.name][1]]

    def differences(self) -> list[str]:
        """What of all that the last pass brought over, and of all numbers, is not equal, as sentences."""
        tables, sequences = _seen[self.account.name]
        asked = mariadb_changes.proofs(self.wanted, tables)
        numbers = self._numbers()
        mine, theirs = self.both.same([statement for _, statement in asked] + numbers)
        names = [name for name, _ in asked] + [(database, "numbering") for database in self.databases] + sequences
        bad = {name for name, a, b in zip(names, mine, theirs, strict=True) if a != b}
        return [f"{printable('.'.join(name))}: not the same on both sides." for name in sorted(bad)]

    def facts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """All that is no row and no number, on both sides."""
        with ThreadPoolExecutor(1) as pool:
            theirs = pool.submit(self.peer.call, "mariadb_facts", {})
            return facts(self.account), theirs.result()


def forget(account: Account) -> None:
    """Nothing is followed any more."""
    _seen.pop(account.name, None)
    _rows.pop(account.name, None)
    state_path(account).unlink(missing_ok=True)
    mariadb_follower.close(account)
    mariadb_follower.settle()
    queries(mariadb_follower.gone(account))
