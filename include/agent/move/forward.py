"""After the commit: the other server opens what came, this one sends everybody there; and what a deadline does."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from ..account.accounts import ENGINES, Account, State, guarded, load, put_state, state_of, sync_state, whole
from ..channel import pairing
from ..channel.peer import Peer
from ..host import server_role, system
from ..host.codec import decode, plain
from ..host.shapes import Strange
from ..host.system import refuse
from ..layouts import mail, php, provisioning
from ..stores.files.store import FILES
from ..verbs.peers import Release
from ..verbs.reports import Step, Switched, Verified
from . import fence, hold, redirect, serving, stores
from .steps import Steps

# --- on the target ---


def release(name: str, move: str, epoch: int, commit_record: Any, steps: Steps | None = None) -> State:
    """On the target, after the source's commit: open the copy that came. Repeated, it opens what is still shut."""
    steps = steps or Steps()
    server_role.refuse_to_serve(name)
    with guarded(name):
        account, state = load(name), state_of(name)
        if (state.move, state.epoch) != (move, epoch) or state.state not in ("receiving", "serving"):
            refuse(
                "wrong_move",
                f"The account {name} is {state.state} here, at epoch {state.epoch} of {state.move}.",
            )
        committed = commit_record if isinstance(commit_record, dict) else {}
        if (committed.get("account"), committed.get("move"), committed.get("epoch")) != (name, move, epoch):
            refuse("no_commit", f"Nothing proves that the source has committed the move {move}; it stays shut.")
        if state.state == "receiving":
            with steps("opened"), pairing.no_data_session(name):
                provisioning.expect_open(account)
                saved = {"expiry": state.saved.get("expiry", "")}
                state = put_state(name, State("serving", epoch, move, saved=saved, since=time.time()))
        works: dict[str, Callable[[], Any]]
        if account.part:
            works = {account.part: partial(stores.engine_named(account.part).finish, account)}
        else:
            works = {store.name: partial(store.finish, account) for store in (*stores.ENGINES, FILES)}
            works["processes"] = partial(serving.start_processes, account)
            works["mail"] = partial(mail.follow, account)
        works["proof"] = partial(pairing.keep_proof, move, committed.get("proof"))

        def timed(step: str) -> None:
            with steps(step):
                works[step]()

        system.side_by_side(*(partial(timed, step) for step in works))
        # Who comes in finds everything open: the front is the last.
        with steps("front"):
            serving.let_in(account)
        return state


# --- on the source ---


def forward(name: str, figures: Switched | None = None) -> None:
    """On the source, after the release: send visitors and mail to the other server; keep the move's figures."""
    with guarded(name):
        state = state_of(name)
        _require_moved(name, state)
        kept = state.figures if figures is None else plain(figures)
        put_state(name, replace(state, released=True, figures=kept))
        serving.show(load(name))
        serving.rest(name)


def let_go(name: str) -> None:
    """After the release the waiting visitors go on to the other server; the rest of `forward` is in no one's way."""
    with guarded(name):
        state = state_of(name)
        if state.state == "moved" and not state.released:
            put_state(name, replace(state, released=True))
        serving.send_on(load(name))


def _require_moved(name: str, state: State) -> None:
    if state.state != "moved":
        refuse("not_moved", f"The account {name} is {state.state} here; it has not moved.")


def lead(name: str) -> None:
    """After an engine's commit: lock for good what stays behind, and lead the programs to where the databases are.

    PHP may run already; its gate is opened by `let_back`, when the other server has opened the databases."""
    account, engine = load(name), fence.leaving(state_of(name))
    if engine:

        def lead_programs() -> None:
            redirect.begin(account)
            php.warm(account)

        system.side_by_side(partial(stores.engine_named(engine).lock, whole(name)), lead_programs)


def let_back(name: str) -> None:
    """After the release of an engine's databases: the account serves here again."""
    with guarded(name):
        state = state_of(name)
        if engine := fence.leaving(state):
            moved = {**state.engines[engine], "released": True}
            put_state(name, replace(state, engines={**state.engines, engine: moved}))
        if state.state == "held":
            serving.reopen(load(name))


