"""The long verbs of a move, run on the source: copy, switch and verify.

Each of the account's three stores (files, PostgreSQL, MariaDB) is *followed* while the account serves: copied, proven
equal as a whole, and kept up. Before the hold the rest is *rehearsed*, timed, against a budget. In the hold only the
last changes go over, and only what changed is compared.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from .. import verbs
from ..account.accounts import Account, load, state_of, whole
from ..channel import pairing
from ..channel.peer import Peer
from ..host import digest, holds
from ..host.kept import Threads
from ..host.operations import Report
from ..host.scope import Scope
from ..host.system import failpoint, refuse, side_by_side
from ..layouts import mail, php, provisioning
from ..stores.store import Compared, Engine, Following, Store
from ..verbs import peers, reports
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


def copy(want: verbs.Copy, report: Report) -> reports.Copied:
    """Copy everything while the account serves, prove the copy, and let it follow; what cannot move is refused here."""
    account, peer = _sides(want)
    began = time.monotonic()
    _require_serving(account, want)
    followings = _follow(account, peer, report, stores_of(account, want.stores))
    followed = [following.followed for following in followings]
    return reports.Copied(
        files=sum(each.files for each in followed),
        bytes=sum(each.bytes for each in followed),
        seconds=round(time.monotonic() - began, 3),
        verify_seconds=round(sum(each.verify_seconds for each in followed), 3),
        stores={following.store.name: following.followed.seconds for following in followings},
        left=_left(followings),
        scope=_scope(account, followings),
        ways=_ways(followings),
    )


def _left(followings: list[Following]) -> list[str]:
    return [sentence for following in followings for sentence in following.followed.left]


def _scope(account: Account, followings: list[Following]) -> dict[str, Scope]:
    """What the proof of these stores covers and what it leaves out, by part of the account."""
    scopes = {following.store.name: following.store.scope for following in followings}
    if "files" in scopes:
        scopes |= {"identity": identity.scope(account), "mail": mail.SCOPE}
    return scopes


def _ways(followings: list[Following]) -> list[reports.Way]:
    return [way for following in followings for way in following.followed.ways]


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
    target = peer.call(peers.Alone(protocol=PROTOCOL))
    pairing.require_same_protocol(target.protocol)
    for engine in ENGINES:
        if engine.name not in stores or not account.has(engine.name):
            continue
        ours, theirs = engine.version(), tuple(target.versions.get(engine.name, ()))
        if theirs < ours:
            newer, older = (".".join(str(part) for part in version) or "unknown" for version in (ours, theirs))
            refuse(
                "older_engine",
                f"{engine.title} {older} on the new server is older than {newer} here and cannot take what that has:"
                " choose a server that runs the same or a newer one.",
            )


def _follow(account: Account, peer: Peer, report: Report, stores: list[Store]) -> list[Following]:
    names = [store.name for store in stores]
    begin_alone(account, peer, names)
    if "files" in names:
        identity.require_extras(account)
        identity.send(account, peer)
    followings: list[Following] = side_by_side(*(partial(store.follow, account, peer, report) for store in stores))
    if "files" in names:
        identity.send_extras(account, peer)
    return followings


def switch(want: verbs.Switch, report: Report) -> reports.Switched:
    """From rehearsal to forward, with nobody's help. Before the commit a failure returns the account at once.

    Refused as `over_budget`, with no hold, when the rehearsal says that visitors would wait longer than
    `budget_seconds`. With an `engine` its databases alone go over, and the account opens again here.
    """
    account, peer = _sides(want)
    state, engine = state_of(account.name), want.engine
    if engine and state.engines.get(engine, {}).get("move") == want.move:
        return forward.go_forward_engine(account.name, engine)
    if (state.state, state.move) == ("moved", want.move):
        return forward.go_forward(account.name)
    _require_serving(account, want)
    stores = stores_of(account, [engine] if engine else None)
    if state.state == "held":
        # A switch before this one was killed: its visitors have waited enough.
        hold.return_(account.name, want.move, want.epoch)
    steps = Steps(report)
    with steps("follow"):
        followings = _follow(account, peer, report, stores)
    end = _EngineOnly(account, engine, peer) if engine else _Whole(account)
    with steps("rehearse"):
        requests = php.Requests(account)
        expected, own = _rehearse(account, peer, want.budget_seconds, followings, requests)
    foreseen = reports.Switched(
        expected_ms=round(expected * 1000, 1),
        left=_left(followings),
        scope=_scope(account, followings),
        ways=_ways(followings),
    )
    block = hold.Hold(account.name, want.move, want.epoch, want.hold_seconds, steps, end.engines, requests)
    measured = _hold_and_commit(block, account, peer, steps, foreseen, followings, end, own)
    with steps("unfollow"):
        for following in followings:
            following.stop()
    return replace(measured, steps=steps.taken)


class _Whole:
    """The end of a move of a whole account: it goes on elsewhere."""

    engines = ENGINES

    def __init__(self, account: Account) -> None:
        self.name = account.name

    def commit(self, move: str, epoch: int, figures: reports.Switched) -> None:
        fence.commit(self.name, move, epoch, figures)

    def release(self, peer: Peer) -> list[reports.Step]:
        return forward.release_peer(self.name, peer)

    def open(self) -> None:
        forward.let_go(self.name)

    def keep(self, figures: reports.Switched) -> None:
        forward.forward(self.name, figures)


class _EngineOnly:
    """The end of a move of one engine's databases: the account goes on here, led to them."""

    def __init__(self, account: Account, engine: str, peer: Peer) -> None:
        self.name, self.engine = account.name, engine
        self.engines: tuple[Engine, ...] = (engine_named(engine),)
        self.port = peer.call(peers.PartPort()).port
        redirect.rehearse(account, engine, peer.address, self.port)

    def commit(self, move: str, epoch: int, figures: reports.Switched) -> None:
        fence.commit_engine(self.name, move, epoch, self.engine, self.port, figures)

    def release(self, peer: Peer) -> list[reports.Step]:
        """Its programs may start meanwhile: they are let in only when the databases are open."""
        steps, _ = side_by_side(partial(forward.release_peer, self.name, peer), partial(forward.lead, self.name))
        return steps

    def open(self) -> None:
        forward.let_back(self.name)

    def keep(self, figures: reports.Switched) -> None:
        forward.forward_engine(self.name, self.engine, figures)


