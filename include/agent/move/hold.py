"""A hold, and its end when nothing was committed: the account serves here again."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import replace

from ..account.accounts import Account, State, guarded, load, put_state, state_of
from ..host.system import refuse
from ..layouts import front, php, provisioning
from ..stores.store import Engine
from ..verbs.reports import Cut
from . import fence, serving, stores
from .steps import Steps

DRAIN_SECONDS = 1.0


class Hold:
    """Stop every writer of the account and keep its visitors waiting, for `seconds` at most.

    A block: when it is left, or cannot begin, the account serves here again, unless it was committed. Whatever becomes
    of this process, the server itself ends the hold at the deadline. Repeated by the same move it starts over with a
    new one. In the block `still` is called for each of the `parts`, from as many threads as one likes.
    """

    def __init__(
        self,
        name: str,
        move: str,
        epoch: int,
        seconds: float,
        steps: Steps | None = None,
        engines: Collection[Engine] = stores.ENGINES,
        requests: php.Requests | None = None,
    ) -> None:
        self.name, self.move, self.epoch, self.seconds = name, move, epoch, seconds
        self.cut = Cut()
        """What was cut short."""
        self._steps, self._requests = steps or Steps(), requests or php.Requests(load(name))
        self._stops = {"files": self._stop_processes, **{engine.name: engine.hold for engine in engines}}

    @property
    def parts(self) -> tuple[str, ...]:
        """What of the account is written by programs that are stopped together."""
        return tuple(self._stops)

    def __enter__(self) -> Hold:
        try:
            self._shut()
        except BaseException:
            self._undo()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._undo()

    def still(self, part: str) -> None:
        """Nothing writes this part any more when this ends."""
        # Shared: a return waits for it, and nothing is stopped after a return.
        with self._steps(f"{part} still"), guarded(self.name, shared=True):
            fence.require_held(self.name, self.move, self.epoch)
            self._stops[part](self._account)

    def _shut(self) -> None:
        """From here on the deadline runs and nobody comes in; who is in has ended, or may be cut."""
        if not 1 <= self.seconds <= 85:
            refuse("bad_seconds", "A hold lasts from 1 to 85 seconds: longer than that no visitor's request is kept.")
        with self._steps("deadline"):
            fence.begin(self.name, self.move, self.epoch, self.seconds)
        self._account = load(self.name)
        with self._steps("front"):
            with guarded(self.name, shared=True):
                # Who slept since then may find the hold over, and must not shut an account that was let in again.
                state = fence.require_held(self.name, self.move, self.epoch)
                provisioning.expect_open(self._account)
                self._have_closed(state)
                front.hold(self._account)
            cut = replace(self._requests, account=self._account).drain(DRAIN_SECONDS)
            self.cut = replace(self.cut, requests=cut)

    def _have_closed(self, state: State) -> None:
        """The host keeps its visitors waiting first, if it does: until it has, nobody waits for it."""
        if provisioning.has("close"):
            with self._steps("the host's close"):
                provisioning.close(self._account, (state.deadline or time.time()) - time.time())

    def _stop_processes(self, account: Account) -> None:
        self.cut = replace(self.cut, processes=serving.stop_processes(account))

    def _undo(self) -> None:
        if not fence.committed(state_of(self.name), self.move):
            return_(self.name, self.move, self.epoch)


def return_(name: str, move: str | None = None, epoch: int | None = None) -> State:
    """End a hold: the account serves here again. Nothing happens to one that is not held (by that move)."""
    with guarded(name):
        state = state_of(name)
        if state.state == "moved" and move == state.move:
            refuse("committed", f"The account {name} has moved; from here it only goes forward.")
        if state.state != "held" or (move and state.move != move) or (epoch is not None and state.epoch != epoch):
            return state
        return _return(name, state)


def _return(name: str, state: State) -> State:
    fence.refuse_leaving(name, state)
    state = serving.reopen(load(name))
    serving.rest(name)
    return state


def give_up(name: str, move: str, epoch: int) -> State:
    """End this attempt of a move: a hold of it is returned, and from here on none of it or of one before begins or
    commits, whatever of it still runs. Refused once it has committed; nothing happens when a later one has begun."""
    with guarded(name):
        state = state_of(name)
        if fence.committed(state, move):
            refuse("committed", f"The account {name} has moved; from here it only goes forward.")
        if state.state == "held" and state.epoch <= epoch:
            state = _return(name, state)
        if state.state == "serving" and (state.epoch < epoch or (state.epoch, state.move) == (epoch, move)):
            state = put_state(name, replace(state, epoch=epoch, move=None))
        return state


def admit(name: str, move: str, epoch: int) -> State:
    """Begin this attempt of a move away: those before it are over, a hold of theirs is returned. Can be repeated."""
    with guarded(name):
        state = state_of(name)
        if fence.committed(state, move) or (state.move, state.epoch) == (move, epoch):
            return state
        fence.refuse_stale(name, state, move, epoch)
        if state.state == "held":
            state = _return(name, state)
        if state.state != "serving":
            refuse("wrong_state", f"The account {name} is {state.state} here; only one that serves can leave.")
        return put_state(name, replace(state, epoch=epoch, move=move))
