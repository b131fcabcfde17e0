"""The fence: one writable copy of an account. Its truth is the state file; everything else follows that.

hold -> return, or hold -> commit -> (release on the other server) -> forward. A hold ends by itself at its
deadline; a commit is one durable rename and the only step that cannot be undone.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from . import addresses, files, front, mail, mariadb, pairing, php, postgres, system, test_copy, test_server
from .accounts import Account, State, all_accounts, guarded, load, put_state, state_of
from .peer import Peer, known_peer
from .system import AGENT, failpoint, refuse, run

DRAIN_SECONDS = 1.0

Timer = Callable[[str], Any]
Then = Callable[[str], None]


def _untimed(_name: str) -> Any:
    return nullcontext()


def _nothing(_part: str) -> None:
    pass


# --- hold and return ---


def hold(
    name: str, move: str, epoch: int, seconds: float, timer: Timer = _untimed, then: Then = _nothing
) -> dict[str, int]:
    """Stop every writer of the account and keep its visitors waiting, for `seconds` at most.

    `then(part)` is called for "files", "postgresql" and "mariadb" as soon as nothing writes that part any more, in a
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
                _require_held(name, move)
                found = stop(account)
            if part == "files":
                cut["processes"] = found
            then(part)

        parts = {"files": _stop_processes, "postgresql": postgres.hold, "mariadb": mariadb.hold}
        system.side_by_side(*(partial(still, part, stop) for part, stop in parts.items()))
        failpoint("held")
        return cut
    except BaseException:
        if state_of(name).state != "moved":
            return_(name, move)
        raise


def _begin(name: str, move: str, epoch: int, seconds: float) -> None:
    """Write down the hold and its deadline, which the host itself enforces from here on."""
    with guarded(name):
        state = state_of(name)
        if state.state not in ("serving", "held") or (state.state == "held" and state.move != move):
            refuse(
                "wrong_state",
                f"The account {name} is {state.state} here in move {state.move}; it cannot be held.",
            )
        if epoch < state.epoch or (epoch == state.epoch and state.move != move):
            refuse("stale_epoch", f"The account {name} is at epoch {state.epoch} here; epoch {epoch} is over.")
        if state.returning:
            refuse("returning", f"The account {name} is being returned; try again in a moment.")
        arm(name, seconds)
        saved = state.saved if state.state == "held" else {"expiry": system.shadow_fields(name)[1]}
        put_state(name, State("held", epoch, move, time.time() + seconds, saved=saved, since=time.time()))


def _require_held(name: str, move: str) -> State:
    state = state_of(name)
    if state.state != "held" or state.move != move or state.returning:
        refuse("not_held", f"The account {name} is {state.state} here, not held by move {move}; hold it again.")
    return state


def _stop_processes(account: Account) -> int:
    """Mail, PHP, cron and logins end; how many processes had to be ended."""
    mail.follow(account)
    mail.drain(account)
    php.stop(account)
    system.set_crontab_aside(account.name, account.directory / "crontab")
    system.set_expiry(account.name, "1")
    return system.end_processes(account.uid)


def return_(name: str, move: str | None = None, epoch: int | None = None) -> State:
    """End a hold: the account serves here again. Nothing happens to one that is not held (by that move)."""
    with guarded(name):
        state = state_of(name)
        if state.state == "moved" and move == state.move:
            refuse("committed", f"The account {name} has moved; from here it only goes forward.")
        if state.state != "held" or (move and state.move != move) or (epoch is not None and state.epoch != epoch):
            return state
        return _return(load(name))


def _return(account: Account) -> State:
    state = state_of(account.name)
    # From here on no commit can come between, not even by a process that slept.
    state = put_state(account.name, replace(state, returning=True))
    postgres.unhold(account)
    mariadb.unhold(account)
    system.set_expiry(account.name, state.saved.get("expiry", ""))
    serving = State("serving", state.epoch, state.move, since=time.time())
    system.bring_crontab_back(account.name, account.uid, account.directory / "crontab")
    php.start(account)
    state = put_state(account.name, serving)
    _show(account)
    mail.flush()
    disarm(account.name)
    return state


def open_account(account: Account) -> None:
    """Everything an account that serves here needs; each step may have been done before."""
    front.render_sites()
    _start_processes(account)
    front.render_maps()
    mail.follow(account)


