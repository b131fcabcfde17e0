"""How an account's PostgreSQL databases move: followed while the account serves, or dumped inside the hold.

What changed since the load is looked
at again until it is proven equal, so a hold has only to look at what changed since the last look before it.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from ...account.accounts import Account
from ...channel.peer import Peer
from ...host import digest
from ...host.digest import printable
from ...host.kept import Threads
from ...host.system import Refused, refuse
from ...verbs import postgresql as verbs
from ...verbs.reports import Way
from ..store import Compared, Followed, Following, Nothing, Rehearsal, Report, Slow, Store
from . import digest as postgres_digest
from . import follow as postgres_follow
from . import large as postgres_large
from . import look, restore, send, views
from .changes import Changes
from .definition import definition
from .publish import CannotFollow, ChangedMeanwhile
from .sql import kept

_LAST_SECONDS = 10.0  # for the last changes to arrive
_CATCH_UP_SECONDS = 120.0
_SLOW = 0.1  # seconds from which on a part is worth telling
FOLLOWED = "its changes are applied on the new server as they come"


class Moving(Following):
    """Databases that the peer applies the changes of, and those that are dumped in the hold."""

    def __init__(self, store: Store, account: Account, peer: Peer) -> None:
        super().__init__(store, account, peer, Followed())
        # A line of our own: the program at its other end has the database sessions open that it needs.
        self.line = peer.apart()
        self.defined: dict[str, Any] = {}  # what the peer was prepared for
        self.dumped: dict[str, str] = {}  # the databases that are not applied, and why
        self.changes: dict[str, Changes] = {}
        self.sequences: dict[str, list[list[Any]]] = {}  # as the peer has them
        self.loaded_again: dict[str, str] = {}  # why databases were loaded again
        self.carried: set[str] = set()  # databases whose large objects are to be compared

    @property
    def applied(self) -> list[str]:
        return [name for name in self.account.postgresql_databases if name not in self.dumped]

    def rehearse(self) -> Rehearsal:
        """Differences are ignored: the account serves meanwhile."""
        for name, why in _catch_up_and_prove(self).items():
            at = printable(name)
            refuse("changed_meanwhile", f"The database {at} must be loaded again, as {why}; perform again.")
        began = time.monotonic()
        parts: list[Slow] = []
        _final_pass(self, parts)
        _compare(self, parts)
        seconds = round(time.monotonic() - began, 3)
        if self.dumped:  # what was restored now is stale: the hold finds an empty database
            _prepare(self, self.applied)
        _catch_up_and_prove(self)
        return Rehearsal(seconds, tuple(part for part in parts if part.seconds > _SLOW))

    def final_pass(self) -> None:
        _final_pass(self, [])

    def compare(self) -> Compared:
        return _compare(self, [])

    def stop(self) -> None:
        self.line.close()
        super().stop()


# --- while the account serves ---


def follow(store: Store, account: Account, peer: Peer, report: Report) -> Following:
    """Load and prove what is not followed yet, catch up with what is. Repeatable."""
    began = time.monotonic()
    if not account.postgresql_roles and not account.postgresql_databases:
        return Nothing(store, account, peer)
    postgres_follow.begin(account, peer.move)
    moving, tries = Moving(store, account, peer), Counter[str]()
    sent, verify_seconds = 0, 0.0
    while True:
        moving.defined = definition(account)
        stale = {name: postgres_follow.stale(account, name) for name in moving.applied}
        prepared, changed = _prepare(moving, [name for name, why in stale.items() if not why]), False
        for name in moving.applied:
            if name in prepared.kept:
                postgres_follow.resume(peer, name)
                continue
            if why := stale[name] if name in postgres_follow.recorded(account)["databases"] else None:
                moving.loaded_again[name] = why
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
            sent += loaded["bytes"]
            report(done_bytes=sent, text=f"PostgreSQL: {printable(name)}")
            verify_seconds += loaded["verify_seconds"]
        again = {} if changed else _catch_up_and_prove(moving)
        if not again and not changed:
            break
        postgres_follow.drop(account, list(again))
        tries.update(again.keys())
        moving.loaded_again |= again
        for name, why in again.items():
            if tries[name] > 2:
                postgres_follow.give_back(account, name)
                moving.dumped[name] = f"{why}, so it is dumped while the account is held"
    left = [*moving.defined["left"], *prepared.left]
    for name in moving.dumped:
        for schema, view, _ in kept(name).query(views.VIEWS):
            view_name = printable(postgres_digest.shown(schema, view))
            left.append(f"Database {printable(name)}: the materialized view {view_name} is computed anew.")
    seconds = round(time.monotonic() - began, 3)
    moving.followed = Followed(0, sent, seconds, verify_seconds, tuple(left), _methods(moving))
    return moving


def _methods(moving: Moving) -> tuple[Way, ...]:
    return tuple(_way(moving, name) for name in moving.account.postgresql_databases)


def _way(moving: Moving, name: str) -> Way:
    way, why = (
        ("dump", moving.dumped[name])
        if name in moving.dumped
        else ("follow", f"{FOLLOWED}{_with_the_reason(moving, name)}")
    )
    return Way(store=moving.store.name, database=name, way=way, why=why)


def _with_the_reason(moving: Moving, name: str) -> str:
    return f"; it was loaded again, as {moving.loaded_again[name]}" if name in moving.loaded_again else ""


def _changing(name: str) -> Refused:
    message = f"The database {printable(name)} is changed (tables made, altered or dropped) whenever it is loaded;"
    return Refused("changed_meanwhile", f"{message} perform again when that is over.")


def _prepare(moving: Moving, keep: list[str]) -> verbs.Prepared:
    """Make roles and the databases that are not to be kept on the peer, empty."""
    roles, databases = moving.defined["roles"], moving.defined["databases"]
    prepared = moving.peer.call(verbs.Prepare(roles=roles, databases=databases, keep=keep))
    for _, _, sentence in prepared.refused[:1]:
        refuse("setting_refused", sentence)
    return prepared


def _catch_up_and_prove(moving: Moving) -> dict[str, str]:
    """Catch up, and prove equal what can be while the account serves; {database: why it must be loaded again}."""
    names = moving.applied
    changes = {name: postgres_follow.take(moving.account, name) for name in names}
    points = _points(moving.account, changes, {})
    reply = moving.line.call(verbs.CatchUp(seconds=_CATCH_UP_SECONDS, databases=points))
    words = {
        "broken": "its changes could not be applied on the new server",
        "late": "the new server does not keep up with its changes",
    }
    again = {name: words[reply[name]] for name in names if reply[name] != "applied"}
    looks = _both_look(moving, {name: changes[name] for name in names if name not in again}, set())
    for name, (asked, mine, theirs) in looks.items():
        if mine["changed"] or theirs["changed"]:
            again[name] = postgres_follow.changed(moving.account, name) or "it was changed on the new server"
            continue
        changes[name].equal(*_equal(asked, mine, theirs))
        later = postgres_follow.take(moving.account, name, keep=False, since=changes[name].lsn)
        if changes[name].unlike(later):
            again[name] = "its rows differ on the new server"
            continue
        postgres_follow.keep_changes(moving.account, name, changes[name])
        _bring_large(moving, name)
    moving.changes = changes
    return again


def _points(account: Account, changes: dict[str, Changes], sequences: dict[str, Any]) -> dict[str, Any]:
    start = postgres_follow.starts(account)
    return {
        # Nothing was applied yet where nothing has changed yet.
        name: {"lsn": changed.lsn if changed.lsn > start[name] else 0, "sequences": sequences.get(name, [])}
        for name, changed in changes.items()
    }


def _both_look(
    moving: Moving, changes: dict[str, Changes], large: set[str]
) -> dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """{database: (what was asked, what this side says, what the peer says)}."""
    asked = {name: {**changed.question(), "large": name in large} for name, changed in changes.items()}
    if not asked:
        return {}
    with Threads(len(asked) + 1) as pool:
        their_answers = pool.submit(moving.line.call, verbs.Look(databases=asked))
        our_answers = {name: pool.submit(look.look, moving.account, name, asked[name]) for name in asked}
    return {name: (asked[name], our_answers[name].result(), their_answers.result()[name]) for name in asked}


def _equal(
    asked: dict[str, Any], our_answer: dict[str, Any], their_answer: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The keys and the whole tables that both sides say the same of."""
    keys = {
        table: [
            tuple(key)
            for key, mine, theirs in zip(
                question["keys"], our_answer["rows"][table], their_answer["rows"][table], strict=True
            )
            if mine == theirs
        ]
        for table, question in asked["keys"].items()
    }
    return keys, [table for table, mine in our_answer["whole"].items() if mine == their_answer["whole"].get(table)]


