"""A mailbox that was place_file, as an account file says it: where it lies, and how much it may hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ....account.mail_places import Place, Quota, folders, is_in
from ....host.system import Refused
from ....verbs.discovered import Discovered, Mailbox

_KIND = re.compile(r"([a-z]{2,12}):(?=/)")
_RULE = re.compile(r"(?:\*:)?((?:storage|bytes|messages)=\d{1,18}[bkmgt]?(?:i?b)?(?::(?!\Z)|\Z))+", re.IGNORECASE)
_LIMIT = re.compile(r"(storage|bytes|messages)=(\d+)([bkmgt]?)", re.IGNORECASE)
_SIZE = re.compile(r"(\d{1,18})\s*([bkmgt]?)i?b?", re.IGNORECASE)
_UNITS = {"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}

Cannot = Callable[[str, str], None]
"""Told in a sentence what an account file cannot say, and of which kind that is."""


def place(box: Mailbox, account: Discovered, others: set[int], cannot: Cannot) -> dict[str, Any] | None:
    """Where its messages lie; None where that is as usual, or cannot be said. `others`: the users of other accounts."""
    usual = f"{account.home}/mail/{box.address.partition('@')[2]}/{box.address.partition('@')[0]}"
    match = _KIND.match(box.folder)
    path, *options = box.folder[match.end() if match else 0 :].split(":")
    path = path.rstrip("/") or path
    if not path:
        return None
    if match and match[1] != "maildir":
        cannot(
            f"The messages of {box.address} are kept as {match[1]}; only Maildir goes over, so convert them.", "kind"
        )
        return None
    layout = {"LAYOUT=fs": "fs", "LAYOUT=FS": "fs"}.get(next(iter(options), ""), "")
    strange = [option for option in options if not _says_nothing(option, path, layout)]
    if strange:
        cannot(f"The messages of {box.address} are set out by {strange[0]}; only LAYOUT=fs is understood.", "options")
        return None
    home = box.home.rstrip("/")
    if (path, layout) == (f"{usual}/Maildir", "") and home in ("", usual):
        place_file = None
    else:
        place_file = {"maildir": path, "home": _home(home, path, box.address), **({"layout": layout} if layout else {})}
        try:
            folders([(box.address, Place.from_json(place_file, box.address))], account.home)
        except Refused as error:
            cannot(error.message, "folder")
            return None
    inside = is_in(path, account.home)
    if box.owner is not None and (box.owner != account.uid if inside else box.owner in others or box.owner == 0):
        cannot(f"The messages of {box.address} belong to the user {box.owner}, not to {account.name}.", "owner")
    return place_file


def _says_nothing(option: str, path: str, layout: str) -> bool:
    name, _, value = option.partition("=")
    return (
        not option
        or (name == "LAYOUT" and bool(layout))
        or (name in ("INDEX", "CONTROL") and value.rstrip("/") == path)
    )


def _home(home: str, maildir: str, address: str) -> str:
    """What Dovecot takes for the home, where that is the mailbox's own."""
    own = home and is_in(maildir, home) and {address, address.partition("@")[2]} & {*home.split("/")}
    return home if own else maildir


def quota(box: Mailbox, cannot: Cannot) -> dict[str, int] | None:
    """How much it may hold."""
    if not box.quota:
        return None
    if size := _SIZE.fullmatch(box.quota):
        limits = [("bytes", size[1], size[2])]
    elif _RULE.fullmatch(box.quota):
        limits = _LIMIT.findall(box.quota)
    else:
        cannot(
            f"The quota {box.quota} of the mailbox {box.address} is not understood; say it as *:storage=1G.", "quota"
        )
        return None
    quota_file = {}
    for key, number, unit in limits:
        if key.lower() == "messages":
            quota_file["messages"] = int(number)
        else:
            usual = "k" if key.lower() == "storage" else "b"
            quota_file["bytes"] = int(number) * _UNITS[(unit or usual).lower()]
    try:
        Quota.from_json(quota_file, box.address)
    except Refused as error:
        cannot(error.message, "quota")
        return None
    return quota_file
