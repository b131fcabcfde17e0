"""The moment at which a hold begins: when it cuts nobody short, and when cron is not about to look.

Cron looks at every full minute. An account that is on neither side at that moment would miss its jobs of that minute;
one that is quick enough to be on both would run them twice.
"""

import re
import time
from datetime import UTC, datetime
from pathlib import Path

from ..account.accounts import Account
from ..host import processes, system
from ..host.system import refuse
from ..layouts import php

PATIENCE = 30.0
"""Seconds that a cron job or a long request is waited for. A job that runs longer is ended by the hold and reported; a
request is not, so nothing is begun."""
OLD = 0.5
"""Seconds after which a request in PHP is taken for one that lasts; younger ones end within the hold."""
AROUND_THE_MINUTE = 2.0


def await_it(account: Account, expected: float, requests: php.Requests) -> None:
    """Wait for a good moment to begin a hold of about `expected` seconds."""
    end = time.monotonic() + PATIENCE
    while jobs_of(account.uid) and time.monotonic() < end:
        time.sleep(0.1)
    while (long := requests.not_to_be_cut(OLD)) and time.monotonic() < end:
        time.sleep(0.05)
    if long:
        refuse(
            "php_busy",
            f"{php.told(account, long[0])} and would be cut by a hold, so nothing was begun; wait until it has ended"
            " and perform again.",
        )
    if account.has_cron_file or (system.CRONTABS / account.name).is_file():
        time.sleep(until_clear(datetime.now(UTC), expected))


def until_clear(now: datetime, expected: float) -> float:
    """Seconds until a hold of `expected` seconds meets no full minute; 0 when it does not, or cannot help it."""
    at = now.second + now.microsecond / 1e6
    if at < AROUND_THE_MINUTE:
        return AROUND_THE_MINUTE - at
    if at + expected + AROUND_THE_MINUTE > 60 and expected + 2 * AROUND_THE_MINUTE < 60:
        return 60 - at + AROUND_THE_MINUTE
    return 0.0


def jobs_of(uid: int) -> list[int]:
    """Processes of `uid` that cron has started, at any depth."""
    parents: dict[int, tuple[int, str]] = {}
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            text = path.read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        name, parent = re.search(r"^Name:\t(.*)$", text, re.MULTILINE), re.search(r"^PPid:\t(\d+)$", text, re.MULTILINE)
        if name and parent:
            parents[int(path.parent.name)] = (int(parent[1]), name[1])
    return [pid for pid in processes.of_user(uid) if _below_cron(pid, parents)]


def _below_cron(pid: int, parents: dict[int, tuple[int, str]]) -> bool:
    while pid in parents:
        pid, name = parents[pid]
        if name == "cron":
            return True
    return False
