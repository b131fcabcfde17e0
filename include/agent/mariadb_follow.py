"""Following an account's MariaDB databases: the steps of a move on the source.

A database is followed where the binary log can tell what changes in it, which costs less than a dump at any size. Where
it cannot, the way is "dump": the database is sent whole, in the rehearsal to see how long it takes, and in the hold.
"""

from __future__ import annotations

import time
from typing import Any

from . import mariadb_changes, mariadb_writers
from .accounts import Account
from .digest import differences as compared
from .digest import printable
from .mariadb_definition import definition
from .mariadb_dump import dump
from .mariadb_following import Following, Report, forget
from .mariadb_tables import tables
from .system import refuse

# Of each account what its rehearsal has found, and the last pass of its hold, which `compare` proves.
_known_ways: dict[str, list[dict[str, str]]] = {}
_last: dict[str, Following] = {}


def _ways(account: Account) -> list[dict[str, str]]:
    why = mariadb_changes.why_not()
    way = {"way": "dump", "why": why.why} if why else {"way": "follow", "why": _WHY}
    return [{"database": database} | way for database in account.mariadb_databases]


_WHY = "what changes is told by the binary log"


def _following(account: Account, peer: Any, ways: list[dict[str, str]]) -> Following:
    return Following(account, peer, [way["database"] for way in ways if way["way"] == "follow"])


def follow(account: Account, peer: Any, report: Report) -> dict[str, Any]:
    """Load and prove what is not followed yet and catch up with the rest, while the account serves.

    {"bytes", "seconds", "verify_seconds", "left": [sentences], "ways": [{"database", "way", "why"}]}."""
    began = time.monotonic()
    if not account.mariadb_users and not account.mariadb_databases:
        return {"bytes": 0, "seconds": 0.0, "verify_seconds": 0.0, "left": [], "ways": []}
    definition(account)  # what cannot be moved is refused before anything is looked at
    mariadb_writers.refuse_foreign(account)
    mariadb_writers.refuse_references(account)
    ways = _ways(account)
    one = _following(account, peer, ways)
    one.catch_up(report, patient=True)
    return {
        "bytes": one.bytes,
        "seconds": round(time.monotonic() - began, 3),
        "verify_seconds": round(one.prove_seconds, 3),
        "left": one.left,
        "ways": ways,
    }


def rehearse(account: Account, peer: Any) -> dict[str, Any]:
    """Do what `last` and `compare` will do, as far as it can be done while the account serves.

    {"seconds": what they will take, "slow": [{"what", "seconds", "why"}]}. Connections are open afterwards."""
    if not account.mariadb_users and not account.mariadb_databases:
        return {"seconds": 0.0, "slow": []}
    mariadb_writers.refuse_foreign(account)
    ways = _known_ways[account.name] = _ways(account)
    one = _following(account, peer, ways)
    one.catch_up(lambda **_: None, patient=False)
    one.await_prepared()
    one.sync_all()
    mine, theirs = one.facts()
    began = time.monotonic()
    one = _following(account, peer, ways)
    slow = _dumps(one, ways)
    dumped = [way["database"] for way in ways if way["way"] == "dump"]
    if not dumped:
        if found := compared(_of(mine, dumped), _of(theirs, dumped)):
            refuse("not_equal", f"The MariaDB databases are not made there as they are here: {found[0]}")
        began = time.monotonic()
    one.advance()
    one.both.thaw()
    one.level()
    one.differences()
    seconds = time.monotonic() - began
    one.both.warm()
    for name in sorted(one.state.load | one.state.unproven):
        table = tables([name[0]]).get(name)
        if table:
            why = "all of it is compared" if table.key else "it is written to and has no key, so all of it goes over"
            taken = round(table.bytes / _WHOLE_BYTES, 3)
            slow.append({"what": f"MariaDB table {printable('.'.join(name))}", "seconds": taken, "why": why})
            seconds += taken
    return {"seconds": round(seconds, 3), "slow": slow}


# How much of a table goes over and is compared in a second, where all of it must, by a careful guess.
_WHOLE_BYTES = 5e6


def _of(facts: dict[str, Any], without: list[str]) -> dict[str, Any]:
    return facts | {"objects": {name: kinds for name, kinds in facts["objects"].items() if name not in without}}


def _dumps(one: Following, ways: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Send the databases whose way is the dump; what each took."""
    dumped = tuple(way["database"] for way in ways if way["way"] == "dump")
    if not dumped:
        return []
    mariadb_changes.refuse_prepared()
    taken = []
    one.state.told = ""
    one.tell(empty=dumped)
    for way in ways:
        if way["way"] == "dump":
            began = time.monotonic()
            dump(one.account, one.peer, way["database"])
            seconds = round(time.monotonic() - began, 3)
            name = printable(way["database"])
            taken.append({"what": f"MariaDB database {name}", "seconds": seconds, "why": way["why"]})
    one.state.told = ""
    one.tell(others=dumped)
    return taken


def last(account: Account, peer: Any) -> None:
    """Inside the hold: bring over what changed since the rehearsal. On the target it is committed, durably."""
    if not account.mariadb_users and not account.mariadb_databases:
        return
    ways = _known_ways.get(account.name) or _ways(account)
    one = _last[account.name] = _following(account, peer, ways)
    one.require_same_run()
    one.advance(held=True)
    one.level()
    one.retold = not one.state.told
    if one.retold:
        one.tell()
    _dumps(one, ways)
    one.sync([*one.wanted.keys, *one.wanted.whole])
    if dumped := [way["database"] for way in ways if way["way"] == "dump"]:
        peer.call("mariadb_sync", {"tables": [name for name, table in tables(dumped).items() if not table.steady]})


def compare(account: Account, peer: Any) -> tuple[dict[str, int], list[str]]:
    """Inside the hold: prove what `last` brought over. ({"tables", "rows"} of the whole account, differences)."""
    if not account.mariadb_users and not account.mariadb_databases:
        return {"tables": 0, "rows": 0}, []
    one = _last.pop(account.name)
    found = one.differences()
    rows = dict(one.rows())
    dumped = tables([name for name in account.mariadb_databases if name not in one.databases])
    mine, theirs = one.both.same([table.proof() for table in dumped.values()])
    for name, a, b in zip(dumped, mine, theirs, strict=True):
        rows[name] = int(a[0][1] or 0)
        if a != b:
            found.append(f"{printable('.'.join(name))}: not the same on both sides.")
    if one.retold or dumped:
        found += compared(*one.facts())
    return {"tables": len(rows), "rows": sum(rows.values())}, found


def unfollow(account: Account) -> None:
    """On the source: nothing of following is left. Can be repeated."""
    _last.pop(account.name, None)
    _known_ways.pop(account.name, None)
    forget(account)
