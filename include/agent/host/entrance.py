"""The orchestrator's way in to this server: what sshd lets root do, root's keys, and the launcher.

An enrolment sends this file alone to a server that has no agent, where it runs as `python3 -`: so it imports the
standard library only, and nothing of the agent.
"""

import errno
import fcntl
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

KEYS = "/root/.ssh/authorized_keys"
LOCK = "/run/transhumance/authorized_keys.lock"
"""Whoever edits the keys takes turns on it."""
LAUNCHER = "/usr/local/lib/transhumance/launcher"
ROOM = {"/usr/local": 32 << 20, "/var/lib": 32 << 20, "/root": 1 << 20, "/run": 1 << 20}
"""Bytes that have to be free where the agent and what it keeps will lie."""
_SSHD = (
    "authorizedkeysfile",
    "authenticationmethods",
    "forcecommand",
    "maxsessions",
    "maxstartups",
    "permitrootlogin",
    "pubkeyauthentication",
)


def sshd_settings() -> dict[str, str]:
    """What sshd says of the connection that this runs in, or of one of root's; nothing where it does not say."""
    client = (os.environ.get("SSH_CONNECTION", "").split() or ["127.0.0.1"])[0]
    argv = ["/usr/sbin/sshd", "-T", "-C", f"user=root,host={client},addr={client}"]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    settings: dict[str, str] = {}
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        name, _, value = line.partition(" ")
        if name in _SSHD:
            settings[name] = value.strip()[:500]
    return settings


def edit_keys(edit: Callable[[list[bytes]], list[bytes]]) -> bool:
    """Give root's keys, a line each, to `edit` and keep what it gives; no other byte of them changes. True when
    something did."""
    with _alone():
        os.makedirs(os.path.dirname(KEYS), 0o700, exist_ok=True)
        path = os.path.realpath(KEYS)  # the host may keep them elsewhere, and lead there
        try:
            with open(path, "rb") as file:
                old, status = file.read(), os.fstat(file.fileno())
            mode, owner = status.st_mode & 0o777, (status.st_uid, status.st_gid)
        except FileNotFoundError:
            old, mode, owner = b"", 0o600, (-1, -1)
        lines = old.split(b"\n")
        if not lines[-1]:
            lines.pop()
        new = edit(lines)
        if new != lines:
            replace(path, b"".join(line + b"\n" for line in new), mode, owner)
        return new != lines


@contextmanager
def _alone() -> Iterator[None]:
    os.makedirs(os.path.dirname(LOCK), 0o700, exist_ok=True)
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        end = time.monotonic() + 60
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), LOCK) from None
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def replace(path: str, content: bytes, mode: int, owner: tuple[int, int] = (-1, -1)) -> None:
    """The old or the new content is there, whatever happens; durable on return."""
    fresh = f"{path}.{os.getpid()}.new"
    try:
        with open(fresh, "wb") as file:
            os.fchmod(file.fileno(), mode)
            os.fchown(file.fileno(), *owner)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(fresh, path)
    except BaseException:
        if os.path.lexists(fresh):
            os.unlink(fresh)
        raise
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def look() -> dict[str, Any]:
    """What an enrolment asks of a server before anything is changed there."""
    return {
        "python": platform.python_version(),
        "systemd": os.path.isdir("/run/systemd/system"),
        "sshd": sshd_settings(),
        "no_room": [place for place, least in ROOM.items() if _free(place) < least],
    }


def _free(place: str) -> int:
    disk = os.statvfs(place)
    return disk.f_bavail * disk.f_frsize


def let_in(launcher: str, line: str) -> dict[str, Any]:
    """Put the launcher there, and beside root's keys the one that runs it and nothing else; a comment behind it is
    nothing. A key that is there with other rights is told, and nothing is changed: sshd goes by the first line that has
    it."""
    ours = line.encode()
    changed: list[str] = []

    def add(lines: list[bytes]) -> list[bytes]:
        with_key = [number for number, row in enumerate(lines, 1) if _has(row, ours.split()[-1])]
        same = [number for number in with_key if lines[number - 1].startswith(ours)]
        if with_key != same:
            raise KeyThere(next(number for number in with_key if number not in same))
        if _put_launcher(launcher.encode()):
            changed.append(LAUNCHER)
        return lines if same else [*lines, ours]

    try:
        if edit_keys(add):
            changed.append(KEYS)
    except KeyThere as there:
        return {"failed": "key_there", "where": f"{KEYS}, line {there.line}"}
    except OSError as error:
        kinds = {errno.EROFS: "read_only", errno.ENOSPC: "no_room", errno.EDQUOT: "no_room", errno.EPERM: "forbidden"}
        why = kinds.get(error.errno or 0, os.strerror(error.errno or 0))
        return {"failed": why, "where": str(error.filename or KEYS)}
    return {"changed": changed}


def _has(line: bytes, key: bytes) -> bool:
    return not line.startswith(b"#") and key in line.split()


class KeyThere(Exception):
    """The key stands in a line of its own rights."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def _put_launcher(content: bytes) -> bool:
    try:
        with open(LAUNCHER, "rb") as file:
            if file.read() == content and os.fstat(file.fileno()).st_mode & 0o777 == 0o755:
                return False
    except FileNotFoundError:
        os.makedirs(os.path.dirname(LAUNCHER), 0o755, exist_ok=True)
    replace(LAUNCHER, content, 0o755)
    return True


def main(request: dict[str, Any]) -> None:
    """What an enrolment asks for, answered in one line."""
    os.umask(0o022)
    print(json.dumps(let_in(**request) if request else look()))
