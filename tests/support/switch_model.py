"""The switch of one account as a state machine, small enough to walk through whole.

A source, a target, one move of the account from the one to the other, and one or two runs of the orchestrator's tasks
that a person may mark and clear. Whatever can happen next (a step of an operation, a power cut, a cut link, a deadline
that is over before the operation goes on) happens in every order. What is volatile dies with its server.

The repairs can be left out one by one, so that it shows what each is for:

* `promise`: what ends or begins an attempt raises the source's epoch durably; a hold and a commit need theirs;
* `released_first`: the path is not taken off a source that has committed and not yet released, and `returned` is
  recorded only when the source does not call itself moved;
* `stale_ends`: what ends an attempt names its epoch, and does nothing when a later one has begun;
* `source_asked`: the registry is told of a move only when the source calls itself moved and released;
* `peer_asked`: a source that comes up in the middle of a move asks the target whether it has the account.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

REPAIRS = frozenset({"promise", "released_first", "stale_ends", "source_asked", "peer_asked"})
WRITES = ("first", "second")


@dataclass(frozen=True)
class World:
    """What may go wrong, how often, and which repairs are in."""

    source_crashes: int = 0
    target_crashes: int = 0
    cuts: int = 0
    acts_of_a_person: int = 0
    restores: int = 0
    second_run: bool = False
    repairs: frozenset[str] = REPAIRS


class State(NamedTuple):
    """Everything at one moment. `source*`/`target*` without a further word are the durable state files."""

    source: str = "serving"  # serving | held | moved
    source_epoch: int = 1
    released: bool = False
    source_up: bool = True
    source_open: bool = True
    timer: bool = False
    source_key: bool = True
    target: str = "receiving"  # receiving | serving
    target_epoch: int = 2
    target_up: bool = True
    target_open: bool = False
    target_key: bool = True
    on_source: frozenset[str] = frozenset()
    on_target: frozenset[str] = frozenset()
    acknowledged: frozenset[str] = frozenset()
    operations: tuple[tuple[int, str], ...] = ()  # (epoch, step) of the switches that run on the source
    link: bool = True
    move: str = "switching"  # the registry's: switching | returned | committed | done
    move_epoch: int = 2
    lives_on: str = "source"  # the registry's
    runs: tuple[str, str] = ("start", "off")  # where each run of the tasks is
    run_epochs: tuple[int, int] = (2, 2)
    source_crashes: int = 0
    target_crashes: int = 0
    cuts: int = 0
    acts: int = 0
    restores: int = 0


class Step(NamedTuple):
    """One thing that can happen. `by_itself`: nobody has to be there for it."""

    what: str
    by_itself: bool
    then: State


Change = Callable[..., Step]


def begin(world: World) -> State:
    return State(
        source_crashes=world.source_crashes,
        target_crashes=world.target_crashes,
        cuts=world.cuts,
        acts=world.acts_of_a_person,
        restores=world.restores,
    )


def steps(world: World, now: State) -> Iterator[Step]:
    """Everything that can happen next."""

    def change(what: str, by_itself: bool = True, /, **changed: Any) -> Step:
        return Step(what, by_itself, now._replace(**changed))

    yield from _visitors(now, change)
    if now.source_up:
        for place in range(len(now.operations)):
            yield from _operation(world, now, place, change)
        yield from _deadline(now, change)
    yield from _power(world, now, change)
    for run in (0, 1):
        yield from _run(world, now, run, change)


def _visitors(now: State, change: Change) -> Iterator[Step]:
    write = next((one for one in WRITES if one not in now.acknowledged), None)
    if write is None:
        return
    acknowledged = now.acknowledged | {write}
    if now.source_open:
        yield change(
            f"the source takes the {write} write", on_source=now.on_source | {write}, acknowledged=acknowledged
        )
    if now.target_open:
        yield change(
            f"the target takes the {write} write", on_target=now.on_target | {write}, acknowledged=acknowledged
        )


def _reached(now: State) -> bool:
    """Whether the source can call the target."""
    return now.source_up and now.target_up and now.link and now.source_key and now.target_key


def _returned(now: State) -> dict[str, Any]:
    """The end of a hold; nothing happens to what is not held."""
    return {"source": "serving", "source_open": True, "timer": False} if now.source == "held" else {}


def _stale(world: World, now: State, epoch: int) -> bool:
    if "promise" not in world.repairs:
        return epoch < now.source_epoch
    # The epoch of an attempt that was given up is written down without the move: it is not above itself.
    return epoch <= now.source_epoch and (now.source, now.source_epoch) != ("held", epoch)


def _operation(world: World, now: State, place: int, change: Change) -> Iterator[Step]:
    """The next step of a switch that runs on the source. Between any two it may be stopped for as long as you like."""
    epoch, at = now.operations[place]
    before, after = now.operations[:place], now.operations[place + 1 :]

    def on(to: str, **changed: Any) -> Step:
        return change(f"switch {epoch}: {at} -> {to}", operations=(*before, (epoch, to), *after), **changed)

    def end(why: str, **changed: Any) -> Step:
        return change(f"switch {epoch}: {why}", operations=before + after, **changed)

    receiving = _reached(now) and now.target == "receiving"
    if at == "begun":
        if now.source == "moved":
            yield on("committed")
        elif _stale(world, now, epoch):
            yield end("its epoch is over")
        else:
            yield on("rehearsed") if receiving else end("fails before its hold")
    elif at == "rehearsed":
        may = now.source in ("serving", "held") and not _stale(world, now, epoch)
        yield on("held", source="held", source_epoch=epoch, timer=True) if may else end("its hold is refused")
    elif at == "held":
        yield on("still", source_open=False) if now.source == "held" else end("it is not held any more")
    elif at == "still":
        yield on("copied", on_target=now.on_source) if receiving else end("fails", **_returned(now))
    elif at == "copied":
        equal = receiving and now.on_target == now.on_source
        yield on("compared") if equal else end("not equal", **_returned(now))
    elif at == "compared":
        yield _commit(world, now, epoch, on, end)
    elif at == "committed":
        yield _release(now, on, end)
    elif at == "opened":
        yield end("forward", released=True, timer=False)


def _commit(world: World, now: State, epoch: int, on: Change, end: Change) -> Step:
    held = now.source == "held" and ("promise" not in world.repairs or now.source_epoch == epoch)
    if held and now.source_key:
        return on("committed", source="moved", released=False)
    own = "promise" not in world.repairs or now.source_epoch == epoch
    return end("its commit is refused", **(_returned(now) if own else {}))


def _release(now: State, on: Change, end: Change) -> Step:
    if now.released:
        return end("done")
    if not _reached(now):
        return end("the target is not reached: it stays moved")
    if now.target_epoch != now.source_epoch:
        return end("the target refuses: another attempt")
    return on("opened", target="serving", target_open=True)


def _deadline(now: State, change: Change) -> Iterator[Step]:
    """The source's own timer: it may be over at any moment."""
    if not now.timer:
        return
    if now.source == "held":
        yield change("deadline: the account returns", **_returned(now))
    elif now.source == "moved" and not now.released and _reached(now) and now.target_epoch == now.source_epoch:
        opened = {"target": "serving", "target_open": True, "released": True}
        yield change("deadline: the target is released", timer=False, **opened)


