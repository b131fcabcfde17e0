"""Is everything there that visitors were told is written? `python -m lab.visitors.final_check < QUESTION`

Asks through the sites and through IMAP, as a visitor. QUESTION is JSON on stdin: {"logs": [paths],
"resolver", "ca", "sites": {account: domain}, "mailboxes": {address: password}}. Answers with JSON: {account:
{"written", "lost": [ids], "sent", "missing": [ids], "twice": [ids]}}; `written` and `sent` count what was
acknowledged.
"""

from __future__ import annotations

import asyncio
import imaplib
import json
import re
import ssl
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from lab.visitors.names import Names
from lab.visitors.summary import accepted_mail, acknowledged, events
from lab.visitors.web import answer

SECONDS = 60
"""How long accepted mail may take to be in its mailbox."""
MESSAGE_ID = re.compile(rb"^message-id:\s*<([^@>]+)@", re.IGNORECASE | re.MULTILINE)


async def listed(domain: str, address: str, ca: str) -> set[str]:
    """Every id that the site holds."""
    tls = ssl.create_default_context(cafile=ca)
    reader, writer = await asyncio.open_connection(address, 443, ssl=tls, server_hostname=domain)
    try:
        writer.write(f"GET /visit.php?list HTTP/1.1\r\nHost: {domain}\r\nConnection: close\r\n\r\n".encode())
        status, body = await asyncio.wait_for(answer(reader), 60)
        if status != 200:
            raise ValueError(f"https://{domain}/visit.php?list answers {status}")
        return set(body.decode().split())
    finally:
        writer.transport.abort()


def _of_any_name() -> ssl.SSLContext:
    """Debian's Dovecot takes no password in the clear, and shows a certificate of its own making."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def received(address: str, password: str, names: Names, prefix: str = "mail-") -> Counter[str]:
    """How often each message of the mail visitor is in the mailbox, in any of its folders."""
    counts: Counter[str] = Counter()
    with imaplib.IMAP4(names.address(address.rpartition("@")[2], 4), 143, timeout=60) as imap:
        if "STARTTLS" in imap.capabilities:
            imap.starttls(_of_any_name())
        imap.login(address, password)
        listed: list[Any] = imap.list()[1]
        for line in listed:
            folder = line.decode().rpartition('" ')[2].strip().strip('"')
            imap.select(f'"{folder}"', readonly=True)
            if not imap.search(None, "ALL")[1][0]:
                continue
            for part in imap.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")[1]:
                if isinstance(part, tuple) and (match := MESSAGE_ID.search(part[1])):
                    counts[match[1].decode()] += 1
    return Counter({identity: times for identity, times in counts.items() if identity.startswith(prefix)})


def check(question: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Compares what was acknowledged with what is there."""
    names = Names(question["resolver"])
    events_seen = list(events(Path(path) for path in question["logs"]))
    result = {}
    for account, domain in question["sites"].items():
        wrote, sent = acknowledged(events_seen, account), accepted_mail(events_seen, account)
        stored = asyncio.run(listed(domain, names.address(domain, 4), question["ca"])) if wrote else set()
        until = time.monotonic() + SECONDS
        while True:
            boxes = {to: received(to, question["mailboxes"][to], names) for to in sorted(set(sent.values()))}
            missing = [identity for identity, to in sent.items() if not boxes[to][identity]]
            if not missing or time.monotonic() > until:
                break
            time.sleep(1)
        twice = [identity for box in boxes.values() for identity, times in box.items() if times > 1]
        result[account] = {
            "written": len(wrote),
            "lost": sorted(wrote - stored),
            "sent": len(sent),
            "missing": sorted(missing),
            "twice": sorted(twice),
        }
    return result


if __name__ == "__main__":
    json.dump(check(json.load(sys.stdin)), sys.stdout)
