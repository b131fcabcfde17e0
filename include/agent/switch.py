"""The long verbs of a move, run on the source: copy, switch and verify.

Each of the account's three stores (files, PostgreSQL, MariaDB) is *followed* while the account serves: copied, proven
equal as a whole, and kept up. Before the hold the rest is *rehearsed*, timed, against a budget. In the hold only the
last changes go over, and only what changed is compared.
"""

import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from . import (
    digest,
    fence,
    files,
    holds,
    identity,
    leading,
    mail,
    mariadb,
    moment,
    pairing,
    postgres,
    shell,
)
from .accounts import Account, check_engine, check_name, load, state_of, whole
from .operations import Report
from .peer import Peer
from .system import refuse, side_by_side

STORES: dict[str, Any] = {"files": files, "postgresql": postgres, "mariadb": mariadb}
MOST_DIFFERENCES = 20
BUDGET_SECONDS = 1.0
"""The longest that visitors may have to wait, unless the move says otherwise."""
REHEARSALS = 3
"""A machine that was busy for a moment gets another chance before the move is called too slow."""


class Steps:
    """The time each step took, in order of their ends."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.taken: list[dict[str, Any]] = []

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self.report(text=name)
        began = time.monotonic()
        try:
            yield
        finally:
            self.taken.append({"name": name, "seconds": round(time.monotonic() - began, 3)})


def copy(args: dict[str, Any], report: Report) -> dict[str, Any]:
    """Copy everything while the account serves, prove the copy, and let it follow; what cannot move is refused here.

    {"files", "bytes", "seconds", "verify_seconds", "left": [what the account has and is not carried, a sentence each],
    "scope": {part: what is compared of it}, "ways": [{"store", "database", "way": follow|dump, "why"}],
    "stores": {store: seconds}}.
    """
    account, peer = _sides(args)
    began = time.monotonic()
    _require_serving(account, args)
    found = _follow(account, peer, report, stores_of(account, args))
    return {
        "files": found.get("files", {}).get("files", 0),
        "bytes": sum(each["bytes"] for each in found.values()),
        "seconds": round(time.monotonic() - began, 3),
        "verify_seconds": round(sum(each["verify_seconds"] for each in found.values()), 3),
        "stores": {store: each["seconds"] for store, each in found.items()},
        **_covered(found),
        "ways": [{"store": store, **way} for store, each in found.items() for way in each.get("ways", [])],
    }


def _covered(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What the proof of these stores, as they are followed, covers and what it leaves out."""
    scopes = {store: STORES[store].SCOPE for store in found}
    if "files" in found:
        scopes |= {"identity": identity.SCOPE, "mail": mail.SCOPE}
    return {
        "left": [sentence for each in found.values() for sentence in each["left"]],
        "scope": {part: scope.to_json() for part, scope in scopes.items()},
    }


def stores_of(account: Account, args: dict[str, Any]) -> list[str]:
    """The stores that are asked for, all by default; refused when one of them lives elsewhere."""
    given = args.get("stores", list(STORES))
    if not isinstance(given, list) or not given or any(store not in STORES for store in given):
        refuse("bad_args", f"The stores must be some of {', '.join(STORES)}, not {given!r:.80}.")
    if "files" in given or {*given} & {*state_of(account.name).engines}:
        fence.require_whole(account.name)
    return [store for store in STORES if store in given]


def begin_alone(peer: Peer) -> None:
    """No operation but this one writes there from here on, and both agents mean the same by what they say."""
    pairing.require_same_protocol(peer.call("alone", {"protocol": pairing.PROTOCOL}))


def _follow(account: Account, peer: Peer, report: Report, stores: list[str]) -> dict[str, dict[str, Any]]:
    begin_alone(peer)
    if "files" in stores:
        identity.send(account, peer)
    works = (partial(STORES[store].follow, account, peer, report) for store in stores)
    return dict(zip(stores, side_by_side(*works), strict=True))


def switch(args: dict[str, Any], report: Report) -> dict[str, Any]:
    """From hold to forward, with nobody's help. Before the commit a failure returns the account at once.

    Refused as `over_budget`, with no hold, when the rehearsal says that visitors would wait longer than
    `budget_seconds`. {"committed", "released", "held_ms", "expected_ms", "steps", "verified", "left", "scope", "ways"}.
    With an `engine` its databases alone go over, and the account opens again here.
    """
    account, peer = _sides(args)
    state = state_of(account.name)
    engine = check_engine(args["engine"]) if args.get("engine") is not None else None
    if engine and state.engines.get(engine, {}).get("move") == args["move"]:
        return {"committed": True, "released": True, **fence.go_forward_engine(account.name, engine)}
    if (state.state, state.move) == ("moved", args["move"]):
        return {"committed": True, "released": True, **fence.go_forward(account.name)}
    _require_serving(account, args)
    stores = stores_of(account, {"stores": [engine]} if engine else {})
    if state.state == "held":
        # A switch before this one was killed: its visitors have waited enough.
        fence.return_(account.name, args["move"], args["epoch"])
    steps = Steps(report)
    with steps("follow"):
        found = _follow(account, peer, report, stores)
    what = _EngineOnly(account, engine, peer) if engine else _Whole(account)
    with steps("rehearse"):
        expected = _rehearse(account, peer, _budget(args), stores)
    figures = {
        "expected_ms": round(expected * 1000, 1),
        **_covered(found),
        "ways": [{"store": store, **way} for store, each in found.items() for way in each.get("ways", [])],
    }
    moved = _hold_and_commit(account, peer, args, steps, figures, what)
    with steps("unfollow"):
        for store in stores:
            STORES[store].unfollow(account)
    return {"committed": True, "released": True, **moved}


