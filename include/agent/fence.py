"""The fence: one writable copy of an account. Its truth is the state file; everything else follows that.

hold -> return, or hold -> commit -> (release on the other server) -> forward. A hold ends by itself at its
deadline; a commit is one durable rename and the only step that cannot be undone.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from . import addresses, files, front, mail, mariadb, pairing, php, postgres, system
from .accounts import Account, State, account_path, all_accounts, guarded, load, put_state, save, state_of
from .system import AGENT, failpoint, refuse, run

DRAIN_SECONDS = 1.0

Timer = Callable[[str], Any]


def _untimed(_name: str) -> Any:
    return nullcontext()


# --- create, receive, remove ---


def create(account: Account, epoch: int, password_hash: str | None) -> State:
    """Make an account that serves here. Again with another account file: what changed is taken over."""
    with guarded(account.name):
        state = state_of(account.name)
        if state.state not in ("absent", "serving"):
            refuse(
                "wrong_state",
                f"The account {account.name} is {state.state} here; only a serving one is changed.",
            )
        _make_shell(account)
        if password_hash is not None:
            system.set_password_hash(account.name, password_hash)
        if state.state == "absent":
            state = put_state(account.name, State("serving", epoch=max(epoch, state.epoch), since=time.time()))
        front.load_certificates(account)
        _open(account)
        mail.render(certificates=True)
        return state


def receive(account: Account, move: str, epoch: int) -> State:
    """Make the inert shell of an account that will come here in this move."""
    with guarded(account.name):
        state = state_of(account.name)
        if state.state == "receiving" and (state.move, state.epoch) == (move, epoch):
            _make_shell(account)
            return state
        if epoch < state.epoch or (epoch == state.epoch and state.state != "absent"):
            refuse(
                "stale_epoch",
                f"The account {account.name} is {state.state} here at epoch {state.epoch}; "
                f"a move of epoch {epoch} is over.",
            )
        if state.state in ("serving", "held"):
            refuse("wrong_state", f"The account {account.name} is {state.state} here; it cannot be received.")
        _make_shell(account)
        system.set_expiry(account.name, "1")
        # `to` stays: an account that comes back is still forwarded until it is released here.
        fresh = State("receiving", epoch=epoch, move=move, to=state.to, since=time.time())
        state = put_state(account.name, fresh)
        front.render_sites()
        front.render_maps()
        mail.render()
        php.warm(account)
        return state


def _make_shell(account: Account) -> None:
    """Unix user, home and the account file; refused where another account has a name, a uid or a domain."""
    for other in all_accounts():
        if other.name == account.name:
            continue
        if other.uid == account.uid or other.gid == account.gid:
            refuse(
                "uid_taken",
                f"The uid or gid of {account.name} is that of {other.name} here; change one of them.",
            )
        if both := sorted({*account.domains} & {*other.domains}):
            refuse(
                "domain_taken",
                f"The domain {both[0]} belongs to the account {other.name} here; take it away first.",
            )
        if ports := sorted({*account.ports.values()} & {*other.ports.values()}):
            refuse(
                "port_taken",
                f"The port {ports[0]} belongs to the account {other.name} here; give {account.name} another one.",
            )
    system.create_user(account.name, account.uid, account.gid, account.home, account.shell)
    save(account)
    account.directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def remove(name: str) -> None:
    """Take away everything of an account that has left, or whose coming was given up."""
    with guarded(name):
        state = state_of(name)
        if state.state == "absent" and not account_path(name).exists():
            return
        if state.state not in ("moved", "receiving", "absent") or (state.state == "moved" and not state.released):
            refuse("wrong_state", f"The account {name} is {state.state} here; only one that has left is removed.")
        account = load(name)
        with pairing.no_data_session(name):
            php.stop(account)
            system.end_processes(account.uid)
            for module in (postgres, mariadb, files):
                module.discard(account)
            front.drop_certificates(account)
            system.remove_user(name, account.home)
            (account.directory / "crontab").unlink(missing_ok=True)
            put_state(name, State("absent", epoch=state.epoch, since=time.time()))
            account_path(name).unlink()
        front.render_sites()
        front.render_maps()
        php.forget(account)
        mail.render(certificates=True)


# --- hold and return ---


def hold(name: str, move: str, epoch: int, seconds: float, timer: Timer = _untimed) -> State:
    """Stop every writer of the account and keep its visitors waiting, for `seconds` at most.

    Repeated by the same move it starts over with a new deadline. A failure returns the account.
    """
    if not 1 <= seconds <= 85:
        refuse("bad_seconds", "A hold lasts from 1 to 85 seconds: longer than that no visitor's request is kept.")
    with guarded(name):
        account, state = load(name), state_of(name)
        if state.state not in ("serving", "held") or (state.state == "held" and state.move != move):
            refuse(
                "wrong_state",
                f"The account {name} is {state.state} here in move {state.move}; it cannot be held.",
            )
        if epoch < state.epoch or (epoch == state.epoch and state.move != move):
            refuse("stale_epoch", f"The account {name} is at epoch {state.epoch} here; epoch {epoch} is over.")
        if state.returning:
            refuse("returning", f"The account {name} is being returned; try again in a moment.")
        deadline = time.time() + seconds
        with timer("deadline"):
            arm(name, seconds)
        saved = state.saved if state.state == "held" else {"expiry": system.shadow_fields(name)[1]}
        state = State("held", epoch, move, deadline, saved=saved, since=time.time())
        put_state(name, state)
        try:
            return _stop_writers(account, state, timer)
        except BaseException:
            _return(account)
            raise


def _stop_writers(account: Account, state: State, timer: Timer) -> State:
    with timer("front"):
        front.hold(account)
        cut = php.drain(account, DRAIN_SECONDS)
    with timer("mail"):
        mail.render()
        mail.drain(account)
    with timer("php"):
        php.stop(account)
    with timer("processes"):
        system.set_crontab_aside(account.name, account.directory / "crontab")
        system.set_expiry(account.name, "1")
        ended = system.end_processes(account.uid)
    saved = {**state.saved, "requests_cut": cut, "processes_ended": ended}
    for module, key in ((postgres, "postgresql"), (mariadb, "mariadb")):
        if key not in saved:
            with timer(key):
                # What a hold changes is known before it is changed only by the module; saved as soon as it tells.
                saved[key] = module.hold(account)
            state = put_state(account.name, replace(state, saved=saved))
    failpoint("held")
    return state


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
    postgres.unhold(account, state.saved.get("postgresql", {}))
    mariadb.unhold(account, state.saved.get("mariadb", {}))
    system.set_expiry(account.name, state.saved.get("expiry", ""))
    serving = State("serving", state.epoch, state.move, since=time.time())
    system.bring_crontab_back(account.name, account.uid, account.directory / "crontab")
    php.start(account)
    state = put_state(account.name, serving)
    front.render_maps()
    mail.render()
    mail.flush()
    disarm(account.name)
    return state


def _open(account: Account) -> None:
    """Everything an account that serves here needs; each step may have been done before."""
    system.set_expiry(account.name, state_of(account.name).saved.get("expiry", ""))
    system.bring_crontab_back(account.name, account.uid, account.directory / "crontab")
    front.render_sites()
    php.start(account)
    front.render_maps()
    mail.render()


# --- commit, release, forward ---


def commit(name: str, move: str, figures: dict[str, Any]) -> dict[str, Any]:
    """The point of no return: one durable rename. Returns the commit record that releases the other copy."""
    with guarded(name):
        state = state_of(name)
        if state.state == "moved" and state.move == move:
            return record(name, state)
        if state.state != "held" or state.move != move or state.returning:
            refuse(
                "not_held",
                f"The account {name} is {state.state} here, not held by move {move}; hold it again.",
            )
        if state.deadline is None or time.time() >= state.deadline:
            refuse("deadline_over", f"The hold of {name} is over; it returns by itself. Start the switch again.")
        peer = pairing.known_peer(move)
        failpoint("before_commit")
        moved = replace(state, state="moved", deadline=None, to=peer["address"], peer=peer)
        state = put_state(name, replace(moved, figures=figures, since=time.time()))
        failpoint("committed")
        return record(name, state)


def record(name: str, state: State) -> dict[str, Any]:
    return {"account": name, "move": state.move, "epoch": state.epoch, "committed_at": state.since}


def release(name: str, move: str, epoch: int, commit_record: Any) -> State:
    """On the target, after the source's commit: open the copy that came. Repeated, it opens what is still shut."""
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
            with pairing.no_data_session(name):
                saved = {"expiry": state.saved.get("expiry", "")}
                state = put_state(name, State("serving", epoch, move, saved=saved, since=time.time()))
        for module in (postgres, mariadb):
            module.finish(account)
        _open(account)
        return state


