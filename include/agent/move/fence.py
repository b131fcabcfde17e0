"""The fence: what keeps an account to one writable copy, whatever dies or is cut off.

Its truth is the state file; everything else follows that.

hold -> return, or hold -> commit -> (release on the other server) -> forward. A hold ends by itself at its
deadline; a commit is one durable rename and the only step that cannot be undone.

The databases of one engine can move alone: the account is held as ever, the commit writes into its state that they
live elsewhere, and forward opens the account again where it is, with its programs led to them.
"""

import time
from collections.abc import Callable, Collection
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from ..account.accounts import ENGINES, Account, State, guarded, load, part_name, put_state, state_of, sync_state, whole
from ..channel import pairing
from ..channel.peer import Peer, known_peer
from ..host import processes, server_role, system
from ..host.system import AGENT, failpoint, refuse, run
from ..layouts import front, mail, php, reboot_lines
from ..stores.files.store import FILES
from ..stores.store import Engine
from . import redirect, stores

DRAIN_SECONDS = 1.0

Timer = Callable[[str], Any]
Then = Callable[[str], None]


def _untimed(_name: str) -> Any:
    return nullcontext()


def _nothing(_part: str) -> None:
    pass


# --- hold and return ---


def hold(
    name: str,
    move: str,
    epoch: int,
    seconds: float,
    timer: Timer = _untimed,
    then: Then = _nothing,
    engines: Collection[Engine] = stores.ENGINES,
) -> dict[str, int]:
    """Stop every writer of the account and keep its visitors waiting, for `seconds` at most.

    `then(part)` is called for "files" and each of the `engines` as soon as nothing writes that part any more, in a
    thread each; all have ended when this ends. Repeated by the same move it starts over with a new deadline. A failure
    returns the account. Gives what was cut short: {"requests", "processes"}.
    """
    if not 1 <= seconds <= 85:
        refuse("bad_seconds", "A hold lasts from 1 to 85 seconds: longer than that no visitor's request is kept.")
    with timer("deadline"):
        _begin(name, move, epoch, seconds)
    try:
        account = load(name)
        with timer("front"):
            front.hold(account)
            cut = {"requests": php.drain(account, DRAIN_SECONDS), "processes": 0}

        def still(part: str, stop: Callable[[Account], Any]) -> None:
            # Shared: a return waits for it, and nothing is stopped after a return.
            with timer(f"{part} still"), guarded(name, shared=True):
                _require_held(name, move, epoch)
                found = stop(account)
            if part == "files":
                cut["processes"] = found
            then(part)

        parts = {"files": _stop_processes, **{engine.name: engine.hold for engine in engines}}
        system.side_by_side(*(partial(still, part, stop) for part, stop in parts.items()))
        failpoint("held")
        return cut
    except BaseException:
        if state_of(name).state != "moved":
            return_(name, move, epoch)
        raise


def _begin(name: str, move: str, epoch: int, seconds: float) -> None:
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
        _refuse_leaving(name, state)
        if state.returning:
            refuse("returning", f"The account {name} is being returned; try again in a moment.")
        arm(name, seconds)
        saved = state.saved if state.state == "held" else {"expiry": system.shadow_fields(name)[1]}
        held = State("held", epoch, move, time.time() + seconds, saved=saved, since=time.time(), engines=state.engines)
        put_state(name, held)


def leaving(state: State) -> str | None:
    """The engine whose databases have moved by a commit after which nothing was opened yet."""
    return next((engine for engine, there in state.engines.items() if not there["released"]), None)


def _refuse_leaving(name: str, state: State) -> None:
    if leaving(state):
        refuse("committed", f"Databases of the account {name} have moved; from here it only goes forward.")


def refuse_stale(name: str, state: State, move: str, epoch: Any) -> None:
    """What ends an attempt of a move writes its epoch down without the move (`give_up`), and what begins a later one
    writes down the later epoch (`admit`): so an operation that outlived its attempt is told here."""
    if not isinstance(epoch, int) or epoch < state.epoch or (epoch == state.epoch and state.move != move):
        refuse("stale_epoch", f"The account {name} is at epoch {state.epoch} here; epoch {epoch} is over.")


def committed(state: State, move: str) -> bool:
    """Whether this move, of the account or of an engine, is past its point of no return."""
    whole_account = (state.state, state.move) == ("moved", move)
    return whole_account or any(there["move"] == move for there in state.engines.values())


def released(state: State, move: str) -> bool:
    """Whether the other server has opened what this move, past its point of no return here, brought there."""
    if (state.state, state.move) == ("moved", move):
        return state.released
    return all(there["released"] for there in state.engines.values() if there["move"] == move)


