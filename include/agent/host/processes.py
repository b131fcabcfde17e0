"""An account's processes: found, and ended all at once, whatever they do meanwhile."""

import os
import re
import signal
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from .system import RUNTIME, locked, refuse

CLIENT = 65520
"""The Unix user (and group) that clients of databases run as: nobody's, so no customer may look into them, stop them
or speak for them. Their rights are those of the database's user alone."""
AS_CLIENT = ["setpriv", f"--reuid={CLIENT}", f"--regid={CLIENT}", "--clear-groups", "--no-new-privs", "--"]
_ENDER = 65521  # the real user of who ends an account's processes, which those can therefore not end first
_SUBORDINATE = Path("/etc/subuid")


def of_user(uid: int) -> list[int]:
    """Ids of the processes that have the rights of `uid` (real, effective, saved or for files)."""
    return [pid for pid in _all() if uid in _users(pid)]


def _all() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _users(pid: int) -> set[int]:
    """The users whose rights a process has; none when it can do nothing any more."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return set()
    uids = re.search(r"^Uid:\t(\d+)\t(\d+)\t(\d+)\t(\d+)", status, re.MULTILINE)
    # One whose first thread has ended looks dead, and its others go on.
    dead = "\nState:\tZ" in status and re.search(r"^Threads:\t[01]$", status, re.MULTILINE)
    return {int(uid) for uid in uids.groups()} if uids and not dead else set()


def sockets_of(pid: int) -> set[int]:
    """The inodes of the sockets that a process has open."""
    inodes = set()
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                if match := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(descriptor)):
                    inodes.add(int(match[1]))
    except (FileNotFoundError, ProcessLookupError):
        pass  # it has ended
    return inodes


def is_roots_alone(pid: int) -> bool:
    """Whether a process has root's rights and nobody else's."""
    return _users(pid) == {0}


Spared = Callable[[Collection[int]], Collection[int]]
"""Which of these processes may be left at the end: something of root's makes them anew, and nobody reaches them."""


def _none(_pids: Collection[int]) -> Collection[int]:
    return ()


def end_all(name: str, uid: int, *, patience: float = 1.0, spared: Spared = _none) -> int:
    """End every process of the account, of its subordinate users too: politely, then not. How many there were.

    A look at /proc misses what forks and exits meanwhile, so it is the kernel that ends them, all at one moment."""
    users = [range(uid, uid + 1), *_subordinate(name, uid)]
    began = time.monotonic()
    first = _remaining(users, spared)
    if first:
        _signal_all(uid, signal.SIGTERM)
    while time.monotonic() < began + patience and _remaining(users, spared):
        time.sleep(0.01)
    quiet = 0
    while quiet < 2:
        _signal_all(uid, signal.SIGKILL)
        left = _remaining(users, spared)
        for pid, uids in left.items():
            _end_foreign(pid, uids, uid, users)
        quiet = 0 if left else quiet + 1
        if left and time.monotonic() > began + patience + 5:
            refuse("processes_remain", f"Processes of {name} do not end ({[*left][:5]}); look at them and try again.")
        if left:
            time.sleep(0.005)
    return len(first)


def _remaining(users: list[range], spared: Spared) -> dict[int, set[int]]:
    """The processes of these users that have to end."""
    running = _processes_of(users)
    staying = {*spared(running)}
    return {pid: uids for pid, uids in running.items() if pid not in staying}


def tell(pid: int, number: signal.Signals) -> int | None:
    """Send the signal; a descriptor that tells when the process has ended, None when it has."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        pass
    return descriptor


def become_reader(uid: int, gid: int) -> None:
    """From here on this process, root's until now, may do with files what the account may. The account may neither end
    it, nor stop or look into it: for that its real and its saved user count, which are nobody's."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(CLIENT, uid, CLIENT)


def _subordinate(name: str, uid: int) -> list[range]:
    """The users that the account may make processes of by the help of newuidmap."""
    ranges = []
    for line in _SUBORDINATE.read_text().splitlines() if _SUBORDINATE.exists() else []:
        whose, _, rest = line.partition(":")
        first, _, count = rest.partition(":")
        if whose in (name, str(uid)) and first.isdigit() and count.isdigit():
            ranges.append(range(int(first), int(first) + int(count)))
    return ranges


def whose_subordinate(uid: int) -> str | None:
    """Who may make processes of this user, if it is a subordinate one."""
    for line in _SUBORDINATE.read_text().splitlines() if _SUBORDINATE.exists() else []:
        whose = line.partition(":")[0]
        if any(uid in some for some in _subordinate(whose, -1)):
            return whose
    return None


def _processes_of(users: list[range]) -> dict[int, set[int]]:
    """The processes that have the rights of any of these users, and which users' they have."""
    uids_of = {pid: _among(_users(pid), users) for pid in _all()}
    return {pid: uids for pid, uids in uids_of.items() if uids}


def _among(uids: set[int], users: list[range]) -> set[int]:
    return {uid for uid in uids if any(uid in ids for ids in users)}


def _end_foreign(pid: int, uids: set[int], uid: int, users: list[range]) -> None:
    """End a process that another user has started, or that is a subordinate user's."""
    for subordinate in uids - {uid}:
        _signal_all(subordinate, signal.SIGKILL)
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if _among(_users(pid), users):  # it is no other one of the same number
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def _signal_all(uid: int, number: int) -> None:
    """Send a signal to each process that has this real or saved user, in one call: none can be born in between."""
    # One at a time: who sends could end another one that does.
    with locked(RUNTIME / "ending.lock", wait=10):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setresuid(_ENDER, uid, _ENDER)
                os.kill(-1, number)
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
    if status != 0:
        refuse("processes_remain", f"The processes of uid {uid} could not be sent a signal; try again.")