def _power(world: World, now: State, change: Change) -> Iterator[Step]:
    down = {"source_up": False, "source_open": False, "timer": False, "operations": ()}
    if now.source_up and now.source_crashes:
        yield change("the source loses power", source_crashes=now.source_crashes - 1, **down)
    # Once the path is gone nobody is left whom the source itself could ask: then only the registry knows better.
    if now.source_up and now.restores and now.source == "moved" and now.source_key and now.lives_on == "source":
        before = {"source": "serving", "source_epoch": 1, "released": False}
        yield change("the source comes back from a snapshot", False, restores=now.restores - 1, **{**down, **before})
    if not now.source_up:
        yield _boot(world, now, change)
    if now.target_up and now.target_crashes:
        yield change(
            "the target loses power", target_up=False, target_open=False, target_crashes=now.target_crashes - 1
        )
    if not now.target_up:
        yield change("the target boots", target_up=True, target_open=now.target == "serving")
    if now.link and now.cuts:
        yield change("the link is cut", link=False, cuts=now.cuts - 1)
    if not now.link:
        yield change("the link is back", link=True)


def _boot(world: World, now: State, change: Change) -> Step:
    up = {"source_up": True}
    asked = "peer_asked" in world.repairs and _reached(now._replace(source_up=True))
    if asked and now.source != "moved" and now.target == "serving":
        left = {"source": "moved", "source_epoch": now.target_epoch, "released": True}
        return change("the source boots: the target has the account", **{**up, **left})
    if now.source == "serving":
        return change("the source boots and serves", source_open=True, **up)
    if now.source == "held":
        return change("the source boots and returns the account", **{**_returned(now), **up})
    return change("the source boots: moved", timer=not now.released, **up)