def _require_held(name: str, move: str, epoch: int) -> State:
    """By this attempt: one of another epoch has compared another hold."""
    state = state_of(name)
    if (state.state, state.move, state.epoch) != ("held", move, epoch) or state.returning:
        refuse("not_held", f"The account {name} is {state.state} here, not held by move {move}; hold it again.")
    _refuse_leaving(name, state)
    return state


def _stop_processes(account: Account) -> int:
    """Mail, PHP, cron and logins end; how many processes had to be ended."""
    mail.follow(account)
    mail.drain(account)
    return _end_programs(account)


def _end_programs(account: Account) -> int:
    php.stop(account)
    system.set_crontab_aside(account.name, account.directory / "crontab")
    system.set_expiry(account.name, "1")
    return processes.end_all(account.name, account.uid)


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
    _refuse_leaving(name, state)
    state = _reopen(load(name))
    _rest(name)
    return state


def give_up(name: str, move: str, epoch: int) -> State:
    """End this attempt of a move: a hold of it is returned, and from here on none of it or of one before begins or
    commits, whatever of it still runs. Refused once it has committed; nothing happens when a later one has begun."""
    with guarded(name):
        state = state_of(name)
        if committed(state, move):
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
        if committed(state, move) or (state.move, state.epoch) == (move, epoch):
            return state
        refuse_stale(name, state, move, epoch)
        if state.state == "held":
            state = _return(name, state)
        if state.state != "serving":
            refuse("wrong_state", f"The account {name} is {state.state} here; only one that serves can leave.")
        return put_state(name, replace(state, epoch=epoch, move=move))


def _reopen(account: Account) -> State:
    """Let everybody in again where the account is; what is to be done after that is in nobody's way (`_rest`)."""
    state = state_of(account.name)
    # From here on no commit can come between, not even by a process that slept.
    state = put_state(account.name, replace(state, returning=True))
    for engine in stores.ENGINES:
        # Databases that have left stay locked here.
        if engine.name not in state.engines:
            engine.unhold(account)
    system.set_expiry(account.name, state.saved.get("expiry", ""))
    serving = State("serving", state.epoch, state.move, since=time.time(), engines=state.engines)
    redirect.open_sockets(account)
    php.start(account)
    _start_crontab(account)
    state = put_state(account.name, serving)
    _show(account)
    return state


def _rest(name: str) -> None:
    """What waited during a hold is tried again, and nothing more has to happen by itself."""
    mail.flush()
    disarm(name)


def open_account(account: Account) -> None:
    """Everything an account that serves here needs; each step may have been done before."""
    front.render_sites()
    if not account.part:
        _start_processes(account)
    front.render_maps()
    mail.follow(account)


def _start_processes(account: Account) -> None:
    system.set_expiry(account.name, state_of(account.name).saved.get("expiry", ""))
    redirect.open_sockets(account)
    php.start(account)
    _start_crontab(account)


def _start_crontab(account: Account) -> None:
    """cron has the crontab again; what runs since its boot was ended or has never begun here, so it is begun.

    One that was not set aside is cron's own matter: nothing of it was ended, or this is a boot."""
    crontab = system.bring_crontab_back(account.name, account.uid, account.directory / "crontab")
    if crontab is not None:
        reboot_lines.start(account, crontab)


def _show(account: Account) -> None:
    """Everybody is sent where the account's state says."""
    front.set_entry(account)
    mail.follow(account)


# --- commit, release, forward ---


def commit(name: str, move: str, epoch: int, figures: dict[str, Any]) -> dict[str, Any]:
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
        state = put_state(name, replace(moved, figures=figures, since=time.time()))
        failpoint("committed")
        return record(name, state)


def _require_time(name: str, move: str, epoch: int) -> State:
    """The state of an account that is held by this attempt, for a commit that is still in time."""
    state = _require_held(name, move, epoch)
    if state.deadline is None or time.time() >= state.deadline:
        refuse("deadline_over", f"The hold of {name} is over; it returns by itself. Start the switch again.")
    return state


def require_whole(name: str) -> None:
    """Refuse to move or copy an account as a whole of which a part lives elsewhere."""
    for engine, there in state_of(name).engines.items():
        refuse(
            "engine_elsewhere",
            f"The {engine} databases of {name} live on {there['to']}, so the account cannot be moved or copied as a "
            "whole; give the stores that are here.",
        )