def expect_expiry(name: str, expiry: str) -> None:
    """On the target: the expiry that the Unix user gets at the release."""
    with guarded(name):
        state = state_of(name)
        if state.state == "receiving" and state.saved.get("expiry", "") != expiry:
            put_state(name, replace(state, saved={**state.saved, "expiry": expiry}))


def forward(name: str, figures: dict[str, Any] | None = None) -> State:
    """On the source, after the release: send visitors and mail to the other server; keep the move's figures."""
    with guarded(name):
        state = state_of(name)
        if state.state != "moved":
            refuse("not_moved", f"The account {name} is {state.state} here; it has not moved.")
        if not state.released:
            state = put_state(name, replace(state, released=True, figures=figures or state.figures))
        front.render_maps()
        mail.render()
        mail.flush()
        disarm(name)
        return state


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


def release_peer(name: str) -> None:
    """Open the account on the other server; it must be committed here."""
    state = state_of(name)
    if state.state != "moved" or not state.peer:
        refuse("not_moved", f"The account {name} is {state.state} here; it has not moved.")
    peer = pairing.Peer(state.move or "", state.peer["address"], state.peer["host_keys"])
    peer.call("release", {"epoch": state.epoch, "commit_record": record(name, state)})


def go_forward(name: str) -> dict[str, Any]:
    """Release the committed account on the peer, then forward to it; the move's figures. Can be repeated."""
    state = state_of(name)
    if state.released:
        return forward(name).figures
    release_peer(name)
    held = (time.time() - state.figures.get("held_at", state.since)) * 1000
    return forward(name, {**state.figures, "held_ms": round(held, 1)}).figures


def boot() -> None:
    """After a boot: held accounts return, serving ones get their PHP, addresses are accepted again."""
    addresses.accept_known()
    for account in all_accounts():
        state = state_of(account.name)
        if state.state == "serving":
            with guarded(account.name):
                _open(account)
        else:
            try:
                settle(account.name)
            except system.Refused:
                # The peer is away: the timer that is armed here tries again until it is back.
                arm(account.name, 2)