def _start_processes(account: Account) -> None:
    system.set_expiry(account.name, state_of(account.name).saved.get("expiry", ""))
    system.bring_crontab_back(account.name, account.uid, account.directory / "crontab")
    php.start(account)


def _show(account: Account) -> None:
    """Everybody is sent where the account's state says."""
    front.set_entry(account)
    mail.follow(account)


# --- commit, release, forward ---


def commit(name: str, move: str, figures: dict[str, Any]) -> dict[str, Any]:
    """The point of no return: one durable rename. Returns the commit record that releases the other copy."""
    with guarded(name):
        state = state_of(name)
        if state.state == "moved" and state.move == move:
            return record(name, state)
        state = _require_held(name, move)
        if state.deadline is None or time.time() >= state.deadline:
            refuse("deadline_over", f"The hold of {name} is over; it returns by itself. Start the switch again.")
        other = known_peer(move)
        failpoint("before_commit")
        moved = replace(state, state="moved", deadline=None, to=other["address"], peer=other)
        state = put_state(name, replace(moved, figures=figures, since=time.time()))
        failpoint("committed")
        return record(name, state)


def record(name: str, state: State) -> dict[str, Any]:
    return {"account": name, "move": state.move, "epoch": state.epoch, "committed_at": state.since}


def release(name: str, move: str, epoch: int, commit_record: Any, timer: Timer = _untimed) -> State:
    """On the target, after the source's commit: open the copy that came. Repeated, it opens what is still shut."""
    test_server.refuse_to_serve(name)
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
        works = {
            "files": partial(files.finish, account),
            "postgresql": partial(postgres.finish, account),
            "mariadb": partial(mariadb.finish, account),
            "processes": partial(_start_processes, account),
            "mail": partial(mail.follow, account),
        }

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
        if state.state != "moved":
            refuse("not_moved", f"The account {name} is {state.state} here; it has not moved.")
        state = put_state(name, replace(state, released=True, figures=figures or state.figures))
        _show(load(name))
        mail.flush()
        disarm(name)
        return state


def let_go(name: str) -> None:
    """After the release the waiting visitors go on to the other server; the rest of `forward` is in no one's way."""
    with guarded(name):
        state = state_of(name)
        if state.state == "moved" and not state.released:
            put_state(name, replace(state, released=True))
        front.set_entry(load(name))


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
    if state.state == "held":
        return return_(name)
    if state.state == "moved" and not state.released and state.peer:
        go_forward(name)
    return state_of(name)


def release_peer(name: str, peer: Peer | None = None) -> list[dict[str, Any]]:
    """Open the account on the other server; it must be committed here. `peer`: a connection that stands.

    Gives the steps that it took there: [{"name", "seconds"}]."""
    state = state_of(name)
    if state.state != "moved" or not state.peer:
        refuse("not_moved", f"The account {name} is {state.state} here; it has not moved.")
    other = peer or Peer(state.move or "", state.peer["address"], state.peer["host_keys"])
    return other.call("release", {"epoch": state.epoch, "commit_record": record(name, state)})["steps"]


def go_forward(name: str) -> dict[str, Any]:
    """Release the committed account on the peer, then forward to it; the move's figures. Can be repeated."""
    state = state_of(name)
    if state.released:
        return forward(name).figures
    release_peer(name)
    held = (time.time() - state.figures.get("held_at", state.since)) * 1000
    verified = {**state.figures.get("verified", {}), "messages": files.messages(load(name))}
    return forward(name, {**state.figures, "verified": verified, "held_ms": round(held, 1)}).figures


def boot() -> None:
    """After a boot: held accounts return, serving ones get their PHP, addresses are accepted again."""
    addresses.accept_known()
    if test_server.domain() is not None:
        test_server.keep_in()
    for account in all_accounts():
        state = state_of(account.name)
        if state.state == "serving":
            with guarded(account.name):
                _tidy(account)
                open_account(account)
        elif state.state == "test":
            with guarded(account.name):
                test_copy.reopen(account)
        else:
            try:
                settle(account.name)
            except system.Refused:
                # The peer is away: the timer that is armed here tries again until it is back.
                arm(account.name, 2)


def _tidy(account: Account) -> None:
    """End what a crash has left: of a release here, and of a following that no move goes on with."""
    for store in (files, postgres, mariadb):
        store.finish(account)
        if not pairing.leaves(account.name):
            store.unfollow(account)
