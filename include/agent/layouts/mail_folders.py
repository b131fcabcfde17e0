"""An account's folders among the mail system's: made where there are none, as that system's user's, and removed with
the account.

Programs of the mail system's user write in the folders above them as well. So nothing here follows a link on the way to
one, and what is this account's is what was made for it or adopted with it: a record of that lies with the account.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterable

from ..account.accounts import Account
from ..account.mail_places import is_in
from ..host.sandbox import open_folder
from ..host.system import read_json, refuse, write_durably

_RECORD = "messages.json"
_MAIL_GROUP = 8
"""Debian's `mail`, to which /var/mail belongs: no customer's group."""


def record(account: Account) -> None:
    """They were here before us, and are this account's. Refused where a customer could lead one elsewhere."""
    for folder in account.mail_folders:
        if _is_there(folder):
            os.close(_way_to(account, folder, owner_of(folder)))
    _note(account, account.mail_folders)


def make(account: Account, owner: Callable[[], tuple[int, int]]) -> None:
    """Make those that are missing, as the mail system's user's, which `owner` tells. Refused where one is there that is
    not known to be this account's, or could be led elsewhere by a customer. Can be repeated."""
    recorded = _recorded(account)
    missing = [folder for folder in account.mail_folders if folder not in recorded or not _is_there(folder)]
    whose = owner() if missing else (0, 0)
    for folder in missing:
        if _is_there(folder):
            _taken(account, folder, "a folder of this server's that is not known to be this account's")
        parent = _way_to(account, folder, whose)
        try:
            _make(account, folder, parent, whose)
        finally:
            os.close(parent)


def remove(account: Account, empty: Callable[[Account, tuple[str, ...]], None]) -> None:
    """Take away those that are this account's, with all that is in them, by what can `empty` them."""
    recorded = _recorded(account)
    present = tuple(folder for folder in account.mail_folders if folder in recorded and _is_there(folder))
    if present:
        empty(account, present)
    for folder in present:
        above, _, name = folder.rpartition("/")
        parent = open_folder(above)
        try:
            os.rmdir(name, dir_fd=parent)
        finally:
            os.close(parent)
    (account.directory / _RECORD).unlink(missing_ok=True)


def require_apart(account: Account, other: Account) -> None:
    """Refuse folders that lie in another account's, or in its home, or around them."""
    pairs = [(mine, theirs) for mine in account.mail_folders for theirs in (*other.mail_folders, other.home)]
    for mine, theirs in (*pairs, *((account.home, theirs) for theirs in other.mail_folders)):
        if is_in(mine, theirs) or is_in(theirs, mine):
            _taken(account, mine, f"where the account {other.name} has its files here")


def owner_of(folder: str) -> tuple[int, int]:
    """The numbers of the user and the group that a folder belongs to; never root's user."""
    descriptor = open_folder(folder)
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if status.st_uid == 0:
        refuse("bad_mail_folder", f"{folder} is root's; make it the mail system's user's, as the others are.")
    return status.st_uid, status.st_gid


def _recorded(account: Account) -> set[str]:
    return {*(read_json(account.directory / _RECORD) or [])}


def _note(account: Account, folders: Iterable[str]) -> None:
    recorded = sorted(_recorded(account) | {*folders})
    if recorded:
        account.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(account.directory / _RECORD, json.dumps(recorded))


def _is_there(folder: str) -> bool:
    try:
        os.close(open_folder(folder))
    except FileNotFoundError:
        return False
    except OSError:
        _strange(folder)
    return True


def _way_to(account: Account, folder: str, owner: tuple[int, int]) -> int:
    """The folder above, open; made by root where there was none."""
    at = "/"
    for name in folder.split("/")[1:-1]:
        above, at = at, os.path.join(at, name)
        parent = open_folder(above)
        try:
            os.mkdir(name, 0o755, dir_fd=parent)
            os.chmod(name, 0o755, dir_fd=parent)
        except FileExistsError:
            pass
        finally:
            os.close(parent)
        _require_nobodys(account, at, owner)
    return open_folder(at)


def _require_nobodys(account: Account, path: str, owner: tuple[int, int]) -> None:
    try:
        descriptor = open_folder(path)
    except OSError:
        _strange(path)
    status = os.fstat(descriptor)
    os.close(descriptor)
    groups = {0, owner[1], _MAIL_GROUP}
    if (
        status.st_uid not in (0, owner[0])
        or status.st_mode & stat.S_IWOTH
        or (status.st_mode & stat.S_IWGRP and status.st_gid not in groups)
    ):
        refuse(
            "bad_mail_folder",
            f"Messages of {account.name} lie below {path}, which others than root and the mail system's user may write:"
            " make it theirs alone.",
        )


def _make(account: Account, folder: str, parent: int, owner: tuple[int, int]) -> None:
    name = folder.rpartition("/")[2]
    _note(account, [folder])
    os.mkdir(name, 0o700, dir_fd=parent)
    os.chown(name, *owner, dir_fd=parent, follow_symlinks=False)


def _taken(account: Account, folder: str, taken_by: str) -> None:
    refuse("mail_folder_taken", f"{folder} of {account.name} is {taken_by}: move one of them away.")


def _strange(path: str) -> None:
    refuse("bad_mail_folder", f"On the way to {path} lies a link, or something that is no folder: put a folder there.")
