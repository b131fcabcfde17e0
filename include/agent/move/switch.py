"""The long verbs of a move, run on the source: copy, switch and verify.

Each of the account's three stores (files, PostgreSQL, MariaDB) is *followed* while the account serves: copied, proven
equal as a whole, and kept up. Before the hold the rest is *rehearsed*, timed, against a budget. In the hold only the
last changes go over, and only what changed is compared.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

from .. import verbs
from ..account.accounts import Account, load, state_of, whole
from ..channel import pairing
from ..channel.peer import Peer
from ..host import digest, holds
from ..host.kept import Threads
from ..host.operations import Report
from ..host.system import failpoint, refuse, side_by_side
from ..layouts import mail, php
from ..stores.store import Compared, Engine, Following, Store
from ..verbs import peers
from ..verbs.protocol_number import PROTOCOL
from ..verbs.verb import PeerVerb
from . import fence, forward, hold, identity, moment, redirect, shell
from .steps import Steps
from .stores import ENGINES, STORES, engine_named

Leaving = verbs.Copy | verbs.Verify | verbs.Switch | verbs.Duplicate
"""What is asked of the server that an account leaves, or is copied from."""
MOST_DIFFERENCES = 20
REHEARSALS = 3
"""A machine that was busy for a moment gets another chance before the move is called too slow."""


def copy(want: verbs.Copy, report: Report) -> dict[str, Any]:
    """Copy everything while the account serves, prove the copy, and let it follow; what cannot move is refused here.

    {"files", "bytes", "seconds", "verify_seconds", "left": [what the account has and is not carried, a sentence each],
    "scope": {part: what is compared of it}, "ways": [{"store", "database", "way": follow|dump, "why"}],
    "stores": {store: seconds}}.
    """
    account, peer = _sides(want)
    began = time.monotonic()
    _require_serving(account, want)
    followings = _follow(account, peer, report, stores_of(account, want.stores))
    found = [following.followed for following in followings]
    return {
        "files": sum(each.files for each in found),
        "bytes": sum(each.bytes for each in found),
        "seconds": round(time.monotonic() - began, 3),
        "verify_seconds": round(sum(each.verify_seconds for each in found), 3),
        "stores": {following.store.name: following.followed.seconds for following in followings},
        **_covered(followings),
    }


def _covered(followings: list[Following]) -> dict[str, Any]:
    """What the proof of these stores, as they are followed, covers and what it leaves out; and how each goes over."""
    scopes = {following.store.name: following.store.scope for following in followings}
    if "files" in scopes:
        scopes |= {"identity": identity.SCOPE, "mail": mail.SCOPE}
    return {
        "left": [sentence for following in followings for sentence in following.followed.left],
        "scope": {part: scope.to_json() for part, scope in scopes.items()},
        "ways": [
            {"store": following.store.name, **way.to_json()}
            for following in followings
            for way in following.followed.ways
        ],
    }


def stores_of(account: Account, names: list[str] | None) -> list[Store]:
    """The stores that are asked for, all by default; refused when one of them lives elsewhere."""
    known = [store.name for store in STORES]
    given = known if names is None else names
    if not given or any(name not in known for name in given):
        refuse("bad_args", f"The stores must be some of {', '.join(known)}, not {given!r:.80}.")
    if "files" in given or {*given} & {*state_of(account.name).engines}:
        fence.require_whole(account.name)
    return [store for store in STORES if store.name in given]


def begin_alone(account: Account, peer: Peer, stores: Collection[str]) -> None:
    """No operation but this one writes there from here on, and both agents mean the same by what they say. Refused
    where an engine there is older than the one here."""
    said = peer.call(peers.Alone(protocol=PROTOCOL))
    pairing.require_same_protocol(said.protocol)
    for engine in ENGINES:
        if engine.name not in stores or not account.has(engine.name):
            continue
        here, there = engine.version(), tuple(said.versions.get(engine.name, ()))
        if there < here:
            mine, theirs = (".".join(str(part) for part in version) or "unknown" for version in (here, there))
            refuse(
                "older_engine",
                f"{engine.title} {theirs} on the new server is older than {mine} here and cannot take what that has:"
                " choose a server that runs the same or a newer one.",
            )


def _follow(account: Account, peer: Peer, report: Report, stores: list[Store]) -> list[Following]:
    begin_alone(account, peer, [store.name for store in stores])
    if "files" in [store.name for store in stores]:
        identity.send(account, peer)
    return side_by_side(*(partial(store.follow, account, peer, report) for store in stores))


def switch(want: verbs.Switch, report: Report) -> dict[str, Any]:
    """From rehearsal to forward, with nobody's help. Before the commit a failure returns the account at once.

    Refused as `over_budget`, with no hold, when the rehearsal says that visitors would wait longer than
    `budget_seconds`. {"committed", "released", "held_ms", "expected_ms", "steps", "verified", "left", "scope", "ways"}.
    With an `engine` its databases alone go over, and the account opens again here.
    """
    account, peer = _sides(want)
    state, engine = state_of(account.name), want.engine
    if engine and state.engines.get(engine, {}).get("move") == want.move:
        return {"committed": True, "released": True, **forward.go_forward_engine(account.name, engine)}
    if (state.state, state.move) == ("moved", want.move):
        return {"committed": True, "released": True, **forward.go_forward(account.name)}
    _require_serving(account, want)
    stores = stores_of(account, [engine] if engine else None)
    if state.state == "held":
        # A switch before this one was killed: its visitors have waited enough.
        hold.return_(account.name, want.move, want.epoch)
    steps = Steps(report)
    with steps("follow"):
        followings = _follow(account, peer, report, stores)
    what = _EngineOnly(account, engine, peer) if engine else _Whole(account)
    with steps("rehearse"):
        requests = php.Requests(account)
        expected = _rehearse(account, peer, want.budget_seconds, followings, requests)
    figures = {"expected_ms": round(expected * 1000, 1), **_covered(followings)}
    block = hold.Hold(account.name, want.move, want.epoch, want.hold_seconds, steps, what.engines, requests)
    moved = _hold_and_commit(block, account, peer, steps, figures, followings, what)
    with steps("unfollow"):
        for following in followings:
            following.stop()
    return {"committed": True, "released": True, **moved}


class _Whole:
    """The end of a move of a whole account: it goes on elsewhere."""

    engines = ENGINES

    def __init__(self, account: Account) -> None:
        self.name = account.name

    def commit(self, move: str, epoch: int, figures: dict[str, Any]) -> None:
        fence.commit(self.name, move, epoch, figures)

    def release(self, peer: Peer) -> list[dict[str, Any]]:
        return forward.release_peer(self.name, peer)

    def open(self) -> None:
        forward.let_go(self.name)

    def keep(self, figures: dict[str, Any]) -> None:
        forward.forward(self.name, figures)


class _EngineOnly:
    """The end of a move of one engine's databases: the account goes on here, led to them."""

    def __init__(self, account: Account, engine: str, peer: Peer) -> None:
        self.name, self.engine = account.name, engine
        self.engines: tuple[Engine, ...] = (engine_named(engine),)
        self.port = peer.call(peers.PartPort()).port
        redirect.rehearse(account, engine, peer.address, self.port)

    def commit(self, move: str, epoch: int, figures: dict[str, Any]) -> None:
        fence.commit_engine(self.name, move, epoch, self.engine, self.port, figures)

    def release(self, peer: Peer) -> list[dict[str, Any]]:
        """Its programs may start meanwhile: they are let in only when the databases are open."""
        steps, _ = side_by_side(partial(forward.release_peer, self.name, peer), partial(forward.lead, self.name))
        return steps

    def open(self) -> None:
        forward.let_back(self.name)

    def keep(self, figures: dict[str, Any]) -> None:
        forward.forward_engine(self.name, self.engine, figures)


