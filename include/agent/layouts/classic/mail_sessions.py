"""Who is logged in to mailboxes whose messages are the mail system's user's: ended when their account is held.

That user has the programs of all accounts' mailboxes, so those of one account are told by what they have open."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator

from ...account.accounts import Account
from ...account.mail_places import is_in
from ...host import processes
from ...host.system import refuse, run
from .. import mail_folders

_PATIENCE = 1.0
"""Seconds that one is given to end by itself."""
_LONGEST = 6.0


def end_all(account: Account) -> None:
    """None is left when this ends; nobody can log in any more."""
    users = {mail_folders.owner_of(folder)[0] for folder in account.mail_folders}
    if any(processes.of_user(uid) for uid in users):
        for domain in {box.domain for box in account.mailboxes if box.place}:
            # Also those that have nothing open yet; there may be none.
            run(["doveadm", "kick", f"*@{domain}"], check=False)
    began, quiet = time.monotonic(), 0
    while quiet < 2:
        working = [*_at_work(account.mail_folders, users)]
        waited = time.monotonic() - began
        if working and waited > _LONGEST:
            refuse(
                "mail_under_way", f"A program at mailboxes of {account.name} does not end ({working[0]}); look at it."
            )
        _tell(working, signal.SIGTERM if waited < _PATIENCE else signal.SIGKILL)
        # Who had just logged in may have had nothing open at the first look.
        quiet = 0 if working else quiet + 1
        time.sleep(0.005)


def _at_work(folders: tuple[str, ...], users: set[int]) -> Iterator[int]:
    """The programs of these users that have anything in these folders open, or are in one."""
    for pid in {pid for uid in users for pid in processes.of_user(uid)}:
        if any(is_in(path, folder) for path in _open_paths(pid) for folder in folders):
            yield pid


def _open_paths(pid: int) -> Iterator[str]:
    try:
        descriptors = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return
    for link in ("cwd", *(f"fd/{number}" for number in descriptors)):
        try:
            yield os.readlink(f"/proc/{pid}/{link}")
        except OSError:
            pass  # closed meanwhile


def _tell(pids: list[int], number: signal.Signals) -> None:
    """Send it to all, and wait a moment for them to end."""
    handles = [handle for pid in pids if (handle := processes.tell(pid, number)) is not None]
    try:
        end = time.monotonic() + 0.05
        left = [*handles]
        while left and (seconds := end - time.monotonic()) > 0:
            ended, _, _ = select.select(left, [], [], seconds)
            left = [handle for handle in left if handle not in ended]
    finally:
        for handle in handles:
            os.close(handle)
