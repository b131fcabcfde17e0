"""The machine below: processes, durable files, Unix accounts, crontabs, addresses. Argument lists only."""

import fcntl
import grp
import json
import os
import pwd
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from . import bounded
from .kept import Threads

CONFIG = Path("/etc/transhumance")
STATE = Path("/var/lib/transhumance")
RUNTIME = Path("/run/transhumance")
AGENT = Path("/usr/local/lib/transhumance/agent.pyz")
CRONTABS = Path("/var/spool/cron/crontabs")

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {
    "PATH": PATH,
    "LC_ALL": "C.UTF-8",
    "HOME": "/root",
}


class Refused(Exception):
    """What the agent will not or could not do: a snake_case `code` and one sentence that says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def refuse(code: str, message: str) -> NoReturn:
    raise Refused(code, message)


def run(
    argv: list[str],
    *,
    input: bytes | str | None = None,
    check: bool = True,
    timeout: float | None = 120,
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run `argv` (never a shell) and return its output; a failure is a Refused with the last of its stderr."""
    data = input.encode() if isinstance(input, str) else input
    try:
        done = bounded.answer(argv, data, timeout=timeout, env={**ENVIRONMENT, **(env or {})})
    except FileNotFoundError:
        refuse("program_missing", f"{argv[0]} is not installed on this server; install it and try again.")
    except subprocess.TimeoutExpired:
        refuse(
            "timed_out",
            f"{argv[0]} did not end within {timeout:.0f} s; look at the server's load and try again.",
        )
    except bounded.TooMuch:
        refuse(
            "said_too_much",
            f"{argv[0]} answered more than {bounded.MAX_BYTES >> 20} MB and was ended; see why it does.",
        )
    if check and done.returncode != 0:
        output = (done.stderr or done.stdout).decode(errors="replace").strip()[-400:]
        refuse("command_failed", f"{' '.join(argv[:3])} failed ({done.returncode}): {output or 'it said nothing'}")
    return done


def write_durably(path: Path, content: bytes | str, mode: int = 0o600, owner: tuple[int, int] | None = None) -> None:
    """Replace `path` as a whole: the old or the new content is there, whatever happens; durable on return."""
    data = content.encode() if isinstance(content, str) else content
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
            if owner:
                os.fchown(file.fileno(), *owner)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_if_changed(path: Path, content: str, mode: int = 0o644, owner: tuple[int, int] | None = None) -> bool:
    """Write `content` unless it is there already; True when it was written."""
    try:
        if path.read_text(encoding="utf-8") == content:
            return False
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, content, mode, owner)
    return True


def read_json(path: Path) -> Any:
    """The content of a JSON file, or None when there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        refuse("damaged_file", f"{path} holds no JSON ({error}); restore it before anything else is done.")


@contextmanager
def locked(path: Path, *, shared: bool = False, inherited: bool = False, wait: float = 60) -> Iterator[None]:
    """Hold an flock on `path`, waiting at most `wait` seconds for it; children share it when `inherited`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(descriptor, inherited)
    try:
        end = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    refuse("busy", f"another step holds {path.name} for more than {wait:.0f} s; try again later.")
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def side_by_side(*works: Callable[[], Any], at_once: int | None = None) -> list[Any]:
    """Do all of it at once, or so many at a time; when one fails, its error is raised after the others have ended."""
    with Threads(max_workers=at_once or max(1, len(works))) as pool:
        running = [pool.submit(work) for work in works]
    return [work.result() for work in running]


def failpoint(name: str) -> None:
    """Die here, as by SIGKILL, when root has named this point in the failpoint file: for tests of crashes."""
    path = RUNTIME / "failpoint"
    try:
        status = os.lstat(path)
        if status.st_uid != 0 or path.read_text().strip() != name:
            return
    except FileNotFoundError:
        return
    path.unlink()
    os.kill(os.getpid(), signal.SIGKILL)


# --- Unix accounts ---


def create_user(name: str, uid: int, gid: int, home: str, shell: str) -> None:
    """Make the Unix group, user and empty home, or check that they are what they should be. The way to the home is
    made by `homes.make_way`."""
    # Programs that change /etc/passwd give up after a while when another one does.
    with locked(RUNTIME / "users.lock"):
        _create_user(name, uid, gid, home, shell)
    try:
        os.mkdir(home, 0o710)
    except FileExistsError:
        return
    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, 0o710)
    finally:
        os.close(descriptor)


