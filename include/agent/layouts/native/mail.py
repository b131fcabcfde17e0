"""The mail of a server: Postfix's and Dovecot's tables, the queue, and the messages of an account's mailboxes."""

import errno
import grp
import hashlib
import ipaddress
import json
import os
import signal
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ...account.accounts import Account, State, all_accounts, standing
from ...host import bounded
from ...host.digest import printable
from ...host.scope import Scope
from ...host.system import AGENT, CONFIG, RUNTIME, locked, refuse, run, write_if_changed
from .front import CERTIFICATES

_MAIL = CONFIG / "mail"
_MASTER_PID = Path("/var/spool/postfix/pid/master.pid")
_ACTIVE = Path("/var/spool/postfix/active")
_MAX_MEMORY = 2 << 30
"""Of the child that reads messages: some two million in one folder."""
_ENTER_AGAIN = "smtp:[127.0.0.1]:26"
_TO_DOVECOT = "lmtp:unix:private/dovecot-lmtp"
_SENT_FROM = {4: "sent_from_address", 6: "sent_from_address6"}
"""Settings of main.cf, by the IP version."""
_WAIT = "4.2.1 The account is being moved; try again in a moment"

SCOPE = Scope(
    what="every message with its folder, flags, number (UID) and the folder's UIDVALIDITY, as the files that they are",
    how="as files: a SHA-256 of each message and of each list of numbers",
    when="all of it at the copy; in the hold what came, was read or was moved since",
    without=("Messages that wait in the server's queue for another domain: they go out from the old server.",),
)


def route(state: State) -> str:
    """Where the account's mail goes: "here", "later", or the address of the server that has the account."""
    if state.state == "serving" or (state.state == "test" and "files" in state.test["stores"]):
        return "here"  # to a test server nobody brings mail from outside
    if state.state in ("moved", "receiving") and state.to and (state.released or state.state == "receiving"):
        return state.to
    return "later"


def mailbox_home(account: Account, address: str) -> str:
    local_part, _, domain = address.partition("@")
    return f"{account.home}/mail/{domain}/{local_part}"


def tables(accounts: list[tuple[Account, State]]) -> dict[str, str]:
    """The content of Postfix's five tables and Dovecot's passwd-file, by file name."""
    names = ("domains", "mailboxes", "aliases", "transport", "access", "passwd")
    lines: dict[str, list[str]] = {name: [] for name in names}
    for account, state in accounts:
        where = route(state)
        for domain in account.mail_domains:
            lines["domains"].append(f"{domain} {account.name}")
            if where == "later":
                lines["access"].append(f"{domain} 450 {_WAIT}")
                lines["transport"].append(f"{domain} retry:{_WAIT}")
            elif where != "here":
                lines["transport"].append(f"{domain} smtp:[{_for_postfix(where)}]:25")
        stored_as = _kept_as(account)
        addresses = [*stored_as, *stored_as.values(), *(forwarder.address for forwarder in account.forwarders)]
        lines["mailboxes"] += [f"{address} {account.name}" for address in dict.fromkeys(addresses)]
        if where == "here":
            _forward(account, stored_as, lines["aliases"], lines["transport"])
        for mailbox in account.mailboxes:
            # Nobody listens on port 9 of this host: a login or a delivery fails for now, and is tried again.
            password, extra = mailbox.password_hash, "proxy=y host=127.0.0.1 port=9"
            if where == "here":
                extra = ""
            elif where != "later":
                # The new server checks the password, since it may have been changed there.
                password, extra = "", f"nopassword=y proxy=y host={where} port=143 starttls=any-cert"
            home = mailbox_home(account, mailbox.address)
            for address in dict.fromkeys((mailbox.key, stored_as[mailbox.key])):
                # Dovecot looks a name up with its quotes escaped.
                named = address.replace("'", "\\'")
                lines["passwd"].append(f"{named}:{password}:{account.uid}:{account.gid}::{home}::{extra}")
    return {name: "".join(f"{line}\n" for line in rows) for name, rows in lines.items()}


def _kept_as(account: Account) -> dict[str, str]:
    """The address at which each mailbox gets its messages: its own, but where that has a forwarder (a message that
    waits for the mailbox would be forwarded once more, by the server that the account has moved to) or a plus (which
    Dovecot cuts off). No account file has a name with "/"."""
    forwarded = {forwarder.address for forwarder in account.forwarders}
    keys = [mailbox.key for mailbox in account.mailboxes]
    return {key: f"/{key.replace('+', '/')}" if "+" in key or key in forwarded else key for key in keys}


def _forward(account: Account, stored_as: dict[str, str], aliases: list[str], transport: list[str]) -> None:
    """What of the account's mail goes on to other addresses, while it is here.

    Postfix reads the aliases when a message enters its queue. What entered while the account was held or elsewhere has
    the forwarder's address still, so its delivery is to enter it again."""
    forwarded = {forwarder.address for forwarder in account.forwarders}
    caught = {forwarder.domain for forwarder in account.forwarders if forwarder.catches_all}
    for forwarder in account.forwarders:
        to = [stored_as[target] if target == forwarder.address else target for target in forwarder.to]
        aliases.append(f"{forwarder.address} {', '.join(to)}")
        transport.append(f"{forwarder.domain if forwarder.catches_all else forwarder.address} {_ENTER_AGAIN}")
    for key, address in stored_as.items():
        if address != key and key not in forwarded:
            aliases.append(f"{key} {address}")
            transport.append(f"{key} {_ENTER_AGAIN}")
        if key.partition("@")[2] in caught:
            aliases.append(f"{address} {address}")
            transport.append(f"{address} {_TO_DOVECOT}")