def _bring_large(moving: Moving, name: str) -> None:
    """Carry the large objects that changed; equal ones are not looked at until they change."""
    mark = postgres_follow.read_marks(name)["large"]
    if mark != postgres_follow.large_mark(moving.account, name) and not _carry_large(moving, name):
        postgres_follow.keep_large_mark(moving.account, name, mark)


def _carry_large(moving: Moving, name: str) -> bool:
    """Make the peer's large objects what they are here; whether anything had to be done."""
    nothing = {name: Changes(0)}
    _, our_answer, their_answer = _both_look(moving, nothing, {name})[name]
    postgres_large.carry(moving.account, moving.peer, name, our_answer["large"], their_answer["large"])
    return our_answer["large"] != their_answer["large"]


# --- inside the hold ---


def _final_pass(moving: Moving, parts: list[Slow]) -> None:
    with Threads(len(moving.dumped) + 2) as pool:
        roles = pool.submit(_redefine, moving)
        work = [pool.submit(_final_pass_followed, moving, parts)]
        for name in moving.dumped:
            roles.result()
            work.append(pool.submit(_final_dump, moving, name, parts))
    for future in [roles, *work]:
        future.result()


def _redefine(moving: Moving) -> None:
    """Bring over what was changed of roles and databases since they were made on the peer."""
    now = definition(moving.account)
    if (now["roles"], now["databases"]) == (moving.defined["roles"], moving.defined["databases"]):
        return
    moving.defined = now
    kept_there = _prepare(moving, moving.applied).kept
    for name in moving.applied:
        if name not in kept_there:
            refuse("changed_meanwhile", f"The database {printable(name)} was changed as a whole; perform again.")