def _create_user(name: str, uid: int, gid: int, home: str, shell: str) -> None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        if not os.access(shell, os.X_OK):
            refuse("no_shell", f"The shell {shell} of {name} is not on this server; install it, then try again.")
    else:
        _require_same(entry, uid, gid, home)
        return
    try:
        if grp.getgrnam(name).gr_gid != gid:
            refuse("uid_taken", f"The group {name} has another gid here than {gid}; remove that group first.")
    except KeyError:
        run(["groupadd", "--gid", str(gid), name])
    argv = ["useradd", "--uid", str(uid), "--gid", str(gid), "--home-dir", home, "--shell", shell]
    # No users of its own to make processes of (newuidmap): every process of the account is its user's.
    argv += ["--key", "SUB_UID_COUNT=0", "--key", "SUB_GID_COUNT=0"]
    run([*argv, "--no-create-home", "--no-log-init", name])
    # The web server reads an account's files as a member of its group; others do not get in.
    run(["usermod", "--append", "--groups", name, "www-data"])


def require_user(name: str, uid: int, gid: int, home: str) -> None:
    """Refuse unless this server has that user."""
    try:
        _require_same(pwd.getpwnam(name), uid, gid, home)
    except KeyError:
        refuse("no_such_user", f"There is no Unix user {name} on this server; adopt only who lives here already.")


def _require_same(entry: pwd.struct_passwd, uid: int, gid: int, home: str) -> None:
    name = entry.pw_name
    if os.path.normpath(entry.pw_dir) != home:
        refuse("other_home", f"The home of the user {name} is {entry.pw_dir} here, not {home}; remove that user first.")
    if (entry.pw_uid, entry.pw_gid) != (uid, gid):
        refuse(
            "uid_taken",
            f"The user {name} has uid {entry.pw_uid} and gid {entry.pw_gid} here, not {uid} and {gid}; remove that user"
            " first.",
        )


_EVERYBODYS = ["/tmp", "/var/tmp", "/dev/shm", "/var/mail"]
"""Where a user may have files outside its home; in the last is mail to the user itself, as what cannot be delivered of
what its site sent."""


def remove_user(name: str, uid: int, home: str) -> None:
    """Take the user, its group and its home away, and what it has outside: a program there would give the user's
    rights to whoever runs it, also when the number is another user's. Neither rm nor find follows a link."""
    removal = ["rm", "-rf", "--one-file-system", "--", home]
    if run(removal, check=False, timeout=3600).returncode != 0:
        # Something is immutable or append only; chattr follows no link.
        run(["chattr", "-R", "-f", "-ia", "--", home], check=False, timeout=3600)
        run(removal, timeout=3600)
    run(["find", *_EVERYBODYS, "-xdev", "-uid", str(uid), "-delete"], check=False, timeout=3600)
    with locked(RUNTIME / "users.lock"):
        run(["gpasswd", "--delete", "www-data", name], check=False)
        run(["userdel", name], check=False)
        run(["groupdel", name], check=False)


def shadow_fields(name: str) -> tuple[str, str]:
    """The password hash and the expiry day ("" for never) of a Unix user."""
    for line in Path("/etc/shadow").read_text().splitlines():
        fields = line.split(":")
        if fields[0] == name and len(fields) >= 8:
            return fields[1], fields[7]
    refuse("no_such_user", f"There is no Unix user {name} on this server.")


def set_password_hash(name: str, password_hash: str) -> None:
    """Set a crypt(3) hash; "!" and "*" mean that no password fits."""
    if not re.fullmatch(r"[!*]|!?\$[A-Za-z0-9./$=,_-]{1,250}", password_hash):
        refuse("bad_password_hash", f"The Unix password hash of {name} is not one that crypt(3) makes.")
    run(["chpasswd", "--encrypted"], input=f"{name}:{password_hash}\n")


def set_expiry(name: str, expiry: str) -> None:
    """Set the day on which the user expires: "" is never, "1" is long ago."""
    if shadow_fields(name)[1] != expiry:
        run(["chage", "--expiredate", expiry or "-1", name])


# --- crontabs ---


def crontab_lines(content: str) -> int:
    return sum(1 for line in content.splitlines() if line.strip() and not line.lstrip().startswith("#"))


def set_crontab_aside(name: str, aside: Path) -> None:
    """Move the crontab out of cron's sight; what was set aside before stays when cron has none."""
    try:
        content = (CRONTABS / name).read_bytes()
    except FileNotFoundError:
        return
    write_durably(aside, content)
    (CRONTABS / name).unlink()
    sync_directory(CRONTABS)


def bring_crontab_back(name: str, uid: int, aside: Path) -> bytes | None:
    """Give cron the crontab that was set aside, and the caller its content; None when none was."""
    try:
        content = aside.read_bytes()
    except FileNotFoundError:
        return None
    CRONTABS.mkdir(parents=True, exist_ok=True)
    write_durably(CRONTABS / name, content, 0o600, (uid, grp.getgrnam("crontab").gr_gid))
    aside.unlink()
    return content
