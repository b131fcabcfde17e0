"""How an account's PostgreSQL databases move: followed while the account serves, or dumped inside the hold.

`follow` and `rehearse` run while it serves, `last` and `compare` inside the hold. What changed since the load is looked
at again until it is proven equal, so a hold has only to look at what changed since the last look before it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from . import (
    digest,
    postgres_digest,
    postgres_follow,
    postgres_large,
    postgres_look,
    postgres_restore,
    postgres_send,
    postgres_views,
)
from .accounts import Account
from .digest import printable
from .peer import Peer, known_peer
from .postgres_changes import Changes
from .postgres_definition import definition
from .postgres_publish import CannotFollow, ChangedMeanwhile
from .postgres_sql import kept
from .system import Refused, refuse

Report = Callable[..., None]
_LAST_SECONDS = 10.0  # for the last changes to arrive
_CATCH_UP_SECONDS = 120.0
_SLOW = 0.1  # seconds from which on a part is worth telling
FOLLOWED = "its changes are applied on the new server as they come"


@dataclass
class _Moving:
    """What this process knows of an account that moves; the next step begins there."""

    defined: dict[str, Any]  # what the peer was prepared for
    dumped: dict[str, str]  # the databases that are not followed, and why
    changes: dict[str, Changes] = field(default_factory=dict)
    sequences: dict[str, list[list[Any]]] = field(default_factory=dict)  # as the peer has them
    again: dict[str, str] = field(default_factory=dict)  # why databases were loaded again
    carried: set[str] = field(default_factory=set)  # databases whose large objects are to be compared

    def followed(self, account: Account) -> list[str]:
        return [name for name in account.postgresql_databases if name not in self.dumped]


_moving: dict[str, _Moving] = {}
_lines: dict[str, Peer] = {}


def _line(account: Account, peer: Peer) -> Peer:
    """The peer, over a line of our own: the program at its other end has the database sessions open that it needs."""
    if account.name not in _lines or _lines[account.name].move != peer.move:
        _lines[account.name] = Peer(peer.move, **known_peer(peer.move), epoch=peer.epoch)
    return _lines[account.name]


def _empty(account: Account) -> bool:
    return not account.postgresql_roles and not account.postgresql_databases


# --- while the account serves ---


def follow(account: Account, peer: Peer, report: Report) -> dict[str, Any]:
    """Load and prove what is not followed yet, catch up with what is. Repeatable.

    {"bytes", "seconds", "verify_seconds", "left": [sentences], "ways": [{"database", "way", "why"}]}."""
    began = time.monotonic()
    done: dict[str, Any] = {"bytes": 0, "seconds": 0.0, "verify_seconds": 0.0, "left": [], "ways": []}
    if _empty(account):
        return done
    postgres_follow.begin(account, peer.move)
    moving, tries = _Moving({}, {}), Counter[str]()
    while True:
        moving.defined = definition(account)
        stale = {name: postgres_follow.stale(account, name) for name in moving.followed(account)}
        prepared, changed = _prepare(account, peer, moving, [name for name, why in stale.items() if not why]), False
        for name in moving.followed(account):
            if name in prepared["kept"]:
                postgres_follow.resume(peer, name)
                continue
            if why := stale[name] if name in postgres_follow.known(account)["databases"] else None:
                moving.again[name] = why
            report(text=f"PostgreSQL: {printable(name)}{f' again: {why}' if why else ''}")
            try:
                loaded = postgres_follow.load(account, peer, name)
            except CannotFollow as error:
                postgres_follow.drop(account, [name])
                postgres_follow.give_back(account, name)
                moving.dumped[name] = f"{error}, so it is dumped while the account is held"
                continue
            except ChangedMeanwhile as error:
                tries[name] += 1
                if tries[name] > 2:
                    raise error.__cause__ or _changing(name) from None
                changed = True
                continue
            done["bytes"] += loaded["bytes"]
            report(done_bytes=done["bytes"], text=f"PostgreSQL: {printable(name)}")
            done["verify_seconds"] += loaded["verify_seconds"]
        again = {} if changed else _settle(account, peer, moving)
        if not again and not changed:
            break
        postgres_follow.drop(account, list(again))
        tries.update(again.keys())
        moving.again |= again
        for name, why in again.items():
            if tries[name] > 2:
                postgres_follow.give_back(account, name)
                moving.dumped[name] = f"{why}, so it is dumped while the account is held"
    _moving[account.name] = moving
    done["left"] = [*moving.defined["left"], *prepared["left"]]
    for name in moving.dumped:
        for schema, view, _ in kept(name).query(postgres_views.VIEWS):
            what = printable(postgres_digest.shown(schema, view))
            done["left"].append(f"Database {printable(name)}: the materialized view {what} is computed anew.")
    done["ways"] = [
        {
            "database": name,
            "way": "dump" if name in moving.dumped else "follow",
            "why": moving.dumped.get(name, f"{FOLLOWED}{_loaded_again(moving, name)}"),
        }
        for name in account.postgresql_databases
    ]
    done["seconds"] = round(time.monotonic() - began, 3)
    return done


def _loaded_again(moving: _Moving, name: str) -> str:
    return f"; it was loaded again, as {moving.again[name]}" if name in moving.again else ""


def _changing(name: str) -> Refused:
    message = f"The database {printable(name)} is changed (tables made, altered or dropped) whenever it is loaded;"
    return Refused("changed_meanwhile", f"{message} perform again when that is over.")


def rehearse(account: Account, peer: Peer) -> dict[str, Any]:
    """Do what `last` and `compare` will do, and open what they need: {"seconds", "slow": [{"what", "seconds", "why"}]}.

    Differences are ignored: the account serves meanwhile."""
    if _empty(account):
        return {"seconds": 0.0, "slow": []}
    moving = _known(account)
    again = _settle(account, peer, moving)
    for name, why in again.items():
        refuse("changed_meanwhile", f"The database {printable(name)} must be loaded again, as {why}; perform again.")
    began = time.monotonic()
    parts: list[dict[str, Any]] = []
    _last(account, peer, moving, parts)
    _compare(account, peer, moving, parts)
    seconds = round(time.monotonic() - began, 3)
    if moving.dumped:  # what was restored now is stale: the hold finds an empty database
        _prepare(account, peer, moving, moving.followed(account))
    _settle(account, peer, moving)
    return {"seconds": seconds, "slow": [part for part in parts if part["seconds"] > _SLOW]}


def _known(account: Account) -> _Moving:
    if account.name not in _moving:
        refuse("not_followed", f"The PostgreSQL databases of {account.name} are not followed; perform again.")
    return _moving[account.name]


def _prepare(account: Account, peer: Peer, moving: _Moving, keep: list[str]) -> dict[str, Any]:
    """Make roles and the databases that are not to be kept on the peer, empty."""
    what = {"roles": moving.defined["roles"], "databases": moving.defined["databases"], "keep": keep}
    prepared = peer.call("postgres_prepare", what)
    for _, _, sentence in prepared["refused"][:1]:
        refuse("setting_refused", sentence)
    return prepared


def _settle(account: Account, peer: Peer, moving: _Moving) -> dict[str, str]:
    """Catch up, and prove equal what can be while the account serves; {database: why it must be loaded again}."""
    names = moving.followed(account)
    found = {name: postgres_follow.take(account, name) for name in names}
    what = {"seconds": _CATCH_UP_SECONDS, "databases": _points(account, found, {})}
    reply = _line(account, peer).call("postgres_catch_up", what)
    words = {
        "broken": "its changes could not be applied on the new server",
        "late": "the new server does not keep up with its changes",
    }
    again = {name: words[reply[name]] for name in names if reply[name] != "applied"}
    looks = _both_look(account, peer, {name: found[name] for name in names if name not in again}, set())
    for name, (asked, here, there) in looks.items():
        if here["changed"] or there["changed"]:
            again[name] = postgres_follow.changed(account, name) or "it was changed on the new server"
            continue
        found[name].equal(*_equal(asked, here, there))
        later = postgres_follow.take(account, name, keep=False, since=found[name].lsn)
        if found[name].unlike(later):
            again[name] = "its rows differ on the new server"
            continue
        postgres_follow.keep_changes(account, name, found[name])
        _settle_large(account, peer, name)
    moving.changes = found
    return again


def _points(account: Account, found: dict[str, Changes], sequences: dict[str, Any]) -> dict[str, Any]:
    start = postgres_follow.starts(account)
    return {
        # Nothing was applied yet where nothing has changed yet.
        name: {"lsn": each.lsn if each.lsn > start[name] else 0, "sequences": sequences.get(name, [])}
        for name, each in found.items()
    }


def _both_look(
    account: Account, peer: Peer, found: dict[str, Changes], large: set[str]
) -> dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """{database: (what was asked, what this side says, what the peer says)}."""
    asked = {name: {**each.question(), "large": name in large} for name, each in found.items()}
    if not asked:
        return {}
    with ThreadPoolExecutor(len(asked) + 1) as pool:
        there = pool.submit(_line(account, peer).call, "postgres_look", {"databases": asked})
        here = {name: pool.submit(postgres_look.look, account, name, asked[name]) for name in asked}
    return {name: (asked[name], here[name].result(), there.result()[name]) for name in asked}


def _equal(asked: dict[str, Any], here: dict[str, Any], there: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The keys and the whole tables that both sides say the same of."""
    keys = {
        table: [
            tuple(key)
            for key, mine, theirs in zip(what["keys"], here["rows"][table], there["rows"][table], strict=True)
            if mine == theirs
        ]
        for table, what in asked["keys"].items()
    }
    return keys, [table for table, mine in here["whole"].items() if mine == there["whole"].get(table)]