# --- the orchestrator ---


def _run(world: World, now: State, run: int, change: Change) -> Iterator[Step]:
    at, epoch = now.runs[run], now.run_epochs[run]

    def go(what: str, to: str, by_itself: bool = True, /, **changed: Any) -> Step:
        runs = (to, now.runs[1]) if run == 0 else (now.runs[0], to)
        return change(f"run {run + 1}: {what}", by_itself, runs=runs, **changed)

    running = any(one == epoch for one, _ in now.operations)
    if at == "off":
        if world.second_run and run == 1:
            yield go(
                "begins, since the first is taken for dead", "start", run_epochs=(now.run_epochs[0], now.move_epoch)
            )
    elif at == "start" and now.source_up:
        yield from _start(now, epoch, running, go)
    elif at == "wait" and now.source_up:
        yield from _wait(now, running, go)
    elif at == "record":
        yield from _record(world, now, go)
    elif at.startswith("close"):
        if "stale_ends" in world.repairs and epoch != now.move_epoch:
            yield go("its end comes late and does nothing", "end")
        else:
            yield from _close(world, now, at, epoch, go)
    elif at in ("end", "stuck") and run == 0:
        yield from _clear(now, go)


def _start(now: State, epoch: int, running: bool, go: Change) -> Iterator[Step]:
    if now.move != "switching":
        yield go("the move is over", "end")
    elif running or (now.source == "moved" and now.released):
        yield go("attaches to the switch", "wait")
    elif len(now.operations) < 2:
        yield go("starts the switch", "wait", operations=(*now.operations, (epoch, "begun")))


def _wait(now: State, running: bool, go: Change) -> Iterator[Step]:
    if not running:
        if now.source != "moved":
            yield go("the switch has failed often enough", "close: ask")
        else:
            yield go("the switch is done", "record") if now.released else go("the switch goes forward", "start")
    if now.acts:
        yield go("a person marks the switch as failed", "close: ask", False, acts=now.acts - 1)
        yield go("a person marks the switch as a success", "record", False, acts=now.acts - 1)


def _record(world: World, now: State, go: Change) -> Iterator[Step]:
    if now.move != "switching":
        yield go("the move is recorded already, or over", "close: ask")
    elif "source_asked" not in world.repairs:
        yield go("records the move", "close: ask", move="committed", lives_on="target")
    elif now.source_up:
        if now.source == "moved" and now.released:
            yield go("records the move, as the source says", "close: ask", move="committed", lives_on="target")
        else:
            yield go("the source has not moved it: nothing is recorded", "close: ask")


def _close(world: World, now: State, at: str, epoch: int, go: Change) -> Iterator[Step]:
    over = now.move in ("committed", "done")
    if at == "close: ask" and now.source_up:
        if over or now.move == "returned":
            yield go("the move is over", "close: source")
        elif now.source == "moved":
            yield go("the source has committed: the path stays", "stuck")
        else:
            yield go("the source has not committed", "close: return")
    elif at == "close: return" and now.source_up:
        if now.source == "moved":
            yield go("the source refuses to return it", "stuck")
        else:
            promised = {"source_epoch": max(now.source_epoch, epoch)} if "promise" in world.repairs else {}
            yield go("the source returns it", "close: source", **{**_returned(now), **promised})
    elif at == "close: source" and now.source_up:
        if "released_first" in world.repairs and now.source == "moved" and not now.released:
            yield go("the source keeps the path until it has released", "stuck")
        else:
            yield go("the path is taken off the source", "close: target", source_key=False)
    elif at == "close: target" and now.target_up:
        yield go("the path is taken off the target", "close: record", target_key=False)
    elif at == "close: record":
        if over:
            yield go("records the end", "end", move="done")
        elif "released_first" in world.repairs and now.source == "moved":
            yield go("the source has moved it: it is not returned", "stuck")
        else:
            yield go("records that it has returned", "end", move="returned")


