"""Which databases are an account's: by who owns them in their engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....account.engines import DECLARED
from ....host.digest import printable
from .tree import Notes

Owned = Mapping[str, Mapping[str, list[Any]]]
"""By engine and database, who owns it: each as an account file lists the users of that engine."""


def of_account(name: str, owned: Owned) -> dict[str, dict[str, list[Any]]]:
    """The databases with an owner of the account's name, or of one that begins with it and a `_`; and these owners."""
    found: dict[str, dict[str, list[Any]]] = {}
    for engine in DECLARED:
        (users,) = (key for key in engine.lists if key != "databases")
        databases = []
        theirs: list[Any] = []
        for database, owners in owned.get(engine.name, {}).items():
            mine = [owner for owner in owners if _is_of(name, owner)]
            if mine:
                databases.append(database)
                theirs += [owner for owner in mine if owner not in theirs]
        if databases:
            found[engine.name] = {users: theirs, "databases": databases}
    return found


def _is_of(name: str, owner: Any) -> bool:
    called = owner["user"] if isinstance(owner, dict) else owner
    return bool(called == name or called.startswith(f"{name}_"))


def note_nobodys(accounts: list[str], owned: Owned, notes: Notes) -> None:
    """Tell the databases that are no account's, with who owns them."""
    for engine in DECLARED:
        for database, owners in owned.get(engine.name, {}).items():
            if not any(_is_of(name, owner) for name in accounts for owner in owners):
                names = [f"{one['user']}@{one['host']}" if isinstance(one, dict) else one for one in owners]
                whose = f"is owned by {', '.join(names[:5])}" if names else "has no user of its own"
                notes.add(
                    f"The {engine.title} database {printable(database)} {whose}, who is no account here; say whose it"
                    " is in that account's file."
                )
