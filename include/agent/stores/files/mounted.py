"""A home is one file system: what is mounted below it is nowhere to be seen from the sandbox, so it is not copied, not
followed and not compared. Whoever copies or compares a home asks here first."""

from __future__ import annotations

import shlex

from ...account.accounts import Account
from ...host import mounts
from ...host.digest import printable
from ...host.system import refuse

_TOLD = 200


def require_none(account: Account) -> None:
    """Refuse a home below which something is mounted."""
    places = mounts.below(account.home)
    if not places:
        return
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    refuse(
        "mounted_below",
        f"{_shown(places[0])}{more} is mounted below the home of {account.name}, where no copy would bring it along:"
        f" copy what is in it into a folder of the home, then unmount it (umount -- {_shown(shlex.quote(places[0]))}).",
    )


def _shown(path: str) -> str:
    shown = printable(path)
    return shown if len(shown) <= _TOLD else f"{shown[:_TOLD]}..."
