"""The fence: what keeps an account to one writable copy, whatever dies or is cut off.

Its truth is the state file; everything else follows that.

hold -> return, or hold -> commit -> (release on the other server) -> forward. A hold ends by itself at its
deadline; a commit is one durable rename and the only step that cannot be undone.

The databases of one engine can move alone: the account is held as ever, the commit writes into its state that they
live elsewhere, and forward opens the account again where it is, with its programs led to them.
"""

import time
from dataclasses import replace
from typing import Any

from ..account.accounts import State, guarded, load, part_name, put_state, state_of
from ..channel import pairing
from ..channel.peer import known_peer
from ..host import system
from ..host.codec import plain
from ..host.system import failpoint, refuse
from ..verbs.reports import Switched
from . import deadline, redirect

# --- what a state says ---


def leaving(state: State) -> str | None:
    """The engine whose databases have moved by a commit after which nothing was opened yet."""
    return next((engine for engine, moved in state.engines.items() if not moved["released"]), None)


def committed(state: State, move: str) -> bool:
    """Whether this move, of the account or of an engine, is past its point of no return."""
    whole_account = (state.state, state.move) == ("moved", move)
    return whole_account or any(moved["move"] == move for moved in state.engines.values())


def released(state: State, move: str) -> bool:
    """Whether the other server has opened what this move, past its point of no return here, brought there."""
    if (state.state, state.move) == ("moved", move):
        return state.released
    return all(moved["released"] for moved in state.engines.values() if moved["move"] == move)


def refuse_leaving(name: str, state: State) -> None:
    if leaving(state):
        refuse("committed", f"Databases of the account {name} have moved; from here it only goes forward.")


def refuse_stale(name: str, state: State, move: str, epoch: Any) -> None:
    """What ends an attempt of a move writes its epoch down without the move (`give_up`), and what begins a later one
    writes down the later epoch (`admit`): so an operation that outlived its attempt is told here."""
    if not isinstance(epoch, int) or epoch < state.epoch or (epoch == state.epoch and state.move != move):
        refuse("stale_epoch", f"The account {name} is at epoch {state.epoch} here; epoch {epoch} is over.")


def require_held(name: str, move: str, epoch: int) -> State:
    """By this attempt: one of another epoch has compared another hold."""
    state = state_of(name)
    if (state.state, state.move, state.epoch) != ("held", move, epoch) or state.returning:
        refuse("not_held", f"The account {name} is {state.state} here, not held by move {move}; hold it again.")
    refuse_leaving(name, state)
    return state


def require_whole(name: str) -> None:
    """Refuse to move or copy an account as a whole of which a part lives elsewhere."""
    for engine, moved in state_of(name).engines.items():
        refuse(
            "engine_elsewhere",
            f"The {engine} databases of {name} live on {moved['to']}, so the account cannot be moved or copied as a "
            "whole; give the stores that are here.",
        )


# --- held ---


def begin(name: str, move: str, epoch: int, seconds: float) -> None:
    """Write down the hold and its deadline, which the host itself enforces from here on."""
    if load(name).part:
        refuse("is_part", f"{name} is the part of an account that lives elsewhere; it is not held by itself.")
    with guarded(name):
        state = state_of(name)
        if state.state not in ("serving", "held") or (state.state == "held" and state.move != move):
            refuse(
                "wrong_state",
                f"The account {name} is {state.state} here in move {state.move}; it cannot be held.",
            )
        refuse_stale(name, state, move, epoch)
        refuse_leaving(name, state)
        if state.returning:
            refuse("returning", f"The account {name} is being returned; try again in a moment.")
        deadline.arm(name, seconds)
        saved = state.saved if state.state == "held" else {"expiry": system.shadow_fields(name)[1]}
        held = State("held", epoch, move, time.time() + seconds, saved=saved, since=time.time(), engines=state.engines)
        put_state(name, held)


# --- committed ---


def commit(name: str, move: str, epoch: int, figures: Switched) -> dict[str, Any]:
    """The point of no return: one durable rename. Returns the commit record that releases the other copy."""
    with guarded(name):
        state = state_of(name)
        if (state.state, state.move, state.epoch) == ("moved", move, epoch):
            return record(name, state)
        require_whole(name)
        state = _require_time(name, move, epoch)
        other = known_peer(move)
        failpoint("before_commit")
        moved = replace(state, state="moved", deadline=None, to=other["address"], peer=other)
        state = put_state(name, replace(moved, figures=plain(figures), since=time.time()))
        failpoint("committed")
        return record(name, state)


def commit_engine(name: str, move: str, epoch: int, engine: str, port: int, figures: Switched) -> None:
    """The point of no return of one engine's databases: one durable rename. The account stays held until `forward`.

    `port`: where the other server's front takes what is led to them."""
    account = load(name)
    with guarded(name), redirect.allotted(account, engine) as lead_port:
        state = _require_time(name, move, epoch)
        other = known_peer(move)
        failpoint("before_commit")
        moved = {
            "to": other["address"],
            "peer": other,
            "port": port,
            "lead_port": lead_port,
            "move": move,
            "epoch": state.epoch,
            "released": False,
            "left": account.part_of(engine).to_json()[engine],
            "figures": plain(figures),
            "since": time.time(),
        }
        put_state(name, replace(state, deadline=None, engines={**state.engines, engine: moved}))
        failpoint("committed")


def _require_time(name: str, move: str, epoch: int) -> State:
    """The state of an account that is held by this attempt, for a commit that is still in time."""
    state = require_held(name, move, epoch)
    if state.deadline is None or time.time() >= state.deadline:
        refuse("deadline_over", f"The hold of {name} is over; it returns by itself. Start the switch again.")
    return state


def record(name: str, state: State) -> dict[str, Any]:
    """What proves to the other server that this move is committed here."""
    engine = leaving(state)
    if engine:
        name, committed_at = part_name(name, engine), state.engines[engine]["since"]
    else:
        committed_at = state.since
    known = {"account": name, "move": state.move, "epoch": state.epoch, "committed_at": committed_at}
    return {**known, "proof": pairing.proof(state.move or "")}
