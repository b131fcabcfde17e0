"""What still comes here for accounts that have moved, counted: it tells ops when the old path is idle.

The front counts by itself, until it is restarted; the mail servers tell in the journal what they have passed on. Each
look adds what is new to the sums in a file of ours.
"""

import json
import re
import time
from typing import Any

from ..account.accounts import Account, State, all_accounts, standing
from ..host.system import RUNTIME, STATE, locked, read_json, run, write_durably
from . import front

_FILE = STATE / "forwarded.json"
_KEPT_BY_THE_FRONT = 24 * 86400
_ROW = re.compile(r"key=([a-z0-9_-]+)/([a-z]+) use=\d+ exp=(\d+) .*gpc0=(\d+)")
_UNITS = ("postfix@-.service", "postfix.service", "dovecot.service")
_SENT = re.compile(r"to=<[^>]*@([^>@]+)>,.* relay=[^\[]*\[([0-9a-fA-F.:]+)\]:25,.* status=sent ")
_PROXIED = re.compile(r"imap-login: .*proxy\([^)]*,([0-9a-fA-F.:]+):143\): [Ss]tarted proxying .*user=<[^>]*@([^>@]+)>")


def counts(account: Account) -> dict[str, dict[str, Any]]:
    """What was passed on for the account since it first moved, by protocol: {"count", "last": Unix time}."""
    if standing(account.name).to is None:
        return {}
    return _collect()["sums"].get(account.name, {})


def _collect() -> dict[str, Any]:
    """The sums, with what is new. {"sums": {account: {protocol: ...}}, "front": what it counted, "cursor", "at"}"""
    with locked(RUNTIME / "forwarded.lock"):
        saved = read_json(_FILE) or {"sums": {}, "front": {}, "cursor": None, "at": 0.0}
        if time.time() - saved["at"] < 1:
            return saved
        accounts = [(a, standing(a.name)) for a in all_accounts()]
        moved = [(a, s) for a, s in accounts if s.to]
        sums = {a.name: saved["sums"].get(a.name, {}) for a, _ in moved}
        counted, rows = _of_the_front(front.command("show table forwarded"), time.time())
        for (name, protocol), (count, last) in rows.items():
            before = saved["front"].get(f"{name}/{protocol}", 0)
            # A front that counts less than before was restarted, and began anew.
            _add(sums, name, protocol, count - before if count >= before else count, last)
        cursor = saved["cursor"]
        if moved:
            since = saved["at"] or min(s.since or 0.0 for _, s in moved)
            entries, cursor = _journal(cursor, since)
            for name, protocol, at in _of_the_mail(entries, moved):
                _add(sums, name, protocol, 1, at)
        fresh = {"sums": sums, "front": counted, "cursor": cursor, "at": time.time()}
        write_durably(_FILE, json.dumps(fresh))
        return fresh


def _add(sums: dict[str, Any], name: str, protocol: str, count: int, last: float) -> None:
    if name in sums and count > 0:
        item = sums[name].setdefault(protocol, {"count": 0, "last": 0})
        item["count"] += count
        item["last"] = max(item["last"], round(last))


def _of_the_front(answer: str, now: float) -> tuple[dict[str, int], dict[tuple[str, str], tuple[int, float]]]:
    """The front's table: {"account/protocol": count}, and by account and protocol the count and the last time."""
    rows = {}
    for name, protocol, left, count in _ROW.findall(answer):
        rows[name, protocol] = (int(count), now - (_KEPT_BY_THE_FRONT - int(left) / 1000))
    return {f"{name}/{protocol}": count for (name, protocol), (count, _) in rows.items()}, rows


def _journal(cursor: str | None, since: float) -> tuple[list[dict[str, Any]], str | None]:
    """What the mail servers have said since the cursor (else since that time), and the cursor for the next look."""
    argv = ["journalctl", "--quiet", "--output=json", "--output-fields=MESSAGE", "--no-pager"]
    # The units are what the journal itself knows: no customer can write in their name.
    units = [f"_SYSTEMD_UNIT={unit}" for unit in _UNITS]
    done = run([*argv, f"--after-cursor={cursor}" if cursor else f"--since=@{since:.0f}", *units], check=False)
    if done.returncode and cursor:
        # The entry of the cursor is gone.
        done = run([*argv, f"--since=@{since:.0f}", *units], check=False)
    entries = [json.loads(line) for line in done.stdout.splitlines()]
    return entries, entries[-1]["__CURSOR"] if entries else cursor


def _of_the_mail(entries: list[dict[str, Any]], moved: list[tuple[Account, State]]) -> list[tuple[str, str, float]]:
    """The deliveries and logins in the journal that went to where the account is now: account, protocol, time."""
    owner = {(domain, state.to): account.name for account, state in moved for domain in account.mail_domains}
    passed_on = []
    for entry in entries:
        message = entry.get("MESSAGE")
        if not isinstance(message, str):
            continue
        at = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
        if sent := _SENT.search(message):
            key, protocol = (sent[1].lower(), sent[2]), "smtp"
        elif proxied := _PROXIED.search(message):
            key, protocol = (proxied[2].lower(), proxied[1]), "imap"
        else:
            continue
        if key in owner:
            passed_on.append((owner[key], protocol, at))
    return passed_on