def _settle_large(account: Account, peer: Peer, name: str) -> None:
    """Carry the large objects that changed; equal ones are not looked at until they change."""
    mark = postgres_follow.read_marks(name)["large"]
    if mark != postgres_follow.large_mark(account, name) and not _carry_large(account, peer, name):
        postgres_follow.keep_large_mark(account, name, mark)


def _carry_large(account: Account, peer: Peer, name: str) -> bool:
    """Make the peer's large objects what they are here; whether anything had to be done."""
    nothing = {name: Changes(0)}
    _, here, there = _both_look(account, peer, nothing, {name})[name]
    postgres_large.carry(account, peer, name, here["large"], there["large"])
    return here["large"] != there["large"]


# --- inside the hold ---


def last(account: Account, peer: Peer) -> None:
    """The last changes over, durable on the peer at return."""
    if not _empty(account):
        _last(account, peer, _known(account), [])


def _last(account: Account, peer: Peer, moving: _Moving, parts: list[dict[str, Any]]) -> None:
    with ThreadPoolExecutor(len(moving.dumped) + 2) as pool:
        roles = pool.submit(_redefine, account, peer, moving)
        work = [pool.submit(_last_followed, account, peer, moving, parts)]
        for name in moving.dumped:
            roles.result()
            work.append(pool.submit(_dump_last, account, peer, moving, name, parts))
    for each in [roles, *work]:
        each.result()


