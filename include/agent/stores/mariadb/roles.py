"""Roles by which an account's MariaDB users have rights.

A role that only the account's users have is the account's and is carried. One that others have too is the host's: it is
told when it gives nothing on the account's databases, and refused when it does, as those rights would be gone.
"""

from __future__ import annotations

from typing import Any

from ...account.accounts import Account
from ...host.digest import printable
from ...host.system import refuse
from .sql import literal, query
from .users import grants_of


def roles_of(account: Account) -> tuple[list[str], list[str]]:
    """(the roles that are the account's alone, those of its users that are not), by name."""
    memberships = _given()
    mine = _reached(memberships, {(user, host.lower()) for user, host in account.mariadb_users})
    shared = {"PUBLIC"} if query(["User"], "FROM mysql.global_priv WHERE User = 'PUBLIC' AND Host = ''") else set()
    # Who has the right to make users made the role, or may take it anyway.
    makers = {(str(user), str(host).lower()) for user, host in query(["User", "Host"], _MAKERS)}
    holders = {(user, host) for user, host, _, _ in memberships if host} - makers
    others = holders - {(user, host.lower()) for user, host in account.mariadb_users}
    shared |= _reached(memberships, others)
    return sorted(mine - shared), sorted(shared & (mine | {"PUBLIC"}))


_MAKERS = "FROM mysql.global_priv WHERE CAST(JSON_VALUE(Priv, '$.access') AS UNSIGNED) & (1 << 25)"


def _given() -> list[tuple[str, str, str, bool]]:
    """[(user or role, its host or "", role, whether it may give it on)]."""
    rows = query(
        ["User", "Host", "Role", "Admin_option"], "FROM mysql.roles_mapping ORDER BY BINARY Role, BINARY User, Host"
    )
    return [(str(user), str(host or "").lower(), str(role), admin == "Y") for user, host, role, admin in rows]


def _reached(memberships: list[tuple[str, str, str, bool]], grantees: set[tuple[str, str]]) -> set[str]:
    """The roles that these users have, by other roles too."""
    reached: set[str] = set()
    while True:
        more = {
            role for user, host, role, _ in memberships if (user, host) in grantees or (host == "" and user in reached)
        } - reached
        if not more:
            return reached
        reached |= more


def memberships(account: Account, roles: list[str]) -> list[list[Any]]:
    """[[user or role, its host or "", role, whether it may give it on]] of the account's roles."""
    users = {(user, host.lower()): (user, host) for user, host in account.mariadb_users}
    members = []
    for user, host, role, admin in _given():
        if role in roles and (user, host) in users:
            members.append([*users[user, host], role, admin])
        elif role in roles and not host and user in roles:
            members.append([user, "", role, admin])
    return members


def grants(account: Account, roles: list[str]) -> tuple[dict[str, list[list[Any]]], list[str]]:
    """({role: its own grants}, sentences on those that are not carried). The server lists those of a role's roles among
    its own, which it has by them anyway."""
    memberships, listed, left = _given(), {}, []
    for role in roles:
        listed[role], sentences = grants_of(account, role, "")
        left += sentences
    own_grants = {}
    for role in roles:
        inherited = [grant for other in _reached(memberships, {(role, "")}) - {role} for grant in listed.get(other, [])]
        own_grants[role] = [grant for grant in listed[role] if grant not in inherited]
    return own_grants, left


def statements(account: Account, roles: list[dict[str, Any]], memberships: list[list[Any]]) -> list[str]:
    """What makes these roles and gives them to the account's users."""
    names = [str(role["name"]) for role in roles]
    made = [f"CREATE ROLE IF NOT EXISTS {literal(name)}" for name in names]
    for user, host, role, admin in memberships:
        is_ours = user in names if host == "" else (user, host) in account.mariadb_users
        if role not in names or not is_ours:
            refuse("bad_grant", f"The role {printable(str(role))} is not one of {account.name}'s.")
        grantee = literal(user) if host == "" else f"{literal(user)}@{literal(host)}"
        made.append(f"GRANT {literal(role)} TO {grantee}{' WITH ADMIN OPTION' if admin else ''}")
    return made