def commit_engine(name: str, move: str, epoch: int, engine: str, port: int, figures: dict[str, Any]) -> None:
    """The point of no return of one engine's databases: one durable rename. The account stays held until `forward`.

    `port`: where the other server's front takes what is led to them."""
    account = load(name)
    with guarded(name), redirect.allotted(account, engine) as lead_port:
        state = _require_time(name, move, epoch)
        other = known_peer(move)
        failpoint("before_commit")
        there = {
            "to": other["address"],
            "peer": other,
            "port": port,
            "lead_port": lead_port,
            "move": move,
            "epoch": state.epoch,
            "released": False,
            "left": account.part_of(engine).to_json()[engine],
            "figures": figures,
            "since": time.time(),
        }
        put_state(name, replace(state, deadline=None, engines={**state.engines, engine: there}))
        failpoint("committed")


def record(name: str, state: State) -> dict[str, Any]:
    """What proves to the other server that this move is committed here."""
    engine = leaving(state)
    if engine:
        there = state.engines[engine]
        name, committed_at = part_name(name, engine), there["since"]
    else:
        committed_at = state.since
    known = {"account": name, "move": state.move, "epoch": state.epoch, "committed_at": committed_at}
    return {**known, "proof": pairing.proof(state.move or "")}


def release(name: str, move: str, epoch: int, commit_record: Any, timer: Timer = _untimed) -> State:
    """On the target, after the source's commit: open the copy that came. Repeated, it opens what is still shut."""
    server_role.refuse_to_serve(name)
    with guarded(name):
        account, state = load(name), state_of(name)
        if (state.move, state.epoch) != (move, epoch) or state.state not in ("receiving", "serving"):
            refuse(
                "wrong_move",
                f"The account {name} is {state.state} here, at epoch {state.epoch} of {state.move}.",
            )
        named = commit_record if isinstance(commit_record, dict) else {}
        if (named.get("account"), named.get("move"), named.get("epoch")) != (name, move, epoch):
            refuse("no_commit", f"Nothing proves that the source has committed the move {move}; it stays shut.")
        if state.state == "receiving":
            with timer("opened"), pairing.no_data_session(name):
                saved = {"expiry": state.saved.get("expiry", "")}
                state = put_state(name, State("serving", epoch, move, saved=saved, since=time.time()))
        works: dict[str, Callable[[], Any]]
        if account.part:
            works = {account.part: partial(stores.engine_named(account.part).finish, account)}
        else:
            works = {store.name: partial(store.finish, account) for store in (*stores.ENGINES, FILES)}
            works["processes"] = partial(_start_processes, account)
            works["mail"] = partial(mail.follow, account)
        works["proof"] = partial(pairing.keep_proof, move, named.get("proof"))

        def timed(what: str) -> None:
            with timer(what):
                works[what]()

        system.side_by_side(*(partial(timed, what) for what in works))
        # Who comes in finds everything open: the front is the last.
        with timer("front"):
            front.set_entry(account)
        return state


def forward(name: str, figures: dict[str, Any] | None = None) -> State:
    """On the source, after the release: send visitors and mail to the other server; keep the move's figures."""
    with guarded(name):
        state = state_of(name)
        _require_moved(name, state)
        state = put_state(name, replace(state, released=True, figures=figures or state.figures))
        _show(load(name))
        _rest(name)
        return state


def let_go(name: str) -> None:
    """After the release the waiting visitors go on to the other server; the rest of `forward` is in no one's way."""
    with guarded(name):
        state = state_of(name)
        if state.state == "moved" and not state.released:
            put_state(name, replace(state, released=True))
        front.set_entry(load(name))


def _require_moved(name: str, state: State) -> None:
    if state.state != "moved":
        refuse("not_moved", f"The account {name} is {state.state} here; it has not moved.")


def lead(name: str) -> None:
    """After an engine's commit: lock for good what stays behind, and lead the programs to where the databases are.

    PHP may run already; its gate is opened by `let_back`, when the other server has opened the databases."""
    account, engine = load(name), leaving(state_of(name))
    if engine:

        def lead_programs() -> None:
            redirect.begin(account)
            php.warm(account)

        system.side_by_side(partial(stores.engine_named(engine).lock, whole(name)), lead_programs)


def let_back(name: str) -> None:
    """After the release of an engine's databases: the account serves here again."""
    with guarded(name):
        state = state_of(name)
        if engine := leaving(state):
            there = {**state.engines[engine], "released": True}
            put_state(name, replace(state, engines={**state.engines, engine: there}))
        if state.state == "held":
            _reopen(load(name))