def _final_pass_followed(moving: Moving, parts: list[Slow]) -> None:
    names, began = moving.applied, time.monotonic()
    if not names:
        return
    with Threads(len(names)) as pool:
        changes = pool.map(lambda name: postgres_follow.take(moving.account, name, keep=False), names)
        moving.changes = dict(zip(names, changes, strict=True))
    now = {name: look.sequences(moving.account, name) for name in names}
    new = {
        name: [sequence for sequence in now[name] if sequence not in moving.sequences.get(name, [])] for name in names
    }
    points = _points(moving.account, moving.changes, new)
    reply = moving.line.call(verbs.CatchUp(seconds=_LAST_SECONDS, databases=points))
    moving.sequences = now
    for name in names:
        at = printable(name)
        if reply[name] != "applied":
            refuse("not_applied", f"The last changes of the database {at} did not arrive ({reply[name]}).")
        marks = postgres_follow.read_marks(name)
        if marks["views"] != postgres_follow.view_mark(moving.account, name):
            refuse(
                "changed_meanwhile",
                f"A materialized view of {at}, or an extension's table, was changed just now; perform again.",
            )
        if marks["large"] != postgres_follow.large_mark(moving.account, name):
            _carry_large(moving, name)
            moving.carried.add(name)
    why = "they are read from this server's log, and applied on the new server, before anything is compared"
    _tell(parts, began, "bringing over the last changes of the PostgreSQL databases", why)


