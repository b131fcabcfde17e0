"""What an account's MariaDB databases and users are, apart from rows: worded so that the other server can make it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from ...account.accounts import Account
from ...host.digest import printable
from ...host.system import read_json, refuse
from . import charsets, definers, digest, printed
from . import roles as mariadb_roles
from . import users as mariadb_users
from .events import enabled
from .sql import existing, ident, literal, queries, query, select

PLUGINS = ("mysql_native_password", "ed25519", "unix_socket", "parsec", "caching_sha2_password")


def users_of(account: Account) -> dict[tuple[str, str], dict[str, Any]]:
    """The account's users that exist here, with what the server keeps of each."""
    rows = query(["User", "Host", "Priv"], "FROM mysql.global_priv ORDER BY User, Host")
    named = {(user, host.lower()) for user, host in account.mariadb_users}
    return {(str(u), str(h)): json.loads(p or "{}") for u, h, p in rows if (u, str(h).lower()) in named}


def held_path(account: Account) -> Path:
    """Where a hold keeps what it must give back."""
    return account.directory / "mariadb.held.json"


def definition(account: Account) -> dict[str, Any]:
    """Databases, users with their hashes and grants, their roles; `left` says in sentences what is not carried."""
    users = users_of(account)
    for user_at_host in account.mariadb_users:
        if user_at_host not in users:
            refuse(
                "no_such_user",
                f"The MariaDB user {printable('@'.join(user_at_host))} of {account.name} does not exist here; "
                "create it or take it out of the account file.",
            )
    databases_here = existing(account.mariadb_databases)
    for name in account.mariadb_databases:
        if name not in databases_here:
            refuse(
                "no_such_database",
                f"The MariaDB database {printable(name)} of {account.name} does not exist here; "
                "create it or take it out of the account file.",
            )
    databases = {}
    for name in account.mariadb_databases:
        rows = query(
            ["DEFAULT_CHARACTER_SET_NAME", "DEFAULT_COLLATION_NAME", "SCHEMA_COMMENT"],
            f"FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {literal(name)}",
        )
        databases[name] = dict(zip(("charset", "collation", "comment"), rows[0], strict=True))
    held = read_json(held_path(account))
    unlocked = held["unlocked"] if held else None
    events = held["events"] if held else enabled(account)
    listed, left = [], []
    for (user, host), kept in users.items():
        grants, sentences = mariadb_users.grants_of(account, user, host)
        left += sentences
        for plugin, _ in mariadb_users.plugins_of(kept):
            if plugin not in PLUGINS:
                refuse("plugin_blocked", f"The MariaDB user {printable(user)} logs in by {plugin}; use another plugin.")
        locked = [user, host] not in unlocked if unlocked is not None else bool(kept.get("account_locked"))
        listed.append({"user": user, "host": host, "kept": kept, "locked": locked, "grants": grants})
    names, shared = mariadb_roles.roles_of(account)
    granted, sentences = mariadb_roles.grants(account, names)
    roles, left = [{"name": name, "grants": granted[name]} for name in names], left + sentences
    left += [_told_of_role(account, name) for name in shared if name != "PUBLIC" or _opens(account, name)]
    broken, heirs = broken_views(account), definers.heirs(account)
    for item in listed_objects(account):
        sentence = definers.sentence(account, item, heirs[item["database"]])
        if sentence and (item["database"], item["name"]) not in broken:
            left.append(sentence)
    for database, view in sorted(broken):
        left.append(
            f"The MariaDB view {printable(database)}.{printable(view)} is broken: what it reads is not there any more."
            " It stays behind; correct it, or drop it."
        )
    memberships = mariadb_roles.memberships(account, names)
    return {
        "databases": databases,
        "users": listed,
        "roles": roles,
        "given": memberships,
        "events": events,
        "left": left,
    }


def _opens(account: Account, role: str) -> bool:
    """Whether a role gives any right on the account's databases."""
    return bool(mariadb_users.grants_of(account, role, "")[0])


