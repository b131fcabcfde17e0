"""Who has rights on which database of this server's MariaDB, and who has which password."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ...host.ours import PREFIX
from .passwords import can_be_tried, is_password
from .sql import covered, query

_User = tuple[str, str]
_ANYTHING = 1 << 7 | 1 << 15 | 1 << 25
"""Of all databases: SHUTDOWN, SUPER and CREATE USER."""


def of_databases(databases: Sequence[str], tables: Sequence[str]) -> dict[str, list[Any]]:
    """Each with the users of whom these tables of rights say something there: roles are told by who has them, and who
    may do anything on this server is no account's."""
    members, administrators = _members(), _administrators()
    users: dict[str, dict[_User, None]] = {name: {} for name in databases}
    for table in tables:
        for user, host, pattern in query(["User", "Host", "Db"], f"FROM mysql.{table} ORDER BY User, Host, Db"):
            people = _people((str(user or ""), str(host or "")), members)
            for name in covered(str(pattern), databases) if table == "db" else [str(pattern)]:
                users.get(name, {}).update({person: None for person in people if person not in administrators})
    return {name: [{"user": user, "host": host} for user, host in theirs] for name, theirs in users.items()}


def _administrators() -> set[_User]:
    rows = query(["User", "Host", "Priv"], "FROM mysql.global_priv")
    rights = {
        (str(user or ""), str(host or "")): json.loads(kept or "{}").get("access", 0) for user, host, kept in rows
    }
    return {user for user, access in rights.items() if access & _ANYTHING == _ANYTHING}


def _members() -> dict[str, list[_User]]:
    """Who was given each role; another role has no host."""
    members: dict[str, list[_User]] = defaultdict(list)
    for user, host, role in query(["User", "Host", "Role"], "FROM mysql.roles_mapping ORDER BY User, Host, Role"):
        members[str(role)].append((str(user or ""), str(host or "")))
    return members


def _people(user: _User, members: dict[str, list[_User]]) -> dict[_User, None]:
    """Whom rights of a user or a role are given to in the end."""
    waiting, seen = [user], dict[_User, None]()
    while waiting:
        name, host = person = waiting.pop(0)
        if person in seen or not name:  # nobody logs in without a name for an account
            continue
        seen[person] = None
        waiting += members.get(name, []) if not host else []
    return {(name, host): None for name, host in seen if host and not name.lower().startswith(PREFIX)}


def passwords() -> dict[str, Callable[[str], bool]]:
    """Whether a password is theirs, of each user at a host whose password can be tried."""
    rows = query(["User", "Host", "Priv"], "FROM mysql.global_priv")
    users = {f"{user}@{str(host).lower()}": json.loads(kept or "{}") for user, host, kept in rows if user and host}
    return {login: partial(is_password, kept) for login, kept in users.items() if can_be_tried(kept)}
