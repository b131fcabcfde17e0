"""Where homes are, and what stands before all of them: root's folders alone, of which none holds a file that gives its
rights to whoever runs it, or a device that is one.

rsync is told to leave such things behind. This does not depend on it, nor on the other server."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from .system import AGENT, refuse, run, write_if_changed

_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_HOME = re.compile(rf"(?=.{{1,100}}\Z)(/{_PART}){{2,12}}")
_OF_THE_SYSTEM = re.compile(
    r"/(bin|boot|dev|etc|lib|lib32|lib64|libx32|lost\+found|messages|mnt|old|proc|relay|root|run|sbin|sys|tmp|usr"
    r"|opt(?=/[^/]*\Z)|var/(?!www/|home/|customers/|vhosts/)[^/]*)(/|\Z)"
)
"""And what the sandbox has for itself (messages, mnt, old, relay). Right in /opt lie programs, which may need their
rights."""
_PLAIN = os.ST_NOSUID | os.ST_NODEV
_UNIT = """[Unit]
Description=No file in a home gives its rights to whoever runs it
DefaultDependencies=no
RequiresMountsFor={folder}
After=local-fs.target
Before=sysinit.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/python3 {agent} homes {folder}

[Install]
WantedBy=sysinit.target
"""


def may_be_home(path: str) -> bool:
    """Whether a customer's home may be there: a plain path, in no folder of the operating system's."""
    return bool(_HOME.fullmatch(path)) and not is_of_the_system(path)


def is_of_the_system(path: str) -> bool:
    return bool(_OF_THE_SYSTEM.match(path))


def make_way(home: str) -> None:
    """Make the folders above a home; refused unless each is root's, so that nobody leads root elsewhere by it, and no
    home lies in another one."""
    at = "/"
    for part in Path(home).parent.parts[1:]:
        at = os.path.join(at, part)
        try:
            os.mkdir(at)
            os.chmod(at, 0o755)
        except FileExistsError:
            pass
        status = os.lstat(at)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != 0 or status.st_mode & 0o022:
            refuse(
                "bad_home",
                f"The home {home} lies below {at}, which must be a folder that root alone may write; make it that, or"
                " move the home.",
            )


def require_home(home: str, uid: int) -> None:
    """Refuse unless the home is there, its user's, and the way to it root's alone."""
    make_way(home)
    try:
        status = os.lstat(home)
    except FileNotFoundError:
        refuse("no_home", f"There is no folder {home}; make it, and let it belong to its user.")
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != uid:
        refuse("bad_home", f"{home} is no folder of the user {uid}; make it one.")


def keep_plain(home: str) -> None:
    """What lies beside and in this home is plain from now on, and from the beginning of every boot; can be repeated,
    and costs nothing then."""
    folder = above(home)
    if are_plain(folder):
        return
    name = _unit_name(folder)
    if write_if_changed(Path("/etc/systemd/system") / name, _UNIT.format(folder=folder, agent=AGENT)):
        run(["systemctl", "daemon-reload"])
        run(["systemctl", "enable", "--quiet", name])
    make_plain(folder)


def above(home: str) -> str:
    """The folder that is made plain for a home, or for a folder of messages: the one that it lies in, or on the way
    there the first that another than root may write, who could put something else in the place of what follows."""
    at = "/"
    for part in Path(home).parent.parts[1:]:
        at = os.path.join(at, part)
        if not os.path.lexists(at):
            return os.path.dirname(home)
        status = os.lstat(at)
        if not stat.S_ISLNK(status.st_mode) and (status.st_uid != 0 or status.st_mode & 0o022):
            break
    return at


def _unit_name(folder: str) -> str:
    """As systemd writes paths; that of /home goes without."""
    written = folder.strip("/").replace("-", "\\x2d").replace("/", "-")
    return "transhumance-homes.service" if folder == "/home" else f"transhumance-homes-{written}.service"


def are_plain(folder: str) -> bool:
    """Whether it is so at this moment."""
    return os.statvfs(folder).f_flag & _PLAIN == _PLAIN


def make_plain(folder: str = "/home") -> None:
    """For as long as this server runs."""
    if are_plain(folder):
        return
    if not os.path.ismount(folder):
        run(["mount", "--rbind", folder, folder])
    run(["mount", "-o", "remount,bind,nosuid,nodev", folder])