def forward_engine(name: str, engine: str, figures: dict[str, Any]) -> None:
    """`let_back`, and what is in nobody's way after it; keeps the move's figures."""
    let_back(name)
    with guarded(name):
        state = state_of(name)
        there = {**state.engines[engine], "figures": figures}
        put_state(name, replace(state, engines={**state.engines, engine: there}))
        _rest(name)


def drop_left(name: str, engine: str) -> None:
    """Drop what an engine's move has left behind here, locked; can be repeated."""
    with guarded(name):
        state = state_of(name)
        there = state.engines.get(engine)
        if not there or not there["released"]:
            refuse("not_moved", f"The {engine} databases of {name} live on this server; nothing is dropped.")
        if there["left"] is None:
            return
        nothing = whole(name).without(ENGINES).to_json()
        stores.engine_named(engine).discard(Account.from_json({**nothing, engine: there["left"]}))
        put_state(name, replace(state, engines={**state.engines, engine: {**there, "left": None}}))


# --- by itself ---


def arm(name: str, seconds: float) -> None:
    """At the deadline the host itself settles the account, whoever is gone by then."""
    disarm(name)
    unit = f"transhumance-return-{name}"
    run(
        [
            "systemd-run",
            f"--unit={unit}",
            f"--on-active={seconds:.3f}",
            "--timer-property=AccuracySec=100ms",
            "--quiet",
        ]
        # A return that is killed begins again.
        + ["--property=Restart=on-failure", "--property=RestartSec=2", "--property=StartLimitIntervalSec=0"]
        + ["/usr/bin/python3", str(AGENT), "settle", name]
    )


def disarm(name: str) -> None:
    unit = f"transhumance-return-{name}"
    run(["systemctl", "stop", f"{unit}.timer"], check=False)
    run(["systemctl", "reset-failed", f"{unit}.timer", f"{unit}.service"], check=False)


def settle(name: str) -> State:
    """What the deadline and the boot do: a held account returns, a committed one goes forward."""
    state = state_of(name)
    if engine := leaving(state):
        go_forward_engine(name, engine)
    elif state.state == "held":
        return return_(name)
    elif state.state == "moved" and not state.released and state.peer:
        go_forward(name)
    return state_of(name)


def release_peer(name: str, peer: Peer | None = None) -> list[dict[str, Any]]:
    """Open the account on the other server; it must be committed here. `peer`: a connection that stands.

    Gives the steps that it took there: [{"name", "seconds"}]."""
    state = state_of(name)
    engine = leaving(state)
    known = (state.engines[engine]["peer"] if engine else state.peer) or {}
    if not engine:
        _require_moved(name, state)
    other = peer or Peer(state.move or "", known.get("address"), known.get("host_keys"), state.epoch)
    return other.call("release", {"epoch": state.epoch, "commit_record": record(name, state)})["steps"]


def go_forward(name: str) -> dict[str, Any]:
    """Release the committed account on the peer, then forward to it; the move's figures. Can be repeated."""
    state = state_of(name)
    if state.released:
        return forward(name).figures
    sync_state(name)
    release_peer(name)
    held = (time.time() - (state.figures.get("held_at") or state.since or time.time())) * 1000
    verified = {**state.figures.get("verified", {}), "messages": FILES.messages(load(name))}
    return forward(name, {**state.figures, "verified": verified, "held_ms": round(held, 1)}).figures


def go_forward_engine(name: str, engine: str) -> dict[str, Any]:
    """Release the committed databases on the other server and open the account here; the move's figures. Repeatable."""
    there = state_of(name).engines[engine]
    figures = there["figures"]
    if not there["released"]:
        sync_state(name)
        system.side_by_side(partial(release_peer, name), partial(lead, name))
        figures = {**figures, "held_ms": round((time.time() - figures["held_at"]) * 1000, 1)}
    forward_engine(name, engine, figures)
    return figures


def learn(name: str, move: str, epoch: int, to: str, peer: dict[str, Any] | None = None) -> State:
    """The account has left with this move, which this server does not know (any more): it is passed on from here."""
    with guarded(name):
        state = state_of(name)
        if state.state in ("serving", "held") and state.epoch <= epoch and not leaving(state):
            account = load(name)
            for engine in stores.ENGINES:
                if engine.name not in state.engines:
                    engine.hold(account)
            saved = state.saved if state.state == "held" else {"expiry": system.shadow_fields(name)[1]}
            _end_programs(account)
            gone = State("moved", epoch, move, to=to, peer=peer, saved=saved, released=True, since=time.time())
            state = put_state(name, replace(gone, engines=state.engines))
            _show(account)
        return state