def _clear(now: State, go: Change) -> Iterator[Step]:
    """A person clears the run: it goes on with the same attempt, or begins another when that one has returned."""
    if not (now.acts and now.source_up and now.target_up):
        return
    if now.move == "switching":
        yield go("a person clears it", "start", False, acts=now.acts - 1)
    elif now.move == "returned" and now.source != "moved" and now.target == "receiving":
        epoch = now.move_epoch + 1
        opened = {
            "source_key": True,
            "target_key": True,
            "target_epoch": epoch,
            "run_epochs": (epoch, now.run_epochs[1]),
        }
        yield go(
            "a person clears it, another attempt begins", "start", False,
            acts=now.acts - 1, move="switching", move_epoch=epoch, **opened,
        )  # fmt: skip


# --- what must hold ---

PROPERTIES: dict[str, Callable[[State], bool]] = {
    "never two open copies": lambda s: not (s.source_open and s.target_open),
    "an open target has every acknowledged write": lambda s: not s.target_open or s.acknowledged <= s.on_target,
    "an open source has every acknowledged write": lambda s: not s.source_open or s.acknowledged <= s.on_source,
    "only what was compared is committed": lambda s: s.source != "moved" or s.on_source <= s.on_target,
    "the registry knows where it lives when all is quiet": lambda s: not _quiet(s) or _known(s),
    "a returned move has left nothing on the target": lambda s: s.move != "returned" or not _lives_on_target(s),
}
OPENS_AGAIN = "from everywhere some copy opens again without a person"


def _quiet(now: State) -> bool:
    ended = now.runs[0] == "end" and now.runs[1] in ("end", "off")
    return not now.operations and ended and now.source_up and now.target_up


def _known(now: State) -> bool:
    return not (now.source_open or now.target_open) or (now.lives_on == "target") == now.target_open


def _lives_on_target(now: State) -> bool:
    """The transit is wiped once a migration is cancelled, which needs that nothing of it has moved."""
    return now.target == "serving" or now.source == "moved"


@dataclass
class Found:
    """What a walk through every state found: the shortest way to a violation of each property that is violated."""

    states: int = 0
    violated: dict[str, list[str]] = field(default_factory=dict)


def walk(world: World) -> Found:
    """Goes everywhere. Ways are found shortest first, since the nearest states are looked at first."""
    first = begin(world)
    came: dict[State, tuple[State, str] | None] = {first: None}
    backwards: dict[State, list[State]] = {first: []}
    waiting = deque([first])
    while waiting:
        now = waiting.popleft()
        for step in steps(world, now):
            if step.then not in came:
                came[step.then] = (now, step.what)
                backwards[step.then] = []
                waiting.append(step.then)
            if step.by_itself:
                backwards[step.then].append(now)
    found = Found(len(came))
    for name, holds in PROPERTIES.items():
        if (bad := next((state for state in came if not holds(state)), None)) is not None:
            found.violated[name] = _way(came, bad)
    can_open = _before((state for state in came if state.source_open or state.target_open), backwards)
    if (shut := next((state for state in came if state not in can_open), None)) is not None:
        found.violated[OPENS_AGAIN] = _way(came, shut)
    return found


def _before(good: Iterable[State], backwards: dict[State, list[State]]) -> set[State]:
    """The states from which one of the good ones is reached."""
    reached = set(good)
    waiting = deque(reached)
    while waiting:
        for before in backwards[waiting.popleft()]:
            if before not in reached:
                reached.add(before)
                waiting.append(before)
    return reached


def _way(came: dict[State, tuple[State, str] | None], state: State) -> list[str]:
    way, at = [], state
    while (step := came[at]) is not None:
        at, what = step
        way.append(what)
    return [*reversed(way), f"then: {state._asdict()}"]