def _rehearse(
    account: Account, peer: Peer, budget: float, followings: list[Following], requests: php.Requests
) -> tuple[float, float]:
    """The seconds that visitors will wait, and those of them that the host's own steps take; refused when they are
    more than the budget."""
    for _ in range(REHEARSALS):
        moment.await_it(account, 2 * budget, requests)  # the rehearsal, then the hold
        peer.warm(2 * len(followings))
        own = peer.call(peers.Warm()).open_seconds + provisioning.rehearse(account, "close", "open")
        rehearsals = side_by_side(*(following.rehearse for following in followings))
        expected = max(rehearsal.seconds for rehearsal in rehearsals) + holds.usual_rest() + own
        if expected <= budget:
            return expected, own
    holds.doubt()
    slowest = sorted((slow for rehearsal in rehearsals for slow in rehearsal.slow), key=lambda slow: -slow.seconds)
    why = "".join(f" {slow.what} takes {slow.seconds:.1f} s: {slow.why}" for slow in slowest[:3])
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
    foreseen: reports.Switched,
    followings: list[Following],
    end: _Whole | _EngineOnly,
    own: float,
) -> reports.Switched:
    """From the hold to the end, which is `end`; the move's figures. Who is held waits as long as its block lasts."""
    began, held_at = time.monotonic(), time.time()
    with block as held:
        brought = _bring_over(held, account, peer, steps, followings)
        failpoint("held")
        verified, different = _together(account, peer, {part: store.compared for part, store in brought.items()})
        if different:
            refuse("not_equal", f"The copies differ, so nothing was committed: {' '.join(different)}")
        with steps("commit"):
            figures = replace(foreseen, verified=verified, cut=held.cut, steps=steps.taken, held_at=held_at)
            end.commit(held.move, held.epoch, figures)
        with steps("release"):
            of_release = end.release(peer)
        steps.taken += [replace(step, name=f"release: {step.name}") for step in of_release]
        with steps("forward"):
            end.open()
        seconds = time.monotonic() - began
    holds.note(max(0.0, seconds - max(store.seconds for store in brought.values()) - own))
    verified = replace(verified, messages=sum(following.messages() for following in followings))
    figures = replace(figures, verified=verified, steps=steps.taken, held_ms=round(seconds * 1000, 1))
    end.keep(figures)
    return figures


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
    return {part: brought for part, brought in done.items() if brought is not None}


def _together(account: Account, peer: Peer, compared: dict[str, Compared]) -> tuple[reports.Verified, list[str]]:
    """The figures of the stores that go over, and at most 20 differences."""
    different = [f"{part}: {text}" for part, each in compared.items() for text in each.different]
    if "files" in compared:
        theirs = peer.call(peers.IdentityDigest())
        different += [f"identity: {text}" for text in digest.differences(identity.digest(account), theirs)]
    verified = reports.Verified(
        files=sum(each.files for each in compared.values()),
        bytes=sum(each.bytes for each in compared.values()),
        tables=sum(each.tables for each in compared.values()),
        rows=sum(each.rows for each in compared.values()),
        equal=not different,
    )
    return verified, different[:MOST_DIFFERENCES]


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


def verify(want: verbs.Verify, report: Report) -> reports.Compared:
    """Compare both copies as a whole, now; at most 20 differences."""
    account, peer = _sides(want)
    report(text="comparing")
    return _compare(account, peer, stores_of(account, want.stores))


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


def _compare(account: Account, peer: Peer, stores: Collection[Store]) -> reports.Compared:
    parts: dict[type[PeerVerb[dict[str, Any]]], Callable[[Account], dict[str, Any]]]
    parts = {store.digest_verb: store.digest for store in stores}
    of_home = "files" in [store.name for store in stores]
    if of_home:
        parts |= {peers.MessagesDigest: mail.messages, peers.IdentityDigest: identity.digest}
    with Threads(max_workers=2 * len(parts)) as pool:
        theirs = {verb: pool.submit(peer.call, verb()) for verb in parts}
        mine = {verb: pool.submit(read, account) for verb, read in parts.items()}
    source, target = ({verb: work.result() for verb, work in side.items()} for side in (mine, theirs))
    different = []
    for store in stores:
        different += store.differences(account, peer, source[store.digest_verb], target[store.digest_verb])
    if of_home:
        different += mail.differences(source[peers.MessagesDigest], target[peers.MessagesDigest])
        identities = source[peers.IdentityDigest], target[peers.IdentityDigest]
        different += [f"identity: {text}" for text in digest.differences(*identities)]
    compared = [source[store.digest_verb] for store in stores]
    return reports.Compared(
        files=sum(each.get("files", 0) for each in compared),
        bytes=sum(each.get("bytes", 0) for each in compared),
        tables=sum(each.get("tables", 0) for each in compared),
        rows=sum(each.get("rows", 0) for each in compared),
        messages=source[peers.MessagesDigest]["messages"] if of_home else 0,
        equal=not different,
        differences=different[:MOST_DIFFERENCES],
    )