class _Whole:
    """The end of a move of a whole account: it goes on elsewhere."""

    stores = tuple(STORES)

    def __init__(self, account: Account) -> None:
        self.name = account.name

    def commit(self, move: str, epoch: int, figures: dict[str, Any]) -> None:
        fence.commit(self.name, move, epoch, figures)

    def release(self, peer: Peer) -> list[dict[str, Any]]:
        return fence.release_peer(self.name, peer)

    def open(self) -> None:
        fence.let_go(self.name)

    def keep(self, figures: dict[str, Any]) -> None:
        fence.forward(self.name, figures)


class _EngineOnly:
    """The end of a move of one engine's databases: the account goes on here, led to them."""

    def __init__(self, account: Account, engine: str, peer: Peer) -> None:
        self.name, self.engine, self.stores = account.name, engine, (engine,)
        self.port = peer.call("part_port", {})["port"]
        leading.rehearse(account, engine, peer.address, self.port)

    def commit(self, move: str, epoch: int, figures: dict[str, Any]) -> None:
        fence.commit_engine(self.name, move, epoch, self.engine, self.port, figures)

    def release(self, peer: Peer) -> list[dict[str, Any]]:
        """Its programs may start meanwhile: they are let in only when the databases are open."""
        steps, _ = side_by_side(partial(fence.release_peer, self.name, peer), partial(fence.lead, self.name))
        return steps

    def open(self) -> None:
        fence.let_back(self.name)

    def keep(self, figures: dict[str, Any]) -> None:
        fence.forward_engine(self.name, self.engine, figures)


def _rehearse(account: Account, peer: Peer, budget: float, stores: list[str]) -> float:
    """The seconds that visitors will wait; refused when they are more than the budget."""
    for _ in range(REHEARSALS):
        moment.await_it(account, 2 * budget)  # the rehearsal, then the hold
        peer.warm(2 * len(stores))
        peer.call("warm", {})
        found = side_by_side(*(partial(STORES[store].rehearse, account, peer) for store in stores))
        expected = max(each["seconds"] for each in found) + holds.usual_rest()
        if expected <= budget:
            return expected
    slow = sorted((one for each in found for one in each["slow"]), key=lambda one: -one["seconds"])
    why = "".join(f" {one['what']} takes {one['seconds']:.1f} s: {one['why']}" for one in slow[:3])
    refuse(
        "over_budget",
        f"Visitors of {account.name} would wait about {expected:.1f} s, more than the {budget:g} s that are allowed, so"
        f" nothing was begun.{why} Allow more, or change what is slow, and perform again.",
    )


def _hold_and_commit(
    account: Account,
    peer: Peer,
    args: dict[str, Any],
    steps: Steps,
    figures: dict[str, Any],
    what: _Whole | _EngineOnly,
) -> dict[str, Any]:
    """From the hold to the end, which is `what`'s; the move's figures."""
    name, move, epoch = account.name, args["move"], args["epoch"]
    began, held_at = time.monotonic(), time.time()
    compared: dict[str, tuple[dict[str, Any], list[str]]] = {}
    chains: dict[str, float] = {}

    def then(part: str) -> None:
        if part not in what.stores:
            return
        start = time.monotonic()
        if part == "files":
            with steps("identity"):
                identity.send(account, peer)
        with steps(f"{part} last"):
            STORES[part].last(account, peer)
        with steps(f"{part} compared"):
            compared[part] = STORES[part].compare(account, peer)
        chains[part] = time.monotonic() - start

    try:
        engines = [engine for engine in fence.ENGINES if engine in what.stores]
        cut = fence.hold(name, move, epoch, args["hold_seconds"], steps, then, engines)
        verified, different = _together(account, peer, compared)
        if different:
            refuse("not_equal", f"The copies differ, so nothing was committed: {' '.join(different)}")
        with steps("commit"):
            known = {**figures, "verified": verified, "cut": cut, "steps": steps.taken, "held_at": held_at}
            what.commit(move, epoch, known)
    except BaseException:
        if not fence.committed(state_of(name), move):
            fence.return_(name, move, epoch)
        raise
    with steps("release"):
        there = what.release(peer)
    steps.taken += [{**step, "name": f"release: {step['name']}"} for step in there]
    with steps("forward"):
        what.open()
    held = time.monotonic() - began
    holds.note(held - max(chains.values()))
    if "files" in what.stores:
        verified["messages"] = files.messages(account)
    known |= {"verified": verified, "steps": steps.taken, "held_ms": round(held * 1000, 1)}
    what.keep(known)
    return known


