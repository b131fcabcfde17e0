"""Who else may write to an account's MariaDB databases: users that no hold of the account stops.

They could write to the old copy after the new one was compared with it, and for ever after the move, without an
error. So a move is refused while there are any. The host's own administration is none of them: root, and those who come
through the socket as a Unix user that is no customer.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ...account.accounts import Account, all_accounts
from ...host.digest import printable
from ...host.system import refuse
from . import users as mariadb_users
from .sql import covers, ident, is_own, literal, queries, select

# What changes no row and no definition of a database. Everything else, known or yet to come, is taken to do so.
_HARMLESS = {
    *("USAGE", "SELECT", "SHOW VIEW", "SHOW CREATE ROUTINE", "LOCK TABLES", "CREATE TEMPORARY TABLES", "REFERENCES"),
    *("PROCESS", "RELOAD", "SHUTDOWN", "SHOW DATABASES", "FILE", "CREATE TABLESPACE", "REPLICATION CLIENT"),
    *("REPLICATION SLAVE", "REPLICATION MASTER ADMIN", "REPLICA MONITOR", "SLAVE MONITOR", "BINLOG MONITOR"),
    *("BINLOG ADMIN", "CONNECTION ADMIN", "READ_ONLY ADMIN", "READ ONLY ADMIN", "FEDERATED ADMIN"),
}
_PURPOSES = ("follow", "make", "load", "restore", "create", "read", "check")
Grantee = tuple[str, str]
Powers = dict[Grantee, tuple[str, str]]
"""Of each grantee one right that writes, and where it holds: one is enough."""


@dataclass(frozen=True)
class Writer:
    """A user that may write to databases of the account, by what, and what takes that away."""

    user: str
    host: str
    by: str
    cure: str


def refuse_foreign(account: Account) -> None:
    """Refuse an account whose databases others may write to."""
    for writer in foreign(account):
        refuse("foreign_writer", sentence(account, writer))


def refuse_references(account: Account) -> None:
    """Refuse an account whose rows follow those of others."""
    for table, parent in _references(account):
        refuse(
            "foreign_reference",
            f"The MariaDB table {printable(table)} refers to {printable(parent)}, whose database is none of"
            f" {account.name}, so its rows would change by what happens there; drop that foreign key, or name the"
            " database in the account file.",
        )


def sentence(account: Account, writer: Writer) -> str:
    """What is wrong with a writer, and what to do."""
    name = printable(f"{writer.user or '(anonymous)'}@{writer.host}")
    return (
        f"The MariaDB user {name}, which is no user of {account.name}, may write to its databases ({writer.by}), and"
        f" would go on writing to the copy that stays behind; {writer.cure}, or name it in the account file."
    )


def foreign(account: Account) -> list[Writer]:
    """Users that are not the account's and may write to its databases, directly, by a role or as everybody may."""
    if not account.mariadb_databases:
        return []
    among = ", ".join(literal(name) for name in account.mariadb_databases)
    users, roles, everywhere, on_databases, on_tables, on_columns, on_routines, proxies = queries(
        [
            select(["User", "Host", "Priv"], "FROM mysql.global_priv"),
            select(["User", "Host", "Role"], "FROM mysql.roles_mapping"),
            select(["GRANTEE", "PRIVILEGE_TYPE"], "FROM information_schema.USER_PRIVILEGES"),
            select(["GRANTEE", "PRIVILEGE_TYPE", "TABLE_SCHEMA"], "FROM information_schema.SCHEMA_PRIVILEGES"),
            *(
                select(
                    ["GRANTEE", "PRIVILEGE_TYPE", "TABLE_SCHEMA", "TABLE_NAME"],
                    f"FROM information_schema.{kind}_PRIVILEGES WHERE BINARY TABLE_SCHEMA IN ({among}, 'mysql')",
                )
                for kind in ("TABLE", "COLUMN")
            ),
            select(
                ["User", "Host", "Routine_type", "Db", "Routine_name"],
                f"FROM mysql.procs_priv WHERE BINARY Db IN ({among})",
            ),
            select(["User", "Host", "Proxied_user", "Proxied_host"], "FROM mysql.proxies_priv"),
        ]
    )
    kept = {(str(user), str(host)): json.loads(priv or "{}") for user, host, priv in users}
    _refuse_unclear(kept)
    named = {f"'{user}'@'{host}'": (user, host) for user, host in kept}
    powers: Powers = {}

    def note(grantee: Any, privilege: Any, where: str) -> None:
        if str(privilege).upper() not in _HARMLESS and grantee in kept:
            powers.setdefault(grantee, (str(privilege), where))

    for grantee, privilege in everywhere:
        note(named.get(str(grantee)), privilege, "*.*")
    for grantee, privilege, wildcard in on_databases:
        if any(covers(str(wildcard), name) for name in (*account.mariadb_databases, "mysql")):
            note(named.get(str(grantee)), privilege, f"{ident(str(wildcard))}.*")
    for grantee, privilege, database, table in (*on_tables, *on_columns):
        note(named.get(str(grantee)), privilege, f"{ident(str(database))}.{ident(str(table))}")
    for user, host, kind, database, name in on_routines:
        note((str(user), str(host)), "EXECUTE", f"{kind} {ident(str(database))}.{ident(str(name))}")
    for user, host, proxied, of in proxies:
        # Of nobody's name it is a right to act as anybody.
        if not proxied or mariadb_users.is_named(account, str(proxied), str(of)):
            note((str(user), str(host)), "PROXY", f"{literal(str(proxied or ''))}@{literal(str(of or ''))}")
    granted: dict[Grantee, list[str]] = {}
    for user, host, role in roles:
        granted.setdefault((str(user), str(host)), []).append(str(role))
    customers = {customer.name for customer in all_accounts()}
    writers = []
    for user_at_host, priv in kept.items():
        if priv.get("is_role") or priv.get("account_locked") or _is_trusted(account, user_at_host, priv, customers):
            continue
        if writer := _writer(user_at_host, powers, granted):
            writers.append(writer)
    return writers


