"""The long verb `inspect`: everything that lives on the server and is no account's, a sentence each. It only reads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from .. import verbs
from ..account.accounts import all_accounts, unreadable
from ..host.operations import Report
from ..host.system import Refused
from ..layouts import extras
from ..verbs import Inspected, Unclaimed
from . import claims, clusters, containers, files, listening, mounted, schedules, zones
from .here import NOT_LOOKED_AT, Here, at_most, unclaimed

_PARTS: dict[str, Callable[[Here], list[Unclaimed]]] = {
    "accounts": claims.look,
    "mounts": mounted.look,
    "database servers": clusters.look,
    "containers": containers.look,
    "listening programs": listening.look,
    "crontabs and timers": schedules.look,
    "zones": zones.look,
}


def inspect(_want: verbs.Inspect, report: Report) -> Inspected:
    """Look at the whole server."""
    return Inspected(unclaimed=look(report))


def look(report: Report = lambda **_: None) -> list[Unclaimed]:
    """Everything that is no account's, by kind and name. What could not be looked at is told as one more thing."""
    accounts = all_accounts()
    here = Here(Path("/"), accounts, unreadable())
    things: list[Unclaimed] = []
    for part_name, part in _PARTS.items():
        report(step=part_name)
        things += _tried(part_name, partial(part, here))
    report(step="files")
    elsewhere = {each.name for each in things if each.kind in (clusters.KIND, containers.KIND, "crontab", "timer")}
    accounts_own = here.folders | {path for account in accounts for path in extras.paths(account)}
    things += _tried("files", partial(files.look, here, elsewhere | accounts_own))
    return sorted(at_most(things), key=lambda each: (each.kind, each.name))


def _tried(part_name: str, part: Callable[[], list[Unclaimed]]) -> list[Unclaimed]:
    """One part that fails does not hide the others, nor itself."""
    try:
        return part()
    except (OSError, ValueError, LookupError, Refused) as error:
        return [unclaimed(NOT_LOOKED_AT, part_name, f"The {part_name} of this server could not be looked at: {error}")]