def _for_postfix(address: str) -> str:
    return f"ipv6:{address}" if ipaddress.ip_address(address).version == 6 else address


def certificate_settings(accounts: list[Account], version: str) -> str:
    """Dovecot's certificates by SNI, in the words of its version ("2.3" or "2.4")."""
    blocks = []
    for account in accounts:
        for domain in account.domains:
            path = CERTIFICATES / f"{domain}.pem"
            if not path.is_file():
                continue
            if version == "2.3":
                settings = (f"ssl_cert = <{path}", f"ssl_key = <{path}")
            else:
                settings = (f"ssl_server_cert_file = {path}", f"ssl_server_key_file = {path}")
            blocks.append(f"local_name {domain} {{\n  {settings[0]}\n  {settings[1]}\n}}\n")
    return "".join(blocks)


def render(*, certificates: bool = False) -> None:
    """Make the mail servers follow the accounts and their states; nothing happens where nothing changed."""
    with locked(RUNTIME / "mail.lock"):
        accounts = all_accounts()
        changed = False
        for name, content in tables([(a, standing(a.name)) for a in accounts]).items():
            if name == "passwd":
                # Dovecot reads this one again by itself when its time or size has changed.
                write_if_changed(_MAIL / name, content, 0o640, (0, grp.getgrnam("dovecot").gr_gid))
            else:
                changed |= write_if_changed(_MAIL / name, content)
        if changed:
            _reload_postfix()
        if certificates:
            version = ".".join(run(["dovecot", "--version"]).stdout.decode().split(".")[:2])
            if write_if_changed(_MAIL / "certificates.conf", certificate_settings(accounts, version)):
                run(["systemctl", "reload-or-restart", "dovecot.service"])


def send_from(addresses: list[str]) -> None:
    """Let mail to the world leave by these service addresses, the first of each family; of a family that has none, by
    the address that this server reaches the world with. Mail between servers is not meant: see Postfix's main.cf."""
    first = {family: "" for family in _SENT_FROM}
    for address in reversed(addresses):
        first[ipaddress.ip_address(address).version] = address
    settings = [f"{_SENT_FROM[family]} = {address}".rstrip() for family, address in first.items()]
    with locked(RUNTIME / "mail.lock"):
        in_force = run(["postconf", *_SENT_FROM.values()]).stdout.decode().splitlines()
        if [line.rstrip() for line in in_force] != settings:
            run(["postconf", "-e", *settings])
            _reload_postfix()


def follow(account: Account) -> None:
    """Make the mail servers follow the state of this account: what a hold, a return or a release changes of it."""
    if account.mail_domains:
        render()


def _reload_postfix() -> None:
    """What `postfix reload` does in the end, without the half second its script takes for checks."""
    try:
        os.kill(int(_MASTER_PID.read_text()), signal.SIGHUP)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        pass  # not running: it reads its tables when it starts


# --- the queue ---


def queue() -> list[dict[str, Any]]:
    """The messages in Postfix's queue: queue_name, queue_id, recipients (addresses)."""
    messages = []
    for line in run(["postqueue", "-j"]).stdout.splitlines():
        item = json.loads(line)
        addresses = [recipient["address"] for recipient in item.get("recipients", [])]
        messages.append({"queue_name": item["queue_name"], "queue_id": item["queue_id"], "recipients": addresses})
    return messages


def drain(account: Account, seconds: float = 5) -> None:
    """Wait until no message is being delivered to the account; Dovecot must already be told to take none.

    Dovecot's entry is what stops deliveries, at once; Postfix reads its tables again when it comes to that, and keeps
    until then what Dovecot does not take. So only what it is delivering at this moment is waited for.
    """
    domains = {*account.mail_domains}
    end = time.monotonic() + seconds
    # On a quiet server its directory is empty, and nobody need be asked.
    while domains and any(_ACTIVE.iterdir()):
        busy = [
            message["queue_id"]
            for message in queue()
            if message["queue_name"] == "active" and domains & {a.rpartition("@")[2] for a in message["recipients"]}
        ]
        if not busy:
            return
        if time.monotonic() > end:
            refuse("mail_under_way", f"A delivery does not end (message {busy[0]}); look at it and try again.")
        time.sleep(0.01)


def flush() -> None:
    """Try everything in the queue again in a second: until then Postfix may still read the tables of before."""
    argv = ["systemd-run", "--quiet", "--collect", "--on-active=1", "--timer-property=AccuracySec=100ms"]
    run([*argv, "/usr/sbin/postqueue", "-f"], check=False)


# --- messages ---


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
