"""Which databases are an account's: by who owns them in their engine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from ....account.engines import DECLARED
from ....host.digest import printable
from .tree import Notes

Owned = Mapping[str, Mapping[str, list[Any]]]
"""By engine and database, who owns it: each as an account file lists the users of that engine."""
Databases = dict[str, dict[str, list[Any]]]
"""Of one account, as its account file has them."""


def by_account(names: Collection[str], owned: Owned, notes: Notes) -> dict[str, Databases]:
    """Each account's databases: an owner is the account's whose name it has, or begins with, before a `_`. What is
    nobody's, or several accounts', is noted."""
    databases: dict[str, Databases] = defaultdict(dict)
    for engine in DECLARED:
        (users,) = (key for key in engine.lists if key != "databases")
        for database, owners in owned.get(engine.name, {}).items():
            accounts = {name: None for owner in owners if (name := _account_of(_called(owner), names))}
            if len(accounts) != 1:
                _note(engine.title, database, owners, [*accounts], notes)
            for name in accounts:
                theirs = databases[name].setdefault(engine.name, {users: [], "databases": []})
                theirs["databases"].append(database)
                mine = [owner for owner in owners if _account_of(_called(owner), names) == name]
                theirs[users] += [owner for owner in mine if owner not in theirs[users]]
    return databases


def _called(owner: Any) -> str:
    return str(owner["user"] if isinstance(owner, dict) else owner)


def _account_of(owner: str, names: Collection[str]) -> str | None:
    """The account with the longest such name."""
    while owner and owner not in names:
        owner = owner.rpartition("_")[0]
    return owner or None


def _note(title: str, database: str, owners: list[Any], accounts: list[str], notes: Notes) -> None:
    who = ", ".join(f"{owner['user']}@{owner['host']}" if isinstance(owner, dict) else owner for owner in owners[:5])
    if accounts:
        notes.add(f"The {title} database {printable(database)} is of several accounts: {who}; leave it to one.")
    else:
        whose = f"is owned by {who}, who is no account here" if who else "has no user of its own"
        notes.add(f"The {title} database {printable(database)} {whose}; say whose it is in that account's file.")