def _redefine(account: Account, peer: Peer, moving: _Moving) -> None:
    """Bring over what was changed of roles and databases since they were made on the peer."""
    now = definition(account)
    if (now["roles"], now["databases"]) == (moving.defined["roles"], moving.defined["databases"]):
        return
    moving.defined = now
    kept_there = _prepare(account, peer, moving, moving.followed(account))["kept"]
    for name in moving.followed(account):
        if name not in kept_there:
            refuse("changed_meanwhile", f"The database {printable(name)} was changed as a whole; perform again.")


def _last_followed(account: Account, peer: Peer, moving: _Moving, parts: list[dict[str, Any]]) -> None:
    names, began = moving.followed(account), time.monotonic()
    if not names:
        return
    with ThreadPoolExecutor(len(names)) as pool:
        changes = pool.map(lambda name: postgres_follow.take(account, name, keep=False), names)
        moving.changes = dict(zip(names, changes, strict=True))
    now = {name: postgres_look.sequences(account, name) for name in names}
    new = {name: [each for each in now[name] if each not in moving.sequences.get(name, [])] for name in names}
    what = {"seconds": _LAST_SECONDS, "databases": _points(account, moving.changes, new)}
    reply = _line(account, peer).call("postgres_catch_up", what)
    moving.sequences = now
    for name in names:
        at = printable(name)
        if reply[name] != "applied":
            refuse("not_applied", f"The last changes of the database {at} did not arrive ({reply[name]}).")
        marks = postgres_follow.read_marks(name)
        if marks["views"] != postgres_follow.view_mark(account, name):
            refuse(
                "changed_meanwhile",
                f"A materialized view of {at}, or an extension's table, was changed just now; perform again.",
            )
        if marks["large"] != postgres_follow.large_mark(account, name):
            _carry_large(account, peer, name)
            moving.carried.add(name)
    why = "they are read from this server's log, and applied on the new server, before anything is compared"
    _tell(parts, began, "bringing over the last changes of the PostgreSQL databases", why)


