"""What runs an account's PHP: the host's own pools of php-fpm, which other accounts' pools share a master with.

A pool cannot be stopped alone. It is shut by its socket's file, which is moved into a folder of root's: the pool goes
on listening, and nobody can connect. Its workers end with the account's other processes; the master makes new ones at
once, which are idle, since no request reaches them. The front is held before, and who was let in is waited for.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...account.accounts import Account
from ...host import kept, processes
from ...host.system import AGENT, refuse, run
from ...host.unix_sockets import Ages, connections
from . import extras, front

GATES = Path("/run/transhumance-gate")
_BESIDE = ".transhumance-gate"
"""The folder of a socket that lies on another file system than that."""
_PHP = "php-fpm"
_ACCEPTS = {"x86_64": {"43", "288"}, "aarch64": {"202", "242"}}
"""The numbers of the kernel's calls in which a worker waits for a request, by machine."""
LONG_REQUEST = 0.5
"""Seconds that a hold gives a request to a program of the account's own."""


def _gate(account: Account) -> Path:
    return GATES / account.name


def _shut_at(account: Account) -> Path:
    """Says since when the gate is shut, in the kernel's ticks since the boot; there only while it is."""
    return _gate(account) / "shut"


def _aside(account: Account, socket: Path) -> Path:
    """Where a socket lies while it is shut: a file moves within its file system only."""
    name = str(socket).strip("/").replace("/", "_")
    if os.stat(socket.parent).st_dev == os.stat(GATES).st_dev:
        return _gate(account) / name
    return socket.parent / _BESIDE / name


def _sockets(account: Account) -> list[tuple[Path, Path]]:
    """Each socket of its pools, and where that lies while it is shut."""
    _gate(account).mkdir(mode=0o700, parents=True, exist_ok=True)
    paths = [path for path in map(Path, extras.sockets(account)) if path.parent.is_dir()]
    return [(path, _aside(account, path)) for path in paths]


def _listening(account: Account) -> list[Path]:
    """The account's sockets, each where it lies now."""
    return [path for pair in _sockets(account) for path in pair if path.is_socket()]


# --- start and stop ---


def warm(account: Account) -> None:
    """The host's php-fpm runs anyway; where it listens is known from here on."""
    _sockets(account)


def start(account: Account) -> None:
    """Let requests into PHP again; those to a program of the account's own wait until that listens."""
    if any(site.app for site in account.sites):
        front.hold_app(account)
        kept.later(_await_app, account)
    for socket, aside in _sockets(account):
        if socket.is_socket():
            # php-fpm has been started again meanwhile, and listens anew.
            aside.unlink(missing_ok=True)
        elif aside.is_socket():
            aside.rename(socket)
    _shut_at(account).unlink(missing_ok=True)


def _await_app(account: Account) -> None:
    as_account = ["setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups", "--no-new-privs"]
    argv = [*as_account, "--", "/usr/bin/python3", str(AGENT), "await-app"]
    try:
        run(argv, check=False, env={"HOME": account.home})
    finally:
        front.let_app_go(account)


def shut(account: Account) -> None:
    """Let no further request into PHP; those in it go on."""
    for socket, aside in _sockets(account):
        aside.parent.mkdir(mode=0o700, exist_ok=True)
        if socket.is_socket():
            socket.rename(aside)
    if not _shut_at(account).exists():
        _shut_at(account).write_text(str(_ticks()))


def stop(account: Account) -> None:
    """Shut the gate and end the workers; what they still work on is cut, so `drain` comes before. The gate is shut no
    earlier: who was let in before the front was held must find it open."""
    shut(account)
    for number, patience in ((signal.SIGTERM, 1.0), (signal.SIGKILL, 5.0)):
        end = time.monotonic() + patience
        pids = processes.of_user(account.uid)
        ending = {pid for pid, _ in _workers(pids)} - spared(account, pids)
        for descriptor in filter(None, [processes.tell(pid, number) for pid in ending]):
            select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
            os.close(descriptor)


def spared(account: Account, pids: Collection[int]) -> set[int]:
    """Which of these processes of an account that is held may run: workers that were made after the gate was shut, as
    long as nobody is connected to them, or waits to be."""
    try:
        since = int(_shut_at(account).read_text())
    except (FileNotFoundError, ValueError):
        return set()
    workers = {pid for pid, began in _workers(pids) if began > since}
    return workers if workers and not under_way(account) else set()


