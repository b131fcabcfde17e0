"""Postfix's queue, and telling Postfix to read its tables again: the same in every layout."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from ..account.accounts import Account
from ..host.system import refuse, run

_MASTER_PID = Path("/var/spool/postfix/pid/master.pid")
_ACTIVE = Path("/var/spool/postfix/active")


def reload_postfix() -> None:
    """What `postfix reload` does in the end, without the half second its script takes for checks."""
    try:
        os.kill(int(_MASTER_PID.read_text()), signal.SIGHUP)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        pass  # not running: it reads its tables when it starts


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
