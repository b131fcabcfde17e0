"""As whom routines, views, triggers and events run: read from the statement that makes one, and given to the account.

What runs as a user of somebody else, or as one that never was on this server (it came with a dump), runs as one of the
account's own on the new server, which is no gain of rights for anybody there: a definer is never more than the account.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ...account.accounts import Account
from ...host.digest import printable
from .sql import covers, ident, query

# A name as the server prints it: with ANSI_QUOTES, which a routine remembers, in double quotes.
QUOTED = rb"(`(?:[^`]|``)*`|\"(?:[^\"\\]|\"\")*\")"
_HEAD = re.compile(
    rb"CREATE (?:ALGORITHM=\w+ )?DEFINER=" + QUOTED + rb"@" + QUOTED + rb" (?:SQL SECURITY \w+ )?"
    rb"(?:AGGREGATE )?(VIEW|PROCEDURE|FUNCTION|TRIGGER|EVENT|PACKAGE BODY|PACKAGE)\s"
)


@dataclass(frozen=True)
class Head:
    """What a CREATE begins with: its definer, what it makes, and its text so far."""

    user: str
    host: str
    kind: str
    text: bytes


def head_of(statement: bytes) -> Head | None:
    """How a CREATE begins; nothing when it is no such statement."""
    match = _HEAD.match(statement)
    return Head(_unquoted(match[1]), _unquoted(match[2]), match[3].decode(), match[0]) if match else None


def _unquoted(name: bytes) -> str:
    return name[1:-1].replace(name[:1] * 2, name[:1]).decode("utf-8", "replace")


def renamed(statement: bytes, definer: str) -> bytes:
    """The statement with this definer (`user@host`)."""
    match = _HEAD.match(statement)
    if not match:
        return statement
    user, _, host = definer.rpartition("@")
    name = f"{ident(user)}@{ident(host)}".encode()
    return statement[: match.start(1)] + name + statement[match.end(2) :]


def heirs(account: Account) -> dict[str, str | None]:
    """{database: as whom it runs there what runs as somebody else here}: the first of the account's users that may do
    all in the database, or else most."""
    rows = query(
        ["GRANTEE", "TABLE_SCHEMA", "COUNT(*)"],
        "FROM information_schema.SCHEMA_PRIVILEGES GROUP BY GRANTEE, TABLE_SCHEMA",
    )
    rights = {(str(grantee), str(where)): int(number or 0) for grantee, where, number in rows}

    def may(user: tuple[str, str], database: str) -> int:
        grantee = f"'{user[0]}'@'{user[1]}'"
        return max(
            (number for (who, at), number in rights.items() if who == grantee and covers(at, database)), default=0
        )

    heir_of = {}
    for database in account.mariadb_databases:
        best = max(account.mariadb_users, key=lambda user: may(user, database), default=None)
        heir_of[database] = "@".join(best) if best else None
    return heir_of


def own(account: Account, definer: Any, heir: str | None) -> str | None:
    """As whom an object of the account runs there; nobody, when the account has no user at all."""
    user, _, host = str(definer).rpartition("@")
    return definer if (user, host) in account.mariadb_users else heir


def sentence(account: Account, item: dict[str, Any], heir: str | None) -> str | None:
    """What becomes of an object whose definer is not the account's; nothing where nobody can tell."""
    if own(account, item["definer"], heir) == item["definer"] or item.get("security") == "INVOKER":
        return None
    return (
        f"The MariaDB {str(item['kind']).lower()} {printable(item['database'])}.{printable(item['name'])} runs as "
        f"{printable(str(item['definer']))} here, which is no user of {account.name}; there it runs as "
        f"{printable(str(heir))}, with no more rights than that user's."
    )
