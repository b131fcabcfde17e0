"""A host's own server made ready for moves, and as it was again: a front stands before its web server, the mail servers
ask our tables first, and a reload of PHP cuts nobody. Visitors notice neither.

Whatever is to be led somewhere runs there before, and nothing ends before nobody is led to it any more.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from ...account.accounts import Account, account_path, all_accounts, standing, unreadable
from ...host.system import RUNTIME, locked, refuse, run, write_durably
from .. import LAYOUT, in_force
from . import answers, copied_certificates, files, front, mail, php_reloads, web_server
from .files import Files
from .reading.tree import Tree

_TIMER = "transhumance-certificates.timer"
_PORTS = (24080, 24443, 8081)
"""Those that the front listens on."""
_SOFT_STOP_SECONDS = 150
_RULES = "/etc/transhumance/front/redirect.nft"
_READ_AT_ITS_BEGIN = (".cfg", ".lua")


@dataclass(frozen=True)
class _Step:
    """What is done, and what undoes it, whatever of it was done."""

    do: Callable[[], None]
    undo: Callable[[], None]


def prepare(given: Files, fronts: Sequence[str]) -> list[str]:
    """Make this server ready, by these files; `fronts`: where the other servers' fronts are. Can be repeated, with
    other files too; what fails the first time is undone. Gives what a person has still to do, a sentence each."""
    with locked(RUNTIME / "prepare.lock"):
        again = files.are_here()
        _require_fit(again)
        to_do: list[str] = []
        with ExitStack() as undoing:
            for step in _steps(given, fronts, to_do):
                if not again:
                    undoing.callback(step.undo)
                step.do()
            undoing.pop_all()
        return to_do


def unprepare() -> None:
    """Take all of it away again. Refused while an account would not be served without it."""
    with locked(RUNTIME / "prepare.lock"):
        if not files.are_here():
            return
        accounts = all_accounts()
        _require_let_go(accounts)
        for account in accounts:
            # It goes on as the host made it.
            account_path(account.name).unlink()
            shutil.rmtree(account.directory)
        with ExitStack() as undoing:
            for step in _steps({}, (), []):
                undoing.callback(step.undo)


def _require_fit(again: bool) -> None:
    accounts = all_accounts()
    if in_force() == "native" and accounts:
        refuse("is_native", f"This server has the native layout, and {accounts[0].name} on it: it needs no front.")
    if held := [account.name for account in accounts if standing(account.name).state == "held"]:
        refuse("account_in_the_way", f"The account {held[0]} is held just now; try again in a moment.")
    for sentence in web_server.unfit(Tree()):
        refuse("unfit", sentence)
    if not again and (taken := sorted(web_server.listened_at(_PORTS))):
        refuse("port_taken", f"Something listens on port {taken[0]} here, which the front needs; give it another one.")


def _require_let_go(accounts: list[Account]) -> None:
    for name, why in unreadable().items():
        refuse("account_in_the_way", f"The account {name} cannot be read: {why}")
    for account in accounts:
        state = standing(account.name)
        if state.state != "serving" or state.engines or not account.adopted.exists():
            refuse(
                "account_in_the_way",
                f"The account {account.name} is {state.state} here and needs the front: move it home, or remove it"
                " here, first.",
            )


def _steps(given: Files, fronts: Sequence[str], to_do: list[str]) -> Iterator[_Step]:
    """What makes up a prepared server, in order."""
    drop_in, of_php, plain = files.sorted_out(given)
    new: set[str] = set()
    yield _Step(lambda: new.update(_lay_down(plain, fronts)), files.take_away)
    yield _Step(lambda: web_server.tell_who_visits(drop_in), web_server.tell_no_longer)
    yield _Step(mail.lay_down, mail.take_away)
    yield _Step(lambda: _begin_front(new), _end_front)
    yield _Step(lambda: to_do.extend(php_reloads.let_end(of_php)), php_reloads.take_away)
    yield _Step(_put_in_force, lambda: LAYOUT.unlink(missing_ok=True))


def _lay_down(plain: Files, fronts: Sequence[str]) -> set[str]:
    new = files.lay_down(plain)
    files.believe(fronts)
    for sentence in copied_certificates.copy():
        refuse("bad_certificate", sentence)
    return new


def _begin_front(new: set[str]) -> None:
    """Have it run as its files say, those that are new too, and lead visitors there; refused, and so undone, where
    sites answer otherwise."""
    before = answers.of_sites()
    run(["systemctl", "enable", "--quiet", front.UNIT, _TIMER])
    if front.FRONT.runs():
        # One that gives way to another finishes what it has, for a while: what lasts longer is cut.
        if any(path.endswith(_READ_AT_ITS_BEGIN) for path in new):
            run(["systemctl", "reload", front.UNIT])
        run(["nft", "--file", _RULES])
    else:
        run(["systemctl", "start", front.UNIT])
    run(["systemctl", "start", _TIMER])
    for sentence in answers.changed(before):
        refuse("answers_otherwise", sentence)


def _end_front() -> None:
    """Nobody is led to it from here on, and it ends when it has finished what it has."""
    run(["systemctl", "disable", "--quiet", "--now", _TIMER], check=False)
    run(["systemctl", "stop", front.UNIT], timeout=_SOFT_STOP_SECONDS)
    run(["systemctl", "disable", "--quiet", front.UNIT], check=False)


def _put_in_force() -> None:
    write_durably(LAYOUT, "classic\n", 0o644)
    front.render_maps()