def _rehearse(
    account: Account, peer: Peer, budget: float, followings: list[Following], requests: php.Requests
) -> float:
    """The seconds that visitors will wait; refused when they are more than the budget."""
    for _ in range(REHEARSALS):
        moment.await_it(account, 2 * budget, requests)  # the rehearsal, then the hold
        peer.warm(2 * len(followings))
        peer.call(peers.Warm())
        found = side_by_side(*(following.rehearse for following in followings))
        expected = max(each.seconds for each in found) + holds.usual_rest()
        if expected <= budget:
            return expected
    slow = sorted((one for each in found for one in each.slow), key=lambda one: -one.seconds)
    why = "".join(f" {one.what} takes {one.seconds:.1f} s: {one.why}" for one in slow[:3])
    refuse(
        "over_budget",
        f"Visitors of {account.name} would wait about {expected:.1f} s, more than the {budget:g} s that are allowed, so"
        f" nothing was begun.{why} Allow more, or change what is slow, and perform again.",
    )


def _hold_and_commit(
    block: hold.Hold,
    account: Account,
    peer: Peer,
    steps: Steps,
    figures: dict[str, Any],
    followings: list[Following],
    what: _Whole | _EngineOnly,
) -> dict[str, Any]:
    """From the hold to the end, which is `what`'s; the move's figures. Who is held waits as long as its block lasts."""
    began, held_at = time.monotonic(), time.time()
    with block as held:
        brought = _bring_over(held, account, peer, steps, followings)
        failpoint("held")
        verified, different = _together(account, peer, {part: one.compared for part, one in brought.items()})
        if different:
            refuse("not_equal", f"The copies differ, so nothing was committed: {' '.join(different)}")
        with steps("commit"):
            known = {**figures, "verified": verified, "cut": held.cut, "steps": steps.taken, "held_at": held_at}
            what.commit(held.move, held.epoch, known)
        with steps("release"):
            there = what.release(peer)
        steps.taken += [{**step, "name": f"release: {step['name']}"} for step in there]
        with steps("forward"):
            what.open()
        seconds = time.monotonic() - began
    holds.note(seconds - max(one.seconds for one in brought.values()))
    for following in followings:
        verified |= following.counted_later()
    known |= {"verified": verified, "steps": steps.taken, "held_ms": round(seconds * 1000, 1)}
    what.keep(known)
    return known


