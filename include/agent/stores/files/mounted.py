"""A home is one file system: what is mounted below it is nowhere to be seen from the sandbox, so it is not copied, not
followed and not compared. Whoever copies or compares a home asks here first."""

from __future__ import annotations

import shlex

from ...host import mounts
from ...host.digest import printable
from ...host.system import refuse
from .trees import Tree

_TOLD = 200


def require_none(tree: Tree) -> None:
    """Refuse a home, or a folder of messages, below which something is mounted."""
    places = mounts.below(*tree.folders)
    if not places:
        return
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    unmount = f"umount -- {_shown(shlex.quote(places[0]))}"
    below = "a folder of messages" if tree.messages else "the home"
    refuse(
        "mounted_below",
        f"{_shown(places[0])}{more} is mounted below {below} of {tree.account.name}, where no copy would bring it"
        f" along: copy what is in it into a plain folder there, then unmount it ({unmount}).",
    )


def _shown(path: str) -> str:
    shown = printable(path)
    return shown if len(shown) <= _TOLD else f"{shown[:_TOLD]}..."