def forget(account: Account) -> None:
    """Nothing stays of the gate of an account that is removed; its pools have gone with its extras."""
    shutil.rmtree(_gate(account), ignore_errors=True)


def _ticks() -> int:
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def _workers(pids: Collection[int]) -> Iterator[tuple[int, int]]:
    """Those of an account's processes that are workers of php-fpm, each with when it began. Whatever calls itself so is
    none: its parent is a php-fpm of root's, which makes nothing but workers."""
    for pid in pids:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
            parent = int(stat[1])
            program = os.readlink(f"/proc/{parent}/exe")
            if os.path.basename(program).startswith(_PHP) and os.readlink(f"/proc/{pid}/exe") == program:
                if processes.is_roots_alone(parent):
                    yield pid, int(stat[19])
        except (FileNotFoundError, ProcessLookupError):
            continue


# --- what runs in it ---


def told(account: Account, request: dict[str, Any]) -> str:
    """The beginning of a sentence that says what a hold would have to wait for."""
    return f"A request of {account.name} has run in PHP for {request['seconds']:.1f} s"


def under_way(account: Account) -> int:
    """How many requests are in the account's PHP, or wait for it at its sockets."""
    of_sockets = map(connections, _listening(account))
    return sum(len(accepted) + waiting for accepted, waiting in of_sockets)


@dataclass
class Requests:
    """What runs in an account's PHP, seen again and again: a request is as old as it has been seen, so one looks half a
    second before a hold. What it is for is not known, so none may be cut."""

    account: Account
    ages: dict[Path, Ages] = field(default_factory=dict)
    """Of the connections to each socket."""
    answered: dict[int, float] = field(default_factory=dict)
    """Since when a worker, by its number, has gone on with what is answered already."""

    def busy(self) -> list[dict[str, Any]]:
        """The requests in PHP, the oldest first: [{"seconds"}]; also those that are answered, and gone on with."""
        return _lasting(*self._look())

    def not_to_be_cut(self, older: float) -> list[dict[str, Any]]:
        """The requests, older than so many seconds, that a hold has to wait for; the oldest first. How old one is shows
        only while it is looked at: that takes as long, unless all that there are have ended before."""
        now, begun = self._look()
        first = now
        while begun and begun[0] <= first and now - first <= older:
            time.sleep(0.02)
            now, begun = self._look()
        return [request for request in _lasting(now, begun) if request["seconds"] > older]

    def _look(self) -> tuple[float, list[float]]:
        """The moment of this look, and since when each request has been seen, the oldest first."""
        now, begun, accepted = time.monotonic(), list[float](), set[int]()
        for socket in _listening(self.account):
            inodes, waiting = connections(socket)
            accepted |= {*inodes}
            begun += self.ages.setdefault(socket, Ages()).look(inodes, waiting, now)
        working = [pid for pid, _ in _workers(processes.of_user(self.account.uid)) if _is_at_work(pid)]
        answered = [pid for pid in working if accepted.isdisjoint(processes.sockets_of(pid))]
        self.answered = {pid: self.answered.get(pid, now) for pid in answered}
        return now, sorted([*begun, *self.answered.values()])

    def drain(self, seconds: float) -> int:
        """Wait until no request is in PHP, or on the way to it from the front, which must be held. Gives how many are
        left that may be cut: what a program of the account's own answers that long is a WebSocket's kind.

        Where there are others this is refused: the hold must be undone, so that they can end. Nothing is shut yet."""
        began, has_app = time.monotonic(), any(site.app for site in self.account.sites)
        while True:
            busy, coming = self.busy(), front.in_flight(self.account)
            passed = time.monotonic() - began
            if not busy and (not coming or (has_app and passed > LONG_REQUEST)):
                return coming
            if passed > seconds:
                request = (
                    told(self.account, busy[0]) if busy else f"A request of {self.account.name} is still coming in"
                )
                refuse("php_busy", f"{request} and would be cut; wait until it has ended, try again.")
            time.sleep(0.003)


def _lasting(now: float, begun: list[float]) -> list[dict[str, Any]]:
    return [{"seconds": now - since} for since in begun]


def _is_at_work(pid: int) -> bool:
    """Whether a worker does anything but wait for a request. Where the kernel does not say, its connections do."""
    try:
        call = Path(f"/proc/{pid}/syscall").read_text().split()
    except OSError:
        return False
    accepts = _ACCEPTS.get(os.uname().machine)
    return bool(call) and accepts is not None and call[0] not in accepts
