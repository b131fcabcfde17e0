"""Pools of PHP that the host's own provisioning has made for an account: found by whom they run as."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ...account.accounts import Account
from ...host import kept
from ...host.digest import printable
from .reading import pools
from .reading.tree import Tree


def addresses(account: Account, root: Path) -> tuple[str, ...]:
    """Where they listen; none of an account whose pools are its extras."""
    return _read(account.name, str(account.uid), root) if account.provisioned else ()


@kept.once
def _read(name: str, uid: str, root: Path) -> tuple[str, ...]:
    """Once a run: a hold asks again and again, and its rehearsal before it."""
    return tuple(each.listen for each in pools.read(Tree(root)) if each.user in (name, uid))


def at_ports(name: str, listens: Iterable[str]) -> list[str]:
    """Which of an account's pools cannot be shut, by where they listen: a sentence each."""
    return [
        f"A pool of PHP of {name} listens at {printable(address)}, where it cannot be shut: let it listen at a socket"
        " below /run/php."
        for address in listens
        if not address.startswith("/")
    ]