def _told_of_role(account: Account, name: str) -> str:
    """What becomes of a role that is not the account's alone; refused when rights would be gone with it."""
    if _opens(account, name):
        refuse(
            "foreign_role",
            f"The MariaDB role {printable(name)} gives rights on databases of {account.name} and is not"
            f" {account.name}'s alone, so it cannot be carried; grant its rights to the users themselves (GRANT ... TO"
            f" user@host) and take the role from them (REVOKE {printable(name)} FROM user@host).",
        )
    return f"The MariaDB role {printable(name)}, which is not {account.name}'s alone, is not carried."


def broken_views(account: Account) -> set[tuple[str, str]]:
    """(database, view) of the views that cannot be read here: what they read, or who they run as, is gone."""
    among = [
        select(["TABLE_SCHEMA", "TABLE_NAME"], f"FROM information_schema.VIEWS WHERE TABLE_SCHEMA = {literal(name)}")
        for name in account.mariadb_databases
    ]
    views = [(str(database), str(view)) for rows in queries(among) for database, view in rows]
    columns = [
        select(
            ["COUNT(*)"],
            "FROM information_schema.COLUMNS"
            f" WHERE TABLE_SCHEMA = {literal(database)} AND TABLE_NAME = {literal(view)}",
        )
        for database, view in views
    ]
    return {view for view, rows in zip(views, queries(columns), strict=True) if rows[0][0] == "0"}


def objects(account: Account) -> list[dict[str, Any]]:
    """Routines, views, triggers and events, each with the statement that makes it and its context.

    A view that is broken here is not among them."""
    for database in account.mariadb_databases:
        refuse_history(account, database)
    broken, heirs = broken_views(account), definers.heirs(account)
    listed = [item for item in listed_objects(account) if (item["database"], item["name"]) not in broken]
    for item in listed:
        refuse_unmovable(account, item, heirs)
    return with_statements(account, listed)


def listed_objects(account: Account) -> list[dict[str, Any]]:
    """Routines, views, triggers and events with their context."""
    listed: list[dict[str, Any]] = []
    keys = ["kind", "name", "definer", "sql_mode", "charset", "collation", "time_zone", "security", "made_in", "moment"]
    keys.append("comment")
    for database in account.mariadb_databases:
        for rows in queries([select(columns, source.format(literal(database))) for columns, source in _OBJECTS]):
            listed += [{"database": database} | dict(zip(keys, row, strict=True)) for row in rows]
    return listed


def refuse_unmovable(account: Account, item: dict[str, Any], heirs: dict[str, str | None]) -> None:
    """Refuse an object of an account that has no user whom it could run as, and one in two character sets."""
    runs_as = definers.own(account, item["definer"], heirs[item["database"]])
    if runs_as is None:
        refuse(
            "foreign_definer",
            f"The {str(item['kind']).lower()} {printable(item['database'])}.{printable(item['name'])} runs as "
            f"{printable(str(item['definer']))}, and {account.name} has no MariaDB user that it could run as; make one"
            " and name it in the account file.",
        )
    charsets.refuse_mixed(item, runs_as)


