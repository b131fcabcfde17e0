"""Mail for an account with names as panels allow them, forwarders and a catch-all; and a mailbox with folders and
keywords of every kind."""

from __future__ import annotations

import imaplib
import json
import re
import smtplib
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.lab.agents import PASSWORD_HASH, Side

NAME, HERE, CAUGHT = "names", "names.example", "caught.example"
_FILE = Path(__file__).parent / "cases" / "inputs" / "83-mailbox-names.json"
_FORWARDERS = {
    f"team@{HERE}": [f"o'neil@{HERE}", f"sales_@{HERE}", "other@elsewhere.example"],
    f"chain@{HERE}": [f"team@{HERE}"],
    f"kept@{HERE}": [f"kept@{HERE}", f"sales_@{HERE}"],
    f"@{CAUGHT}": [f"box@{CAUGHT}"],
}
_MORE = [f"Info@{HERE}", f"a+b@{HERE}", f"kept@{HERE}", f"box@{CAUGHT}", f"-{{x}}@{CAUGHT}"]
ARRIVES = {
    f"o'neil@{HERE}": ["o'neil"],
    f"SALES_@{HERE}": ["sales_"],
    f"info+news@{HERE}": ["Info"],
    f"a+b@{HERE}": ["a+b"],
    f"team@{HERE}": ["o'neil", "sales_"],
    f"chain@{HERE}": ["o'neil", "sales_"],
    f"kept@{HERE}": ["kept", "sales_"],
    f"anything@{CAUGHT}": ["box"],
    f"box@{CAUGHT}": ["box"],
    f"-{{x}}@{CAUGHT}": ["-{x}"],
}
"""In which mailboxes a message to each address lies in the end, once."""
_FOLDERS = ("Entw&APw-rfe", "&ZeVnLA-", "a&-b", "deep.er.still", "with space ", "&APw-n&AO8-.c&APQ-de")


def statement() -> dict[str, Any]:
    """The account file of the case, with more mailboxes, a domain and forwarders."""
    whole = {key: value for key, value in json.loads(_FILE.read_text()).items() if not key.startswith("_")}
    mail = whole["mail"]
    mail["domains"] = [HERE, CAUGHT]
    mail["mailboxes"] += [{"address": address, "password_hash": PASSWORD_HASH} for address in _MORE]
    mail["forwarders"] = [{"address": address, "to": to} for address, to in _FORWARDERS.items()]
    return whole


def send(one: Side, mark: str) -> None:
    """A message from outside to each address, by SMTP to this server."""
    with smtplib.SMTP(one.address, 25, timeout=20) as server:
        for address in ARRIVES:
            server.sendmail("visitor@outside.example", [address], f"Subject: {mark} {address}\n\nhello\n")


def submit(one: Side, mark: str) -> None:
    """The same from a program on the server itself, which no hold refuses: its message waits."""
    for address in ARRIVES:
        message = f"Subject: {mark} {address}\n\nhello\n".encode()
        one.root("sendmail", "-f", "visitor@outside.example", "--", address, stdin=message)


def lie_in(one: Side) -> Counter[tuple[str, str]]:
    """The messages on this server: (mailbox, subject), and how often."""
    find = f"find /home/{NAME}/mail -path '*/Maildir/*' '(' -path '*/cur/*' -o -path '*/new/*' ')' -type f"
    rows = one.root("sh", "-c", f"{find} -exec grep -H '^Subject: ' {{}} +", check=False).splitlines()
    split = (row.split("/Maildir/", 1) for row in rows)
    return Counter((home.rpartition("/")[2], rest.partition(":Subject: ")[2]) for home, rest in split)


def expected(*marks: str) -> Counter[tuple[str, str]]:
    return Counter((box, f"{mark} {to}") for mark in marks for to, boxes in ARRIVES.items() for box in boxes)


def all_lie_in(one: Side, *marks: str) -> Counter[tuple[str, str]]:
    """What is there once everything is, or after a while; without the messages that `fill` has put there."""
    for _ in range(80):
        found = Counter({key: n for key, n in lie_in(one).items() if not key[1].startswith("filled")})
        if found >= expected(*marks) and not {HERE, CAUGHT} & {*re.findall(r"@([a-z.]+)", one.root("postqueue", "-j"))}:
            break
        time.sleep(0.25)
    return found


def went_elsewhere(one: Side, expected: int) -> int:
    """How many messages this server has made for the address that is nowhere in the lab; waits for that many."""
    for _ in range(40):
        journal = one.root("journalctl", "--quiet", "--no-pager", "-u", "postfix*")
        found = len({*re.findall(r": (\w+): to=<other@elsewhere\.example>", journal)})
        if found >= expected:
            break
        time.sleep(0.25)
    return found


def fill(one: Side) -> None:
    """Folders with odd names, and 40 keywords: a file's name holds 26 of them, Dovecot's index the others."""
    with _login(one) as box:
        for folder in _FOLDERS:
            _ok(box.create(f'"{folder}"'))
            _ok(box.subscribe(f'"{folder}"'))
        for number in range(3):
            _ok(box.append("INBOX", "", "", f"From: a@b.example\r\nSubject: filled {number}\r\n\r\nx\r\n".encode()))
        _ok(box.append(f'"{_FOLDERS[0]}"', r"\Seen", "", b"Subject: filled\r\n\r\nx\r\n"))
        _ok(box.unsubscribe(f'"{_FOLDERS[2]}"'))
        box.select("INBOX")
        for number in range(40):
            _ok(box.store("1:3", "+FLAGS", f"(Keyword{number})"))
        _ok(box.store("2", "+FLAGS", r"(\Seen \Flagged $Label1 Non-Junk)"))


def look(one: Side) -> dict[str, Any]:
    """What a mail program sees of that mailbox."""
    with _login(one) as box:
        found: dict[str, Any] = {"list": sorted(_ok(box.list())), "lsub": sorted(_ok(box.lsub()))}
        for folder in ("INBOX", *_FOLDERS):
            found[folder] = _ok(box.status(f'"{folder}"', "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN)"))
        for folder in ("INBOX", _FOLDERS[0]):
            box.select(f'"{folder}"', readonly=True)
            rows = _ok(box.uid("FETCH", "1:*", "(FLAGS)"))
            found[f"flags of {folder}"] = [sorted(row.replace(b"(", b" ").replace(b")", b" ").split()) for row in rows]
    return found


def _login(one: Side) -> imaplib.IMAP4:
    box = imaplib.IMAP4(one.address, timeout=20)
    box.login(f"o'neil@{HERE}", "secret")
    return box


def _ok(answer: tuple[str, list[Any]]) -> list[Any]:
    assert answer[0] == "OK", answer
    return answer[1]