def _final_dump(moving: Moving, name: str, parts: list[Slow]) -> None:
    began = time.monotonic()
    send.send(moving.account, moving.peer, name, [])
    _tell(parts, began, f"the dump of the PostgreSQL database {printable(name)}", moving.dumped[name])


def _tell(parts: list[Slow], began: float, step: str, why: str) -> None:
    parts.append(Slow(step, round(time.monotonic() - began, 3), f"{why}."))


def _compare(moving: Moving, parts: list[Slow]) -> Compared:
    """Prove equal what changed since it was last proven, and what is no row."""
    followed = {name: moving.changes[name] for name in moving.applied}
    with Threads(1) as pool:
        dumped = pool.submit(_compare_dumped, moving, parts)
        began = time.monotonic()
        looks = _both_look(moving, followed, moving.carried)
        whole = sum(len(asked["whole"]) for asked, _, _ in looks.values())
        rows = sum(len(question["keys"]) for asked, _, _ in looks.values() for question in asked["keys"].values())
        why = f"{rows} rows changed since they were last compared"
        if whole:
            why += f", and {whole} tables without a usable key (or with too many changes) are compared as a whole"
        _tell(parts, began, "comparing the PostgreSQL rows that changed", why)
    mine = restore.role_facts(moving.account, kept())
    theirs = moving.line.call(verbs.RoleFacts())
    different = digest.differences(mine, theirs, "roles")
    for name, (asked, our_answer, their_answer) in looks.items():
        different += _differences(moving, name, asked, our_answer, their_answer)
    counts = [count for changes in followed.values() for count in changes.rows.values()] + dumped.result()[0]
    different += dumped.result()[1]
    return Compared(tables=len(counts), rows=sum(counts), different=tuple(different))


def _compare_dumped(moving: Moving, parts: list[Slow]) -> tuple[list[int], list[str]]:
    counts, different = [], []
    for name in moving.dumped:
        began = time.monotonic()
        with Threads(1) as pool:
            theirs = pool.submit(moving.peer.call, verbs.Contents(database=name))
            mine = postgres_digest.of_database(name, roles=moving.account.postgresql_roles)
        different += digest.differences(mine, theirs.result(), printable(name))
        counts += [rows for rows, _ in mine["tables"].values()]
        _tell(parts, began, f"comparing the PostgreSQL database {printable(name)}", moving.dumped[name])
    return counts, different


def _differences(
    moving: Moving, name: str, asked: dict[str, Any], our_answer: dict[str, Any], their_answer: dict[str, Any]
) -> list[str]:
    at, sentences = printable(name), []
    if our_answer["changed"]:
        why = postgres_follow.changed(moving.account, name)
        refuse("changed_meanwhile", f"The database {at} must be loaded again, as {why}; perform again.")
    sentences += [f"{at} > {printable(object_name)}: changed on the target." for object_name in their_answer["changed"]]
    for table, question in asked["keys"].items():
        for key, mine, theirs in zip(
            question["keys"], our_answer["rows"][table], their_answer["rows"][table], strict=True
        ):
            row = f"{at} > {printable(table)} > {printable(', '.join(key))}"
            mine, theirs = ({} if hashed is None else {row: hashed} for hashed in (mine, theirs))
            sentences += digest.differences(mine, theirs)
    for part in ("sequences", "whole", "large"):
        mine, theirs = (_by_name(side.get(part, {})) for side in (our_answer, their_answer))
        sentences += digest.differences(mine, theirs, f"{at} > {part}")
    return sentences[: digest.MOST]


def _by_name(answer: Any) -> dict[str, Any]:
    return answer if isinstance(answer, dict) else {postgres_digest.shown(*row[:2]): row[2:] for row in answer}