def _dump_last(account: Account, peer: Peer, moving: _Moving, name: str, parts: list[dict[str, Any]]) -> None:
    began = time.monotonic()
    postgres_send.send(account, peer, name, [])
    _tell(parts, began, f"the dump of the PostgreSQL database {printable(name)}", moving.dumped[name])


def _tell(parts: list[dict[str, Any]], began: float, what: str, why: str) -> None:
    parts.append({"what": what, "seconds": round(time.monotonic() - began, 3), "why": f"{why}."})


def compare(account: Account, peer: Peer) -> tuple[dict[str, Any], list[str]]:
    """Prove equal what changed since it was last proven, and what is no row: ({"tables", "rows"}, differences)."""
    if _empty(account):
        return {"tables": 0, "rows": 0}, []
    return _compare(account, peer, _known(account), [])


def _compare(
    account: Account, peer: Peer, moving: _Moving, parts: list[dict[str, Any]]
) -> tuple[dict[str, Any], list[str]]:
    followed = {name: moving.changes[name] for name in moving.followed(account)}
    with ThreadPoolExecutor(1) as pool:
        dumped = pool.submit(_compare_dumped, account, peer, moving, parts)
        began = time.monotonic()
        looks = _both_look(account, peer, followed, moving.carried)
        whole = sum(len(asked["whole"]) for asked, _, _ in looks.values())
        rows = sum(len(what["keys"]) for asked, _, _ in looks.values() for what in asked["keys"].values())
        why = f"{rows} rows changed since they were last compared"
        if whole:
            why += f", and {whole} tables without a usable key (or with too many changes) are compared as a whole"
        _tell(parts, began, "comparing the PostgreSQL rows that changed", why)
    mine = postgres_restore.role_facts(account, kept())
    theirs = _line(account, peer).call("postgres_roles", {})
    different = digest.differences(mine, theirs, "roles")
    for name, (asked, here, there) in looks.items():
        different += _differences(account, peer, name, asked, here, there)
    counts = [count for changes in followed.values() for count in changes.rows.values()] + dumped.result()[0]
    return {"tables": len(counts), "rows": sum(counts)}, different + dumped.result()[1]


def _compare_dumped(
    account: Account, peer: Peer, moving: _Moving, parts: list[dict[str, Any]]
) -> tuple[list[int], list[str]]:
    counts, different = [], []
    for name in moving.dumped:
        began = time.monotonic()
        with ThreadPoolExecutor(1) as pool:
            theirs = pool.submit(peer.call, "postgres_contents", {"database": name})
            here = postgres_digest.of_database(name, roles=account.postgresql_roles)
        different += digest.differences(here, theirs.result(), printable(name))
        counts += [rows for rows, _ in here["tables"].values()]
        _tell(parts, began, f"comparing the PostgreSQL database {printable(name)}", moving.dumped[name])
    return counts, different


def _differences(
    account: Account, peer: Peer, name: str, asked: dict[str, Any], here: dict[str, Any], there: dict[str, Any]
) -> list[str]:
    at, found = printable(name), []
    if here["changed"]:
        why = postgres_follow.changed(account, name)
        refuse("changed_meanwhile", f"The database {at} must be loaded again, as {why}; perform again.")
    found += [f"{at} > {printable(each)}: changed on the target." for each in there["changed"]]
    for table, what in asked["keys"].items():
        for key, mine, theirs in zip(what["keys"], here["rows"][table], there["rows"][table], strict=True):
            row = f"{at} > {printable(table)} > {printable(', '.join(key))}"
            mine, theirs = ({} if one is None else {row: one} for one in (mine, theirs))
            found += digest.differences(mine, theirs)
    for part in ("sequences", "whole", "large"):
        mine, theirs = (_by_name(side.get(part, {})) for side in (here, there))
        found += digest.differences(mine, theirs, f"{at} > {part}")
    return found[: digest.MOST]


def _by_name(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {postgres_digest.shown(*each[:2]): each[2:] for each in found}
