"""The long verb `inspect`: everything that lives on the server and is no account's, a sentence each. It only reads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from .. import verbs
from ..account.accounts import all_accounts, unreadable
from ..host.operations import Report
from ..host.system import Refused
from ..verbs import Thing, Unclaimed
from . import claims, clusters, containers, files, listening, mounted, schedules, zones
from .here import NOT_LOOKED_AT, Here, at_most, thing

_PARTS: dict[str, Callable[[Here], list[Thing]]] = {
    "accounts": claims.look,
    "mounts": mounted.look,
    "database servers": clusters.look,
    "containers": containers.look,
    "listening programs": listening.look,
    "crontabs and timers": schedules.look,
    "zones": zones.look,
}


def inspect(_want: verbs.Inspect, report: Report) -> Unclaimed:
    """Look at the whole server."""
    return Unclaimed(things=look(report))


def look(report: Report = lambda **_: None) -> list[Thing]:
    """Everything that is no account's, by kind and name. What could not be looked at is told as one more thing."""
    accounts = all_accounts()
    here = Here(Path("/"), accounts, unreadable())
    found: list[Thing] = []
    for what, part in _PARTS.items():
        report(step=what)
        found += _tried(what, partial(part, here))
    report(step="files")
    told = [one.name for one in found if one.kind in (clusters.KIND, containers.KIND, "crontab", "timer")]
    found += _tried("files", partial(files.look, here, told))
    return sorted(at_most(found), key=lambda one: (one.kind, one.name))


def _tried(what: str, part: Callable[[], list[Thing]]) -> list[Thing]:
    """One part that fails does not hide the others, nor itself."""
    try:
        return part()
    except (OSError, ValueError, LookupError, Refused) as error:
        return [thing(NOT_LOOKED_AT, what, f"The {what} of this server could not be looked at: {error}")]