def _together(
    account: Account, peer: Peer, compared: dict[str, tuple[dict[str, Any], list[str]]]
) -> tuple[dict[str, Any], list[str]]:
    """The figures of the stores that go over, and at most 20 differences."""
    different = [f"{part}: {text}" for part, (_, found) in compared.items() for text in found]
    if "files" in compared:
        theirs = peer.call("identity_digest", {})
        different += [f"identity: {text}" for text in digest.differences(identity.digest(account), theirs)]
    figures = _figures({part: found for part, (found, _) in compared.items()})
    return {**figures, "equal": not different}, different[:MOST_DIFFERENCES]


def _figures(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The files and bytes, tables and rows of some stores."""
    engines = [found[engine] for engine in fence.ENGINES if engine in found]
    files_found = found.get("files", {"files": 0, "bytes": 0})
    return {
        "files": files_found["files"],
        "bytes": files_found["bytes"],
        "tables": sum(each["tables"] for each in engines),
        "rows": sum(each["rows"] for each in engines),
    }


def forget(move: str) -> None:
    """The move is over, however it ended: nothing of its following stays on this server."""
    name = pairing.account_of(move)
    if name is None or state_of(name).state == "absent":
        return
    account, state = whole(name), state_of(name)
    # A test follows nothing, and what follows for a move meanwhile is that move's.
    if not pairing.leaves(name, besides=move):
        for store in STORES.values():
            store.unfollow(account)
    if (state.state, state.move) == ("receiving", move):
        # A copy that nobody follows is worth nothing; the next move makes another. Left here, it would take room, and
        # keep what this server's other customers send to its domains. One that came home still forwards, and stays.
        if state.to is None:
            shell.remove(name, move)
        else:
            for engine in (postgres, mariadb):
                engine.discard(account)


def verify(args: dict[str, Any], report: Report) -> dict[str, Any]:
    """Compare both copies as a whole, now: {"files", "bytes", "tables", "rows", "messages", "equal", "differences"}."""
    account, peer = _sides(args)
    report(text="comparing")
    verified, different = compare(account, peer, stores_of(account, args))
    return {**verified, "differences": different}


def _sides(args: dict[str, Any]) -> tuple[Account, Peer]:
    peer = args.get("peer")
    if not isinstance(peer, dict):
        refuse(
            "bad_args",
            'The peer is missing; give {"address": ..., "host_keys": [...]} as receive returned them.',
        )
    account = load(check_name(args.get("account")))
    if account.part:
        refuse("is_part", f"{account.name} is the part of an account that lives elsewhere; it does not move by itself.")
    return account, Peer(args.get("move", ""), peer.get("address"), peer.get("host_keys"), args.get("epoch"))


def _require_serving(account: Account, args: dict[str, Any]) -> None:
    state = state_of(account.name)
    if state.state not in ("serving", "held"):
        refuse(
            "wrong_state",
            f"The account {account.name} is {state.state} here; only one that serves can leave.",
        )
    fence.refuse_stale(account.name, state, args["move"], args.get("epoch"))


def _budget(args: dict[str, Any]) -> float:
    budget = args.get("budget_seconds", BUDGET_SECONDS)
    if isinstance(budget, bool) or not isinstance(budget, int | float) or not 0.1 <= budget <= 60:
        refuse("bad_args", f"The longest wait must be from 0.1 to 60 seconds, not {budget!r:.60}.")
    return float(budget)


# --- comparison ---


def compare(account: Account, peer: Peer, stores: Collection[str]) -> tuple[dict[str, Any], list[str]]:
    """The figures of what was compared, and what differs (at most 20 sentences, none when equal)."""
    parts: dict[str, Callable[[Account], dict[str, Any]]] = {}
    if "files" in stores:
        parts |= {"files": files.digest, "messages": mail.messages, "identity": identity.digest}
    if "postgresql" in stores:
        parts["postgres"] = postgres.digest
    if "mariadb" in stores:
        parts["mariadb"] = mariadb.digest
    with ThreadPoolExecutor(max_workers=2 * len(parts)) as pool:
        theirs = {part: pool.submit(peer.call, f"{part}_digest", {}) for part in parts}
        mine = {part: pool.submit(read, account) for part, read in parts.items()}
    here, there = ({part: work.result() for part, work in side.items()} for side in (mine, theirs))
    different = []
    if "files" in stores:
        different += files.differences(account, peer, here["files"], there["files"])
        different += mail.differences(here["messages"], there["messages"])
    for part in (part for part in ("postgres", "mariadb", "identity") if part in parts):
        different += [f"{part}: {text}" for text in digest.differences(here[part], there[part])]
    names = {"postgres": "postgresql"}
    figures = _figures({names.get(part, part): found for part, found in here.items()})
    figures["messages"] = here["messages"]["messages"] if "messages" in here else 0
    return {**figures, "equal": not different}, different[:MOST_DIFFERENCES]
