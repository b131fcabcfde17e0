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
from .proof import Known
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
    ways, known = _ways(account), Known()
    one = Passes(account, peer, _of_way("follow", ways), known)
    one.catch_up(report, patient=True)
    seconds = round(time.monotonic() - began, 3)
    proven = round(one.proof.seconds, 3)
    followed = Followed(bytes=one.bytes, seconds=seconds, verify_seconds=proven, left=tuple(one.left), ways=ways)
    return Logged(store, account, peer, followed, known)


def _ways(account: Account) -> tuple[Way, ...]:
    why = changes.why_not()
    way, because = ("dump", why.why) if why else ("follow", _WHY)
    return tuple(
        Way(store="mariadb", database=database, way=way, why=because) for database in account.mariadb_databases
    )


def _of_way(way: str, ways: tuple[Way, ...]) -> list[str]:
    return [each.database for each in ways if each.way == way]


class Logged(Following):
    """Databases whose changes the binary log tells, as far as it can."""

    def __init__(self, store: Store, account: Account, peer: Peer, followed: Followed, known: Known) -> None:
        super().__init__(store, account, peer, followed)
        self._known, self._ways = known, followed.ways
        self._final = self._passes()

    def _passes(self) -> Passes:
        return Passes(self.account, self.peer, _of_way("follow", self._ways), self._known)

    def rehearse(self) -> Rehearsal:
        writers.refuse_foreign(self.account)
        self._ways = _ways(self.account)
        one = self._passes()
        one.catch_up(lambda **_: None, patient=False)
        one.await_prepared()
        one.proof.sync_all()
        mine, theirs = one.proof.facts()
        began = time.monotonic()
        one = self._passes()
        slow = _dumps(one, self._ways)
        dumped = _of_way("dump", self._ways)
        if not dumped:
            if found := compared(_of(mine, dumped), _of(theirs, dumped)):
                refuse("not_equal", f"The MariaDB databases are not made there as they are here: {found[0]}")
            began = time.monotonic()
        one.advance()
        one.both.thaw()
        one.proof.level()
        one.differences()
        seconds = time.monotonic() - began
        one.both.warm()
        for name in sorted(one.state.load | one.state.unproven):
            table = tables([name[0]]).get(name)
            if table:
                shown = printable(".".join(name))
                why = (
                    "all of it is compared" if table.key else "it is written to and has no key, so all of it goes over"
                )
                taken = round(table.bytes / _WHOLE_BYTES, 3)
                slow.append(Slow(f"MariaDB table {shown}", taken, "all of it is compared" if table.key else why))
                seconds += taken
        return Rehearsal(round(seconds, 3), tuple(slow))

    def final_pass(self) -> None:
        one = self._final = self._passes()
        one.require_same_run()
        one.advance(held=True)
        one.proof.level()
        one.retold = not one.state.told
        if one.retold:
            one.tell()
        _dumps(one, self._ways)
        one.proof.sync([*one.wanted.keys, *one.wanted.whole])
        if dumped := _of_way("dump", self._ways):
            loose = [name for name, table in tables(dumped).items() if not table.steady]
            self.peer.call(verbs.Sync(tables=loose))

    def compare(self) -> Compared:
        one = self._final
        found = one.differences()
        rows = dict(one.proof.rows())
        dumped = tables([name for name in self.account.mariadb_databases if name not in one.databases])
        mine, theirs = one.both.same([table.proof() for table in dumped.values()])
        for name, a, b in zip(dumped, mine, theirs, strict=True):
            rows[name] = int(a[0][1] or 0)
            if a != b:
                found.append(f"{printable('.'.join(name))}: not the same on both sides.")
        if one.retold or dumped:
            found += compared(*one.proof.facts())
        return Compared(tables=len(rows), rows=sum(rows.values()), different=tuple(found))


def _of(facts: dict[str, Any], without: list[str]) -> dict[str, Any]:
    return facts | {"objects": {name: kinds for name, kinds in facts["objects"].items() if name not in without}}


def _dumps(one: Passes, ways: tuple[Way, ...]) -> list[Slow]:
    """Send the databases whose way is the dump; what each took."""
    dumped = tuple(_of_way("dump", ways))
    if not dumped:
        return []
    changes.refuse_prepared()
    taken = []
    one.state.told = ""
    one.tell(empty=dumped)
    for way in ways:
        if way.way == "dump":
            began = time.monotonic()
            dump(one.account, one.peer, way.database)
            seconds = round(time.monotonic() - began, 3)
            taken.append(Slow(f"MariaDB database {printable(way.database)}", seconds, way.why))
    one.state.told = ""
    one.tell(others=dumped)
    return taken
