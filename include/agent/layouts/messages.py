"""The messages of an account's mailboxes: counted, listed with their UIDs and flags, and compared."""

import errno
import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from ..account.accounts import Account
from ..account.mail_names import Mailbox
from ..host import bounded
from ..host.digest import printable
from ..host.scope import Scope
from ..host.system import AGENT, refuse, run
from .mail_tables import maildir_of, owner_of

_MAX_MEMORY = 2 << 30
"""Of the child that reads messages: some two million in one folder."""

SCOPE = Scope(
    what="every message with its folder, flags, number (UID) and the folder's UIDVALIDITY, as the files that they are",
    how="as files: a SHA-256 of each message and of each list of numbers",
    when="all of it at the copy; in the hold what came, was read or was moved since",
    without=("Messages that wait in the server's queue for another domain: they go out from the old server.",),
)


def count(account: Account, paths: Iterable[bytes], *, outside: bool = False) -> int:
    """How many of these paths are messages in the account's mailboxes: paths in the home, or, of what lies `outside` of
    it, from the root on."""
    above = "/" if outside else f"{account.home}/"
    boxes = {
        os.fsencode(maildir.removeprefix(above)): box
        for box in account.mailboxes
        if (maildir := maildir_of(account, box)).startswith(above)
    }
    number = 0
    for path in paths:
        folder, _, name = path.rpartition(b"/")
        folder, _, part = folder.rpartition(b"/")
        if part in (b"cur", b"new") and not name.startswith(b"."):
            number += folder in boxes or _is_folder_of(folder, boxes)
    return number


def _is_folder_of(folder: bytes, boxes: dict[bytes, Mailbox]) -> bool:
    """Whether it is one of a mailbox's further folders."""
    above, _, name = folder.rpartition(b"/")
    if above in boxes and name.startswith(b"."):
        return True
    while above:
        if above in boxes:
            place = boxes[above].place
            return place is not None and place.layout == "fs"
        above = above.rpartition(b"/")[0]
    return False


def messages(account: Account) -> dict[str, Any]:
    """What the account's mailboxes hold: {"messages", "digest", "mailboxes": {address: {...}}}.

    A child with the rights of whose they are reads them: what lies there may be anything.
    """
    by_owner: dict[tuple[int, int], dict[str, str]] = {(account.uid, account.gid): {}}
    for box in account.mailboxes:
        by_owner.setdefault(owner_of(account, box), {})[box.address] = maildir_of(account, box)
    mailboxes: dict[str, Any] = {}
    for (uid, gid), maildirs in by_owner.items():
        argv = [sys.executable, str(AGENT), "messages", str(uid), str(gid)]
        mailboxes |= json.loads(run(argv, input=json.dumps(maildirs), timeout=600).stdout)["mailboxes"]
    return _together(mailboxes)


def main() -> None:
    """The child: stdin the Maildirs, by address, stdout what `read_messages` gives."""
    bounded.limit_this_process(_MAX_MEMORY)
    try:
        print(json.dumps(read_messages(json.load(sys.stdin))))
    except MemoryError:
        refuse(
            "too_many_messages",
            f"The messages of a mailbox do not fit into {_MAX_MEMORY >> 30} GB: move some to another folder.",
        )


def read_messages(maildirs: dict[str, str]) -> dict[str, Any]:
    """The messages in these Maildirs, by address; run with the rights of whose they are."""
    mailboxes: dict[str, dict[str, Any]] = {}
    for address, maildir in sorted(maildirs.items()):
        rows, count = _maildir_rows(os.fsencode(maildir))
        listed = hashlib.sha256()
        for number, row in enumerate(sorted(rows)):
            listed.update(b"\n" * (number > 0) + row.encode())
        mailboxes[address] = {"messages": count, "digest": listed.hexdigest()}
    return _together(mailboxes)


def _together(mailboxes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    whole = hashlib.sha256(json.dumps(mailboxes, sort_keys=True).encode()).hexdigest()
    total = sum(item["messages"] for item in mailboxes.values())
    return {"messages": total, "digest": whole, "mailboxes": mailboxes}


def _maildir_rows(maildir: bytes) -> tuple[list[str], int]:
    """A row for each folder (name, UIDVALIDITY) and message (folder, UID, key, size, flags); and how many messages."""
    rows: list[str] = []
    count = 0
    try:
        names = [b"", *sorted(name for name in os.listdir(maildir) if name.startswith(b"."))]
    except FileNotFoundError:
        return rows, count
    for name in names:
        folder = os.path.join(maildir, name) if name else maildir
        messages = list(_messages_in(folder))
        keys = {entry.name.partition(b":2,")[0] for _, entry in messages}
        validity, uids = _uidlist(os.path.join(folder, b"dovecot-uidlist"), keys)
        label = name.hex()
        rows.append(json.dumps([label, validity]))
        count += len(messages)
        for part, item in messages:
            key, _, flags = item.name.partition(b":2,")
            size = item.stat(follow_symlinks=False).st_size
            rows.append(json.dumps([label, uids.get(key), key.hex(), size, flags.hex(), part]))
    return rows, count


def _messages_in(folder: bytes) -> Iterator[tuple[str, os.DirEntry[bytes]]]:
    """("cur" or "new", the file) of each message in a folder."""
    for part in (b"cur", b"new"):
        try:
            entries = list(os.scandir(os.path.join(folder, part)))
        except (FileNotFoundError, NotADirectoryError):
            continue
        for item in entries:
            if item.is_file(follow_symlinks=False) and not item.name.startswith(b"."):
                yield part.decode(), item


_LARGEST_LIST = 512 << 20
"""Bytes of a list of UIDs: some five million messages in one folder."""
_MAX_LINE = 65536


def _uidlist(path: bytes, keys: set[bytes]) -> tuple[str | None, dict[bytes, str]]:
    """UIDVALIDITY and the UIDs of these messages, from Dovecot's list (version 3). What has its name and is no file (a
    link, a pipe, a device) is no list; nothing of it is kept but what these messages have."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
            return None, {}
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        return None, {}
    with open(descriptor, "rb") as file:
        if status.st_size > _LARGEST_LIST:
            refuse(
                "uidlist_too_large",
                f"{printable(os.fsdecode(path))} is larger than {_LARGEST_LIST >> 20} MB, so no list of Dovecot's: "
                "remove it (mail programs will fetch that folder anew), then try again.",
            )
        lines = iter(lambda: file.readline(_MAX_LINE), b"")
        header = next(lines, b"").split()
        validity = next((field[1:].decode(errors="replace") for field in header if field.startswith(b"V")), None)
        uids = {}
        for line in lines:
            fields, _, name = line.rstrip(b"\r\n").partition(b" :")
            key = name.partition(b":2,")[0]
            if fields and key in keys:
                uids[key] = fields.split(b" ", 1)[0].hex()
    return validity, uids


def differences(mine: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """What is not the same in two results of `messages`, one sentence each."""
    sentences = []
    for address in sorted(mine["mailboxes"].keys() | theirs["mailboxes"].keys()):
        own, other = mine["mailboxes"].get(address), theirs["mailboxes"].get(address)
        if own != other:
            counts = [str(side["messages"]) if side else "no" for side in (own, other)]
            sentences.append(
                f"mailbox {address}: {counts[0]} messages here and {counts[1]} there, or UIDs or flags differ"
            )
    return sentences
