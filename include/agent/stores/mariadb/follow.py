"""Following an account's MariaDB databases: the steps of a move on the source.

A database is followed where the binary log can tell what changes in it, which costs less than a dump at any size. Where
it cannot, the way is "dump": the database is sent whole, in the rehearsal to see how long it takes, and in the hold.
"""

from __future__ import annotations

import time
from typing import Any

from ...account.accounts import Account
from ...channel.peer import Peer
from ...host.digest import differences as compared
from ...host.digest import printable
from ...host.system import refuse
from ...verbs import mariadb as verbs
from ...verbs.reports import Way
from ..store import Compared, Followed, Following, Nothing, Rehearsal, Report, Slow, Store
from . import changes, writers
from .definition import definition
from .dump import dump
from .following import Passes
from .proof import Remembered
from .tables import tables

_WHY = "what changes is told by the binary log"
# How much of a table goes over and is compared in a second, where all of it must, by a careful guess.
_WHOLE_BYTES = 5e6


def follow(store: Store, account: Account, peer: Peer, report: Report) -> Following:
    """Load and prove what is not followed yet and catch up with the rest, while the account serves."""
    began = time.monotonic()
    if not account.mariadb_users and not account.mariadb_databases:
        return Nothing(store, account, peer)
    definition(account)  # what cannot be moved is refused before anything is looked at
    writers.refuse_foreign(account)
    writers.refuse_references(account)
    methods, remembered = _methods(account), Remembered()
    passes = Passes(account, peer, _of_method("follow", methods), remembered)
    passes.catch_up(report, patient=True)
    seconds = round(time.monotonic() - began, 3)
    proven = round(passes.proof.seconds, 3)
    followed = Followed(
        bytes=passes.bytes, seconds=seconds, verify_seconds=proven, left=tuple(passes.left), ways=methods
    )
    return Logged(store, account, peer, followed, remembered)


def _methods(account: Account) -> tuple[Way, ...]:
    why = changes.why_not()
    way, because = ("dump", why.why) if why else ("follow", _WHY)
    return tuple(
        Way(store="mariadb", database=database, way=way, why=because) for database in account.mariadb_databases
    )


def _of_method(way: str, methods: tuple[Way, ...]) -> list[str]:
    return [way_of.database for way_of in methods if way_of.way == way]


class Logged(Following):
    """Databases whose changes the binary log tells, as far as it can."""

    def __init__(self, store: Store, account: Account, peer: Peer, followed: Followed, remembered: Remembered) -> None:
        super().__init__(store, account, peer, followed)
        self._remembered, self._methods = remembered, followed.ways
        self._final = self._passes()

    def _passes(self) -> Passes:
        return Passes(self.account, self.peer, _of_method("follow", self._methods), self._remembered)

    def rehearse(self) -> Rehearsal:
        writers.refuse_foreign(self.account)
        self._methods = _methods(self.account)
        passes = self._passes()
        passes.catch_up(lambda **_: None, patient=False)
        passes.await_prepared()
        passes.proof.sync_all()
        mine, theirs = passes.proof.facts()
        began = time.monotonic()
        passes = self._passes()
        slow = _dumps(passes, self._methods)
        dumped = _of_method("dump", self._methods)
        if not dumped:
            if different := compared(_of(mine, dumped), _of(theirs, dumped)):
                refuse("not_equal", f"The MariaDB databases are not made there as they are here: {different[0]}")
            began = time.monotonic()
        passes.advance()
        passes.both.thaw()
        passes.proof.level()
        passes.differences()
        seconds = time.monotonic() - began
        passes.both.warm()
        for name in sorted(passes.state.load | passes.state.unproven):
            table = tables([name[0]]).get(name)
            if table:
                shown = printable(".".join(name))
                why = (
                    "all of it is compared" if table.key else "it is written to and has no key, so all of it goes over"
                )
                estimate = round(table.bytes / _WHOLE_BYTES, 3)
                slow.append(Slow(f"MariaDB table {shown}", estimate, "all of it is compared" if table.key else why))
                seconds += estimate
        return Rehearsal(round(seconds, 3), tuple(slow))

    def final_pass(self) -> None:
        passes = self._final = self._passes()
        passes.require_same_run()
        passes.advance(held=True)
        passes.proof.level()
        passes.retold = not passes.state.told
        if passes.retold:
            passes.tell()
        _dumps(passes, self._methods)
        passes.proof.sync([*passes.to_bring.keys, *passes.to_bring.whole])
        if dumped := _of_method("dump", self._methods):
            loose = [name for name, table in tables(dumped).items() if not table.steady]
            self.peer.call(verbs.Sync(tables=loose))

    def compare(self) -> Compared:
        passes = self._final
        different = passes.differences()
        rows = dict(passes.proof.rows())
        dumped = tables([name for name in self.account.mariadb_databases if name not in passes.databases])
        mine, theirs = passes.both.same([table.proof() for table in dumped.values()])
        for name, a, b in zip(dumped, mine, theirs, strict=True):
            rows[name] = int(a[0][1] or 0)
            if a != b:
                different.append(f"{printable('.'.join(name))}: not the same on both sides.")
        if passes.retold or dumped:
            different += compared(*passes.proof.facts())
        return Compared(tables=len(rows), rows=sum(rows.values()), different=tuple(different))


def _of(facts: dict[str, Any], without: list[str]) -> dict[str, Any]:
    return facts | {"objects": {name: kinds for name, kinds in facts["objects"].items() if name not in without}}


def _dumps(passes: Passes, methods: tuple[Way, ...]) -> list[Slow]:
    """Send the databases whose way is the dump; what each took."""
    dumped = tuple(_of_method("dump", methods))
    if not dumped:
        return []
    changes.refuse_prepared()
    dumps_done = []
    passes.state.told = ""
    passes.tell(empty=dumped)
    for way in methods:
        if way.way == "dump":
            began = time.monotonic()
            dump(passes.account, passes.peer, way.database)
            seconds = round(time.monotonic() - began, 3)
            dumps_done.append(Slow(f"MariaDB database {printable(way.database)}", seconds, way.why))
    passes.state.told = ""
    passes.tell(dumped=dumped)
    return dumps_done