def forward_engine(name: str, engine: str, figures: Switched) -> None:
    """`let_back`, and what is in nobody's way after it; keeps the move's figures."""
    let_back(name)
    with guarded(name):
        state = state_of(name)
        moved = {**state.engines[engine], "figures": plain(figures)}
        put_state(name, replace(state, engines={**state.engines, engine: moved}))
        serving.rest(name)


def drop_left(name: str, engine: str) -> None:
    """Drop what an engine's move has left behind here, locked; can be repeated."""
    with guarded(name):
        state = state_of(name)
        moved = state.engines.get(engine)
        if not moved or not moved["released"]:
            refuse("not_moved", f"The {engine} databases of {name} live on this server; nothing is dropped.")
        if moved["left"] is None:
            return
        nothing = whole(name).without(ENGINES).to_json()
        stores.engine_named(engine).discard(Account.from_json({**nothing, engine: moved["left"]}))
        put_state(name, replace(state, engines={**state.engines, engine: {**moved, "left": None}}))


def release_peer(name: str, peer: Peer | None = None) -> list[Step]:
    """Open the account on the other server; it must be committed here. `peer`: a connection that stands.

    Gives the steps that it took there."""
    state = state_of(name)
    engine = fence.leaving(state)
    known = (state.engines[engine]["peer"] if engine else state.peer) or {}
    if not engine:
        _require_moved(name, state)
    other = peer or Peer(state.move or "", known.get("address"), known.get("host_keys"), state.epoch)
    return other.call(Release(epoch=state.epoch, commit_record=fence.record(name, state))).steps


def go_forward(name: str) -> Switched:
    """Release the committed account on the peer, then forward to it; the move's figures. Can be repeated."""
    state = state_of(name)
    figures = _figures(state.figures)
    if state.released:
        forward(name)
        return figures
    sync_state(name)
    release_peer(name)
    verified = replace(figures.verified or Verified(), messages=FILES.messages(load(name)))
    figures = replace(figures, verified=verified, held_ms=_held_ms(figures.held_at or state.since))
    forward(name, figures)
    return figures


def go_forward_engine(name: str, engine: str) -> Switched:
    """Release the committed databases on the other server and open the account here; the move's figures. Repeatable."""
    moved = state_of(name).engines[engine]
    figures = _figures(moved["figures"])
    if not moved["released"]:
        sync_state(name)
        system.side_by_side(partial(release_peer, name), partial(lead, name))
        figures = replace(figures, held_ms=_held_ms(figures.held_at or moved["since"]))
    forward_engine(name, engine, figures)
    return figures


def _figures(kept: Any) -> Switched:
    """What was kept at the commit, perhaps by another release: what cannot be read keeps nobody from going on."""
    try:
        figures: Switched = decode(Switched, kept)
    except Strange:
        return Switched()
    return figures


def _held_ms(since: float | None) -> float:
    """How long it has been held by the clock, which may have been set back meanwhile."""
    now = time.time()
    return round(max(0.0, now - (since or now)) * 1000, 1)


# --- by itself ---


def settle(name: str) -> State:
    """What the deadline and the boot do: a held account returns, a committed one goes forward."""
    state = state_of(name)
    if engine := fence.leaving(state):
        go_forward_engine(name, engine)
    elif state.state == "held":
        hold.return_(name)
    elif state.state == "moved" and not state.released and state.peer:
        go_forward(name)
    serving.let_in_by_itself(name)
    return state_of(name)


def learn(name: str, move: str, epoch: int, to: str, peer: dict[str, Any] | None = None) -> State:
    """The account has left with this move, which this server does not know (any more): it is passed on from here."""
    with guarded(name):
        state = state_of(name)
        if state.state in ("serving", "held") and state.epoch <= epoch and not fence.leaving(state):
            account = load(name)
            for engine in stores.ENGINES:
                if engine.name not in state.engines:
                    engine.hold(account)
            saved = state.saved if state.state == "held" else {"expiry": system.shadow_fields(name)[1]}
            serving.end_programs(account)
            gone = State("moved", epoch, move, to=to, peer=peer, saved=saved, released=True, since=time.time())
            provisioning.expect_open(account)
            state = put_state(name, replace(gone, engines=state.engines))
            serving.show(account)
        return state
