"""Files of the host's configuration, written and taken away by root: no link on the way is followed, and each step can
be undone."""

from __future__ import annotations

import grp
import os
import pwd
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...host.digest import printable
from ...host.sandbox import open_beneath
from ...host.system import refuse


@dataclass(frozen=True)
class Undone:
    """How a path was before: a file with its rights, a link, or nothing."""

    path: str
    content: bytes | None = None
    link: str | None = None
    mode: int = 0o600
    owner: tuple[int, int] = (0, 0)


@contextmanager
def _folder(root: Path, path: str) -> Iterator[tuple[int, str]]:
    """The folder that a path lies in, open, and the name in it."""
    parent, _, name = path.rpartition("/")
    at = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        descriptor = open_beneath(at, os.fsencode(parent.lstrip("/") or "."), os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        refuse(
            "no_place",
            f"This server has no folder {printable(parent)} without links on the way to it, where {printable(name)}"
            " belongs; choose a server with the same services, or make the folder.",
        )
    finally:
        os.close(at)
    try:
        yield descriptor, name
    finally:
        os.close(descriptor)


def make_folder(root: Path, path: str) -> None:
    """Make a folder of root's, and those above it; refused where one that is there is not root's alone."""
    at = ""
    for part in path.strip("/").split("/"):
        with _folder(root, f"{at}/{part}") as (folder, name):
            try:
                os.mkdir(name, 0o755, dir_fd=folder)
            except FileExistsError:
                pass
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o002:
                refuse(
                    "no_place", f"The folder {printable(f'{at}/{part}')} of this server is not root's; make it that."
                )
        at = f"{at}/{part}"


_PRIVATE = ("/etc/letsencrypt/archive/", "/etc/letsencrypt/live/", "/etc/opendkim/keys/")
"""Where each domain has a folder of its own, which is made when it comes."""

_BY_CERTBOT = {"/etc/letsencrypt/archive": 0o700, "/etc/letsencrypt/live": 0o700, "/etc/letsencrypt/renewal": 0o755}
"""What Let's Encrypt's client makes, and with which rights, when it gets its first certificate."""


def written(root: Path, path: str, text: str, mode: int, user: str, group: str) -> Iterator[Undone]:
    """Write a file as a whole."""
    _make_folders(root, path)
    yield from _put(root, path, text, mode, (_uid(user), _gid(group)))


def edited(root: Path, path: str, text: str) -> Iterator[Undone]:
    """Give a file of the host's another text; its rights stay."""
    with _folder(root, path) as (folder, name):
        was = _now(folder, name, path)
    yield from _put(root, path, text, was.mode, was.owner)


def _put(root: Path, path: str, text: str, mode: int, owner: tuple[int, int]) -> Iterator[Undone]:
    with _folder(root, path) as (folder, name):
        yield _now(folder, name, path)
        temporary = f".{name[:200]}.{secrets.token_hex(4)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(temporary, flags, 0o600, dir_fd=folder), "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
            os.fchown(file.fileno(), *owner)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)


def _make_folders(root: Path, path: str) -> None:
    """Make the folders that the file's program would make for it, in those of its package."""
    for place, mode in _BY_CERTBOT.items():
        if path.startswith(f"{place}/"):
            _make(root, place, mode)
    if path.startswith(_PRIVATE):
        _make(root, path.rpartition("/")[0], 0o700)


def _make(root: Path, path: str, mode: int) -> None:
    with _folder(root, path) as (folder, name):
        try:
            os.mkdir(name, mode, dir_fd=folder)
            above = os.fstat(folder)
            os.chown(name, above.st_uid, above.st_gid, dir_fd=folder, follow_symlinks=False)
        except FileExistsError:
            pass


def linked(root: Path, path: str, leads_to: str) -> Iterator[Undone]:
    """Make a link of a file's, relative as their programs make them."""
    _make_folders(root, path)
    with _folder(root, path) as (folder, name):
        yield _now(folder, name, path)
        temporary = f".{name[:200]}.{secrets.token_hex(4)}"
        os.symlink(os.path.relpath(leads_to, path.rpartition("/")[0]), temporary, dir_fd=folder)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)


def removed(root: Path, path: str, leads_to: str | None) -> Iterator[Undone]:
    """Take a link and its file away, or a file; a folder of a domain that is empty then goes too."""
    for each in (path, *_behind(root, path, leads_to)):
        if not os.path.lexists(f"{root}/{each.lstrip('/')}"):
            continue
        with _folder(root, each) as (folder, name):
            yield _now(folder, name, each)
            os.unlink(name, dir_fd=folder)
        _drop_if_private(root, each.rpartition("/")[0])


def _behind(root: Path, path: str, leads_to: str | None) -> list[str]:
    """The file that a link led to when it came; of a certificate also those that it has led to since."""
    if leads_to is None or "/archive/" not in leads_to:
        return [leads_to] if leads_to else []
    folder, _, name = leads_to.rpartition("/")
    part = re.sub(r"\d+\.pem\Z", "", name)
    try:
        names = os.listdir(f"{root}/{folder.lstrip('/')}")
    except FileNotFoundError:
        return []
    return [f"{folder}/{each}" for each in names if re.fullmatch(rf"{re.escape(part)}\d+\.pem", each)]


def _drop_if_private(root: Path, path: str) -> None:
    """Take a domain's own folder away when it is empty."""
    if not path.startswith(_PRIVATE) or not os.path.isdir(f"{root}/{path.lstrip('/')}"):
        return
    with _folder(root, path) as (folder, name):
        try:
            os.rmdir(name, dir_fd=folder)
        except OSError:
            pass  # something of the domain's is there still


def put_back(root: Path, undone: Iterable[Undone]) -> None:
    """Have everything as it was; the last step first."""
    for was in reversed([*undone]):
        with _folder(root, was.path) as (folder, name):
            if os.access(name, os.F_OK, dir_fd=folder, follow_symlinks=False):
                os.unlink(name, dir_fd=folder)
            if was.link is not None:
                os.symlink(was.link, name, dir_fd=folder)
            elif was.content is not None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
                with open(os.open(name, flags, 0o600, dir_fd=folder), "wb") as file:
                    file.write(was.content)
                    os.fchown(file.fileno(), *was.owner)
                    os.fchmod(file.fileno(), was.mode)
        _drop_if_private(root, was.path.rpartition("/")[0])


def _now(folder: int, name: str, path: str) -> Undone:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return Undone(path)
    if stat.S_ISLNK(status.st_mode):
        return Undone(path, link=os.readlink(name, dir_fd=folder))
    if not stat.S_ISREG(status.st_mode):
        refuse("no_place", f"{printable(path)} is no file on this server; look what it is, and take it away.")
    with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder), "rb") as file:
        owner = (status.st_uid, status.st_gid)
        return Undone(path, content=file.read(), mode=stat.S_IMODE(status.st_mode), owner=owner)


def _uid(name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return 0


def _gid(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return 0
