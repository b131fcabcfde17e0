"""Users, homes and databases that are no account's, and accounts whose own file cannot be read."""

from __future__ import annotations

import os
import pwd
from collections.abc import Collection
from pathlib import Path

from ..account.accounts import Account, standing
from ..move import stores
from ..verbs import Unclaimed
from .here import Here, unclaimed


def look(here: Here) -> list[Unclaimed]:
    """What of these is nobody's."""
    names = names_unclaimed(here.accounts)
    things = [
        unclaimed(f"{engine.name}_database", name, f"The {engine.title} database {name!r} belongs to no account.")
        for engine in stores.ENGINES
        for name in names[engine.name]
    ]
    things += [
        unclaimed("user", name, f"The user or home {name!r} belongs to no account.")
        for name in names["users"]
        if name not in here.unreadable
    ]
    readable = {account.name for account in here.accounts}
    return things + [unclaimed("account", name, why) for name, why in here.unreadable.items() if name not in readable]


def names_unclaimed(accounts: Collection[Account]) -> dict[str, list[str]]:
    """Databases and users that are no account's, not even left behind by the move of an engine."""
    names = {account.name for account in accounts}
    users = {entry.pw_name for entry in pwd.getpwall() if 1000 <= entry.pw_uid < 60000}
    homes = in_use(Path("/home"))
    databases = {}
    for engine in stores.ENGINES:
        claimed = {name for account in accounts for name in account.names(engine.name, "databases")}
        databases[engine.name] = sorted({*engine.databases()} - claimed - _left(accounts, engine.name))
    return {
        **databases,
        "users": sorted((users | homes) - names),
    }


def in_use(homes: Path) -> set[str]:
    """The names there that may be somebody's: all but empty folders and what keeps the quotas of that disk."""
    return {entry.name for entry in homes.iterdir() if entry.name not in _OF_QUOTAS and not _is_empty(entry)}


_OF_QUOTAS = {"aquota.user", "aquota.group", "quota.user", "quota.group"}


def _is_empty(path: Path) -> bool:
    """Of a folder; what is none, or does not answer, is not known to be."""
    try:
        return not os.listdir(path)
    except OSError:
        return False


def _left(accounts: Collection[Account], engine: str) -> set[str]:
    """The databases that stay behind here, locked, of accounts whose databases of this engine live elsewhere."""
    moved = [standing(account.name).engines.get(engine, {}) for account in accounts]
    return {name for place in moved for name in (place.get("left") or {"databases": []})["databases"]}
