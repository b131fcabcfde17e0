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
from ..host import bounded
from ..host.digest import printable
from ..host.scope import Scope
from ..host.system import AGENT, refuse, run
from .mail_tables import mailbox_home

_MAX_MEMORY = 2 << 30
"""Of the child that reads messages: some two million in one folder."""

SCOPE = Scope(
    what="every message with its folder, flags, number (UID) and the folder's UIDVALIDITY, as the files that they are",
    how="as files: a SHA-256 of each message and of each list of numbers",
    when="all of it at the copy; in the hold what came, was read or was moved since",
    without=("Messages that wait in the server's queue for another domain: they go out from the old server.",),
)


def count(account: Account, paths: Iterable[bytes]) -> int:
    """How many of these paths (relative to the home) are messages in the account's mailboxes."""
    boxes = {(os.fsencode(box.domain), os.fsencode(box.local_part)) for box in account.mailboxes}
    number = 0
    for path in paths:
        words = path.split(b"/")
        if words[0] != b"mail" or len(words) not in (6, 7) or words[3] != b"Maildir" or words[-1].startswith(b"."):
            continue
        folder = len(words) == 6 or words[4].startswith(b".")
        number += folder and words[-2] in (b"cur", b"new") and (words[1], words[2]) in boxes
    return number


def messages(account: Account) -> dict[str, Any]:
    """What the account's mailboxes hold: {"messages", "digest", "mailboxes": {address: {...}}}.

    A child with the account's own rights reads them: what lies in a home may be anything.
    """
    homes = {m.address: mailbox_home(account, m.address) for m in account.mailboxes}
    argv = [sys.executable, str(AGENT), "messages", str(account.uid), str(account.gid)]
    done = run(argv, input=json.dumps(homes), timeout=600)
    return json.loads(done.stdout)


def main() -> None:
    """The child: stdin the homes of the mailboxes, stdout what `read_messages` gives."""
    bounded.limit_this_process(_MAX_MEMORY)
    try:
        print(json.dumps(read_messages(json.load(sys.stdin))))
    except MemoryError:
        refuse(
            "too_many_messages",
            f"The messages of a mailbox do not fit into {_MAX_MEMORY >> 30} GB: move some to another folder.",
        )


def read_messages(homes: dict[str, str]) -> dict[str, Any]:
    """The messages in the Maildirs below these mailbox homes; run with the account's own rights."""
    mailboxes: dict[str, dict[str, Any]] = {}
    for address, home in sorted(homes.items()):
        rows, count = _maildir_rows(os.fsencode(f"{home}/Maildir"))
        listed = hashlib.sha256()
        for number, row in enumerate(sorted(rows)):
            listed.update(b"\n" * (number > 0) + row.encode())
        mailboxes[address] = {"messages": count, "digest": listed.hexdigest()}
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
