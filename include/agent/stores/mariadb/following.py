"""One account's tables on their way: loaded, and brought up to date pass by pass (`proof` compares them)."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from typing import Any

from ...account.accounts import Account
from ...channel.peer import Peer
from ...host.digest import printable
from ...host.processes import AS_CLIENT
from ...host.system import Refused, refuse
from ...verbs import mariadb as verbs
from ..store import Report
from . import changes, digest, follower, load
from . import print as mariadb_print
from . import tables as mariadb_tables
from .binlog import Unreadable
from .changes import ToBring
from .definition import definition, objects
from .follower import READING, Both
from .proof import Proof, Remembered, Seen
from .sql import ident, literal, queries, select
from .state import State, state_path
from .tables import Name

_TRIES = 6
_XA_PATIENCE = 5.0
"""Seconds in which a program that prepares and commits in two steps has done so."""
_MOST_ANEW = 5_000_000
"""Bytes of tables that a hold may send again because they were altered after the rehearsal."""


class Passes:
    """The passes of one step of a move, over those databases of the account that can be followed."""

    def __init__(self, account: Account, peer: Peer, databases: list[str], remembered: Remembered) -> None:
        self.remembered = remembered
        self.account, self.databases, self.both = account, databases, Both(account, peer)
        self.peer, self.state = peer, State(account)
        self.proof = Proof(self.both, databases, remembered, self.state)
        self.bytes = 0
        self.slow: list[dict[str, Any]] = []
        self.left: list[str] = []
        self.to_bring = ToBring()
        self.behind: set[Name] = set()
        self.retold = False
        self.rest = ""
        self.prepared: list[str] = []
        self._stop: changes.Position | None = None
        self._printed: dict[Name, str] = {}

    @property
    def seen(self) -> Seen:
        """What the last pass has found."""
        return self.proof.seen

    # --- catching up, while the account serves ---

    def catch_up(self, report: Report, patient: bool) -> None:
        """Load what is not there yet, bring over what has changed, and prove what was not proven yet.

        When `patient`, tables without a key that were written to meanwhile are loaded once more."""
        self.remembered.seen = None
        if not self._followed_there():
            self._begin()
        elif self.state.started != changes.started():
            self._doubt_all()
        whole = patient
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
                self.proof.prove(report)
                self.proof.count(whole)
                if self.state.load:
                    self.state.save()
                    continue
                self.both.thaw()
                return
            except Unreadable:
                self._begin()
            except Refused:
                self.remembered.rows = None
                # A table that is altered while it is read ends the session; the next pass finds the statement.
                if not self._altered():
                    raise
        refuse("not_followed", f"The MariaDB tables of {self.account.name} are altered all the time; try again.")

    def _followed_there(self) -> bool:
        token = self.peer.call(verbs.WhichFollowed()).token
        return bool(self.state.token) and token == self.state.token and self.state.databases == self.databases

    def _begin(self) -> None:
        """Empty databases there, and the position here from which on changes are brought over."""
        defined = definition(self.account)
        objects(self._followed())  # what cannot be carried is refused before anything is done
        self.state.clear()
        self.state.token, self.state.databases = secrets.token_hex(16), self.databases
        self.peer.call(verbs.Prepare(**verbs.told(defined), token=self.state.token))
        self.state.started = changes.started()
        if self.databases:
            self.state.position, self.state.prepared = changes.begin(self.account)
        self.state.load = self._look().made
        self.state.save()

    def _doubt_all(self) -> None:
        """MariaDB here began anew: what its tables kept through a crash, its log may have lost."""
        self.state.started = changes.started()
        self.state.touched = {}
        self.state.unproven |= {*self._look().tables}
        self.state.save()

    def require_same_run(self) -> None:
        """Refuse to end a move on what was known of another run of MariaDB."""
        if self.state.started != changes.started():
            refuse("restarted", "MariaDB here was started anew after the rehearsal; perform again.")

    def _followed(self) -> Account:
        return self.account.with_databases("mariadb", self.databases)

    def _look(self) -> Seen:
        """The tables and sequences as they are now; refuses tables that lie elsewhere."""
        sequences: list[Name] = []
        merged: list[Name] = []
        for database in self.databases:
            listed = digest.tables_of(database)
            sequences += [(database, name) for name, table in listed.items() if table["kind"] == "SEQUENCE"]
            merged += [(database, name) for name, table in listed.items() if table["engine"] == "MRG_MyISAM"]
        seen = self.remembered.seen = Seen(mariadb_tables.tables(self.databases), sequences, merged)
        return seen

    def _altered(self) -> bool:
        if not self.state.position:
            return False
        seen = changes.window(self.account, self.state.position, changes.position_now(), {})
        return bool(seen.statements)

    def _load(self, report: Report) -> None:
        """Make the tables that are waited for, and fill them."""
        self.both.thaw()
        tables = self._look().tables
        state = self.state
        self._make_anew(state.load)
        to_fill = [tables[name] for name in sorted(state.load) if name in tables]
        self.bytes += load.load(self.both, to_fill, report)
        state.unproven |= {table.name for table in to_fill}
        state.load = set()
        state.save()

    def _make_anew(self, names: set[Name]) -> None:
        """Make these there as they are here now, empty; those that are not here any more are dropped."""
        made, state = self.seen.made, self.state
        printed, _ = self._prints()  # what is altered from here on is seen by the next pass
        drops = []
        for database, table in sorted(names):
            at = f"{ident(database)}.{ident(table)}"
            drops.append(f"DROP TABLE IF EXISTS {at}")  # a sequence is one
        self.both.on_target(drops)
        for name in names:
            (self.remembered.rows or {}).pop(name, None)
            state.prints.pop(name, None)
            state.prints |= {name: printed[name]} if name in printed else {}
        state.told = ""
        for database in self.databases:
            names_here = sorted(name for of, name in names & made if of == database)
            if names_here:
                self.bytes += self._make(database, names_here)

    def _prints(self) -> tuple[dict[Name, str], str]:
        """Of each table and sequence, and of all else."""
        return self._parted(*mariadb_print.prints(self.account, self.databases))

    def _parted(self, printed: dict[Name, str], rest: str) -> tuple[dict[Name, str], str]:
        """The same, what is neither table nor sequence by what was last seen with all else."""
        made = self.seen.made
        views = [printed[name] for name in sorted(printed.keys() - made)]
        rest_print = hashlib.sha256(json.dumps([rest, views]).encode()).hexdigest()
        return {name: printed[name] for name in printed.keys() & made}, rest_print

    def _anew(self, printed: dict[Name, str]) -> set[Name]:
        """What is defined otherwise than it was when it was made there."""
        prints = self.state.prints
        return {name for name in printed.keys() | prints.keys() if printed.get(name) != prints.get(name)}

    def _make(self, database: str, names: list[str]) -> int:
        """Tables without rows, and sequences, as the source's own tool words them."""
        with follower.entering():
            reader = follower.login(self.account, READING)
            argv = [*AS_CLIENT, "mariadb-dump", "--no-defaults", f"--user={reader.user}", "--no-data"]
            argv += ["--protocol=socket", "--skip-lock-tables", "--skip-add-locks", "--skip-add-drop-table"]
            argv += ["--skip-triggers", "--skip-comments", "--default-character-set=utf8mb4", "--single-transaction"]
            argv += ["--", database, *names]
            return self.peer.stream(verbs.Restore(database=database), argv, env=reader.env()).bytes

    # --- one pass ---

    def advance(self, held: bool = False) -> None:
        """Bring over what changed since the position, and move it on.

        While the account serves, what was brought over is proven at once, at the moment of the reading; what is not
        equal, as an unsteady table that was written to, is brought over again by the next pass. In the hold the proof
        comes after (`differences`)."""
        state = self.state
        if not state.position:  # there is no database that can be followed
            self.remembered.seen = Seen({}, [], [])
            return
        touched = {} if held else self._touched()  # before the moment of the reading, so that the log has all of it
        if held:
            self.both.thaw()
            stop = changes.position_now()
        else:
            stop = changes.position(*self.both.freeze())
        tables = (self.remembered.seen or self._look()).tables
        seen = changes.window(self.account, state.position, stop, tables, state.prepared)
        print_of_all = mariadb_print.prints(self.account, self.databases)
        printed, self.rest = self._parted(*print_of_all)
        # The print alone decides: a statement that names a table may be a neighbour's, who has no right on it.
        if self._anew(printed) or self.rest != state.rest:
            state.told = ""
            tables = self._look().tables
            printed, self.rest = self._parted(*print_of_all)
            seen = changes.window(self.account, state.position, stop, tables, state.prepared)
        anew = self._anew(printed) | (self.seen.made - state.prints.keys())
        self.prepared = [xid.decode() for xid in seen.prepared]
        to_bring = changes.changed_rows(self.both, seen, tables, state.carried, self.seen.merged)
        if held:
            self._refuse_prepared()
            unproven = state.unproven & {*tables}
            to_bring.all_of(unproven, "it was written to while it was compared, and its engine has no snapshots")
            self._define_anew(anew, to_bring)
        else:
            self._put_off(to_bring, anew)
        done = changes.bring(self.both, to_bring, tables)
        counted = self.remembered.rows or {}
        for name in counted.keys() & done.grown.keys():
            counted[name] += done.grown[name]
        self.slow += done.slow
        self.to_bring = to_bring
        if held:
            self._stop, self._printed = stop, printed
            return
        different = changes.unequal(self.both, to_bring, tables)
        state.carried = {name: to_bring.keys[name] for name in different if name in to_bring.keys}
        state.position, state.prepared = stop, [*seen.prepared.values()]
        explained = {*seen.tables, *to_bring.keys, *state.load, *state.unproven}
        unlogged = {name for name, at in touched.items() if at != state.touched.get(name, at)} - explained
        state.unproven |= unlogged & {*tables}  # somebody wrote to it and kept that out of the log
        state.touched = touched
        state.save()

    def _touched(self) -> dict[Name, str]:
        """When each table was last written to, as far as its engine knows."""
        kinds = "ENGINE = 'InnoDB' AND TABLE_TYPE = 'BASE TABLE' AND UPDATE_TIME IS NOT NULL"
        asked = [
            select(
                ["TABLE_SCHEMA", "TABLE_NAME", "UPDATE_TIME"],
                f"FROM information_schema.TABLES WHERE TABLE_SCHEMA = {literal(database)} AND {kinds}",
            )
            for database in self.databases
        ]
        return {(str(row[0]), str(row[1])): str(row[2]) for rows in queries(asked) for row in rows}

    def _refuse_prepared(self) -> None:
        if self.prepared:
            refuse(
                "prepared_transaction",
                f"{self.account.name} has a transaction that is prepared by XA ({printable(self.prepared[0])}), which"
                " could still change the copy that stays behind; end it (XA COMMIT, XA ROLLBACK), then perform again.",
            )

    def await_prepared(self) -> None:
        """Wait a moment for what is prepared by XA to end; refused when it stays."""
        end = time.monotonic() + _XA_PATIENCE
        while self.prepared and time.monotonic() < end:
            time.sleep(0.1)
            self.advance()
        self._refuse_prepared()

    def _define_anew(self, names: set[Name], to_bring: ToBring) -> None:
        """In the hold: make what was defined since the rehearsal, to be filled with all its rows."""
        tables = self.seen.tables
        fresh = names & {*tables}
        if sum(tables[name].bytes for name in fresh) > _MOST_ANEW:
            name = max(fresh, key=lambda fresh_name: tables[fresh_name].bytes)
            refuse(
                "defined_anew",
                f"The MariaDB table {printable('.'.join(name))} was altered a moment ago and is too large to be sent"
                " again while visitors wait; perform again.",
            )
        if names:
            self._make_anew(names)
            to_bring.all_of(fresh, "its definition or all of it was changed")

    def _put_off(self, to_bring: ToBring, anew: set[Name]) -> None:
        """While the account serves, a table of which all must go over is loaded anew, after the pass.

        One that is written to and has no key would be loaded for ever: it is again when there is time for it."""
        state = self.state
        self.behind |= {name for name, why in to_bring.whole.items() if why == changes.NO_KEY} - anew
        state.unproven |= self.behind
        state.load |= {*to_bring.whole, *anew} - self.behind
        to_bring.whole.clear()
        state.unproven -= state.load
        for name in state.load:
            to_bring.keys.pop(name, None)

    # --- users and objects ---

    def tell(self, empty: tuple[str, ...] = (), dumped: tuple[str, ...] = ()) -> None:
        """Users, events and objects there as they are here now; `empty`: databases that are made empty first, when
        no objects come yet (`dumped` are those that are there by now)."""
        defined = definition(self.account)
        self.left = defined["left"]
        followed = self.account.with_databases("mariadb", (*self.databases, *dumped))
        made = objects(followed)
        fingerprint = hashlib.sha256(json.dumps([defined, made], sort_keys=True).encode()).hexdigest()
        self.state.rest = self.rest
        if fingerprint == self.state.told:
            return
        self.peer.call(verbs.Expect(**verbs.told(defined), token=self.state.token, empty=list(empty)))
        # Objects of one database may need another's, so they come when all tables are there.
        if {*followed.mariadb_databases} == {*self.account.mariadb_databases}:
            self.peer.call(verbs.MakeObjects(objects=made))
        self.state.told = fingerprint
        self.state.save()

    # --- proof ---

    def differences(self) -> list[str]:
        """What of all that the last pass brought over, and of all numbers, is not equal, as sentences."""
        return self.proof.differences(self.to_bring) + self._late()

    def _late(self) -> list[str]:
        """What the log tells since the hold's last pass: nobody but the host itself can still write then."""
        if not self._stop:
            return []
        seen = changes.window(self.account, self._stop, changes.position_now(), {})
        names = [printable(".".join(name)) for name in seen.tables]
        if seen.as_statements or (seen.statements and self._prints() != (self._printed, self.rest)):
            names += [printable(text.decode("utf-8", "replace"))[:80] for text in seen.statements]
        return [f"{name}: somebody of the host itself wrote to it in the hold." for name in names]


def forget(account: Account) -> None:
    """Nothing is followed any more."""
    state_path(account).unlink(missing_ok=True)
    follower.close(account)
    follower.give_back_settings()
    queries(follower.gone(account))