@dataclass(frozen=True)
class _Brought:
    """What a hold has proven of one store, and how long it took once nobody wrote there any more."""

    compared: Compared
    seconds: float


def _bring_over(
    held: hold.Hold, account: Account, peer: Peer, steps: Steps, followings: list[Following]
) -> dict[str, _Brought]:
    """Bring each store over and compare it as soon as nothing writes it; what does not go over is only stopped."""
    moving = {following.store.name: following for following in followings}

    def bring(part: str) -> _Brought | None:
        held.still(part)
        if part not in moving:
            return None
        began = time.monotonic()
        if part == "files":
            with steps("identity"):
                identity.send(account, peer)
        with steps(f"{part} last"):
            moving[part].final_pass()
        with steps(f"{part} compared"):
            compared = moving[part].compare()
        return _Brought(compared, time.monotonic() - began)

    done = dict(zip(held.parts, side_by_side(*(partial(bring, part) for part in held.parts)), strict=True))
    return {part: one for part, one in done.items() if one is not None}


def _together(account: Account, peer: Peer, compared: dict[str, Compared]) -> tuple[dict[str, Any], list[str]]:
    """The figures of the stores that go over, and at most 20 differences."""
    different = [f"{part}: {text}" for part, each in compared.items() for text in each.different]
    if "files" in compared:
        theirs = peer.call(peers.IdentityDigest())
        different += [f"identity: {text}" for text in digest.differences(identity.digest(account), theirs)]
    figures = {of: sum(getattr(each, of) for each in compared.values()) for of in _FIGURES}
    return {**figures, "equal": not different}, different[:MOST_DIFFERENCES]


_FIGURES = ("files", "bytes", "tables", "rows")


def forget(move: str) -> None:
    """The move is over, however it ended: nothing of its following stays on this server."""
    name = pairing.account_of(move)
    if name is None or state_of(name).state == "absent":
        return
    account, state = whole(name), state_of(name)
    # A test follows nothing, and what follows for a move meanwhile is that move's.
    if not pairing.leaves(name, besides=move):
        for store in STORES:
            store.unfollow(account)
    if (state.state, state.move) == ("receiving", move):
        # A copy that nobody follows is worth nothing; the next move makes another. Left here, it would take room, and
        # keep what this server's other customers send to its domains. One that came home still forwards, and stays.
        if state.to is None:
            shell.remove(name, move)
        else:
            for engine in ENGINES:
                engine.discard(account)


def verify(want: verbs.Verify, report: Report) -> dict[str, Any]:
    """Compare both copies as a whole, now: {"files", "bytes", "tables", "rows", "messages", "equal", "differences"}."""
    account, peer = _sides(want)
    report(text="comparing")
    verified, different = compare(account, peer, stores_of(account, want.stores))
    return {**verified, "differences": different}


def _sides(want: Leaving) -> tuple[Account, Peer]:
    account = load(want.account)
    if account.part:
        refuse("is_part", f"{account.name} is the part of an account that lives elsewhere; it does not move by itself.")
    return account, Peer(want.move, want.peer.address, want.peer.host_keys, want.epoch)


def _require_serving(account: Account, want: Leaving) -> None:
    state = state_of(account.name)
    if state.state not in ("serving", "held"):
        refuse(
            "wrong_state",
            f"The account {account.name} is {state.state} here; only one that serves can leave.",
        )
    fence.refuse_stale(account.name, state, want.move, want.epoch)


# --- comparison ---


def compare(account: Account, peer: Peer, stores: Collection[Store]) -> tuple[dict[str, Any], list[str]]:
    """The figures of what was compared, and what differs (at most 20 sentences, none when equal)."""
    parts: dict[type[PeerVerb[dict[str, Any]]], Callable[[Account], dict[str, Any]]]
    parts = {store.digest_verb: store.digest for store in stores}
    of_home = "files" in [store.name for store in stores]
    if of_home:
        parts |= {peers.MessagesDigest: mail.messages, peers.IdentityDigest: identity.digest}
    with Threads(max_workers=2 * len(parts)) as pool:
        theirs = {verb: pool.submit(peer.call, verb()) for verb in parts}
        mine = {verb: pool.submit(read, account) for verb, read in parts.items()}
    here, there = ({verb: work.result() for verb, work in side.items()} for side in (mine, theirs))
    different = []
    for store in stores:
        different += store.differences(account, peer, here[store.digest_verb], there[store.digest_verb])
    if of_home:
        different += mail.differences(here[peers.MessagesDigest], there[peers.MessagesDigest])
        both = here[peers.IdentityDigest], there[peers.IdentityDigest]
        different += [f"identity: {text}" for text in digest.differences(*both)]
    figures = {of: sum(here[store.digest_verb].get(of, 0) for store in stores) for of in _FIGURES}
    figures["messages"] = here[peers.MessagesDigest]["messages"] if of_home else 0
    return {**figures, "equal": not different}, different[:MOST_DIFFERENCES]