def with_statements(account: Account, listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """These objects, each with the statement that makes it as one of the account's."""
    functions: dict[str, set[bytes]] = {}
    for item in listed:
        if item["kind"] == "FUNCTION":
            functions.setdefault(item["database"], set()).add(str(item["name"]).lower().encode())
    made, heirs = [], definers.heirs(account)
    for item, text in zip(listed, _show(listed), strict=True):
        if item["kind"] == "VIEW":
            text = printed.qualified(text, item["database"].encode(), functions.get(item["database"], ()))
        new = definers.own(account, item["definer"], heirs[item["database"]])
        if new and new != item["definer"]:
            text = definers.renamed(text, new)
        described = {key: value for key, value in item.items() if key != "comment"}  # it is in the statement
        made.append(described | {"statement": base64.b64encode(text).decode()})
    return made


def refuse_history(account: Account, database: str) -> None:
    """Refuse a table whose old rows are told apart by numbers of this server's transactions."""
    rows = query(
        ["TABLE_NAME"],
        f"FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {literal(database)}"
        " AND GENERATION_EXPRESSION = 'ROW START' AND DATA_TYPE = 'bigint'",
    )
    for name in (str(name) for (name,) in rows):
        refuse(
            "history_blocked",
            f"The table {printable(name)} of database {printable(database)} tells its old rows apart by transactions of"
            " this server (ROW START is a BIGINT), which another server does not know; make the columns TIMESTAMP(6).",
        )


# The columns are kind, name, definer, sql_mode, charset, collation, time zone, whose rights count, the database's
# collation when it was made, the moment at which an event whose time is over could still be made, and a comment.
_OBJECTS = (
    (
        ["type", "name", "definer", "sql_mode", "character_set_client", "collation_connection", "NULL"]
        + ["security_type", "db_collation", "NULL", "comment"],
        "FROM mysql.proc WHERE db = {} ORDER BY type, name",
    ),
    (
        ["'VIEW'", "TABLE_NAME", "DEFINER", "NULL", "CHARACTER_SET_CLIENT", "COLLATION_CONNECTION", "NULL"]
        + ["SECURITY_TYPE", "NULL", "NULL", "NULL"],
        "FROM information_schema.VIEWS WHERE TABLE_SCHEMA = {} ORDER BY TABLE_NAME",
    ),
    (
        ["'TRIGGER'", "TRIGGER_NAME", "DEFINER", "SQL_MODE", "CHARACTER_SET_CLIENT", "COLLATION_CONNECTION", "NULL"]
        + ["NULL", "DATABASE_COLLATION", "NULL", "NULL"],
        "FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = {}"
        " ORDER BY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER",
    ),
    (
        ["'EVENT'", "EVENT_NAME", "i.DEFINER", "i.SQL_MODE", "i.CHARACTER_SET_CLIENT", "i.COLLATION_CONNECTION"]
        + ["i.TIME_ZONE", "NULL", "i.DATABASE_COLLATION"]
        + [
            "IF(IFNULL(e.execute_at, e.ends) < UTC_TIMESTAMP(), UNIX_TIMESTAMP(IFNULL(e.execute_at, e.ends)) - 1,"
            " NULL)",
            "i.EVENT_COMMENT",
        ],
        "FROM information_schema.EVENTS i JOIN mysql.event e ON e.db = i.EVENT_SCHEMA AND e.name = i.EVENT_NAME"
        " WHERE i.EVENT_SCHEMA = {} ORDER BY EVENT_NAME",
    ),
)
# Which column of SHOW CREATE holds the statement.
_SHOWN = {"VIEW": 1, "EVENT": 3}


def _show(listed: list[dict[str, Any]]) -> list[bytes]:
    statements = ["SET character_set_results = NULL"]
    for item in listed:
        name = f"{ident(item['database'])}.{ident(item['name'])}"
        statements.append(f"SHOW CREATE {item['kind']} {name}")
    texts = []
    for item, rows in zip(listed, queries(statements)[1:], strict=True):
        text = rows[0][_SHOWN.get(item["kind"], 2)] or ""
        texts.append(text.encode("utf-8", "surrogateescape"))
    return texts


def facts(account: Account) -> dict[str, Any]:
    """{"users", "roles", "objects": {database: facts}}: all that is no row and no number, equal on both sides.

    What runs as somebody else here counts as the account's own, which it is there; a broken view stays behind."""
    users = mariadb_users.user_facts(account, users_of(account), read_json(held_path(account)))
    names, _ = mariadb_roles.roles_of(account)
    roles, _ = mariadb_roles.grants(account, names)
    objects = {name: digest.facts(name) for name in existing(account.mariadb_databases)}
    broken, heirs = broken_views(account), definers.heirs(account)
    for database, kinds in objects.items():
        kinds.pop("numbering", None)
        for kind in ("view", "table", "column") if broken else ():
            kinds[kind] = {name: entry for name, entry in kinds.get(kind, {}).items() if (database, name) not in broken}
            if not kinds[kind]:
                del kinds[kind]
        for kind in ("view", "routine", "trigger", "event"):
            for listed in kinds.get(kind, {}).values():
                for fact in listed:
                    fact[0] = definers.own(account, fact[0], heirs[database])
    memberships = sorted(map(str, mariadb_roles.memberships(account, names)))
    return {"users": users, "roles": roles, "given": memberships, "objects": objects}