def _refuse_unclear(users: Collection[Grantee]) -> None:
    """MariaDB writes users as user@host in places: while no host has such a sign, there is one way to read that."""
    for user, host in users:
        if not set(host).isdisjoint("@'`\""):
            refuse(
                "unclear_user",
                f"The host of the MariaDB user {printable(user)} at {printable(host)} holds @ or a quote, so it can be"
                f" taken for another user; drop it (DROP USER {literal(user)}@{literal(host)}) or rename it.",
            )


def _writer(grantee: Grantee, powers: Powers, granted: dict[Grantee, list[str]]) -> Writer | None:
    user = f"{literal(grantee[0])}@{literal(grantee[1])}"
    if grantee in powers:
        privilege, where = powers[grantee]
        lock = f"lock it (ALTER USER {user} ACCOUNT LOCK)"
        revoke = f"revoke that (REVOKE {privilege} ON {where} FROM {user}) or {lock}"
        return Writer(*grantee, f"{privilege} ON {where}", lock if where == "*.*" else revoke)
    waiting, seen = [*granted.get(grantee, []), "PUBLIC"], set()
    while waiting:
        role = waiting.pop(0)
        if role in seen:
            continue
        seen.add(role)
        if (role, "") in powers:
            privilege, where = powers[role, ""]
            everybody = f"revoke that (REVOKE {privilege} ON {where} FROM PUBLIC)"
            cure = everybody if role == "PUBLIC" else f"take the role away (REVOKE {ident(role)} FROM {user})"
            return Writer(*grantee, f"{privilege} ON {where} by {role}", cure)
        waiting += granted.get((role, ""), [])
    return None


def _is_trusted(account: Account, grantee: Grantee, priv: dict[str, Any], customers: set[str]) -> bool:
    """Whether it is a user of the account, one of this program's for it, or the host's administration."""
    user, host = grantee
    if mariadb_users.is_named(account, user, host) or is_own(user, host, priv):
        return True
    if user in ("root", "debian-sys-maint"):
        return host.lower() in ("localhost", "127.0.0.1", "::1", socket.gethostname().lower())
    methods = mariadb_users.plugins_of(priv)
    return any(plugin == "unix_socket" and (name or user) not in customers for plugin, name in methods)


def _references(account: Account) -> list[tuple[str, str]]:
    """(table of the account's, table of another's that it refers to)."""
    among = ", ".join(literal(name) for name in account.mariadb_databases) or "NULL"
    asked = [
        select(
            ["TABLE_SCHEMA", "TABLE_NAME", "REFERENCED_TABLE_SCHEMA", "REFERENCED_TABLE_NAME"],
            f"FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA = {literal(database)}"
            f" AND REFERENCED_TABLE_SCHEMA IS NOT NULL AND BINARY REFERENCED_TABLE_SCHEMA NOT IN ({among})",
        )
        for database in account.mariadb_databases
    ]
    return [(f"{a}.{b}", f"{c}.{d}") for rows in queries(asked) for a, b, c, d in rows]


def connections(account: Account) -> list[str]:
    """Statements that end what others have open in the account's databases: they may have been let in before."""
    among = ", ".join(literal(name) for name in account.mariadb_databases)
    if not among:
        return []
    ours = ", ".join(literal(f"th_{purpose}_{account.name}") for purpose in _PURPOSES)
    where = f"FROM information_schema.PROCESSLIST WHERE BINARY DB IN ({among}) AND USER NOT IN ('root', {ours})"
    return [f"KILL HARD {int(row[0] or 0)}" for row in queries([select(["ID"], where)])[0]]
