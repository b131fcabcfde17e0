"""What an account's MariaDB databases and users are, apart from rows: worded so that the other server can make it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from . import mariadb_digest, mariadb_users
from .accounts import Account
from .digest import printable
from .mariadb_events import enabled
from .mariadb_sql import existing, ident, literal, login, queries, query, select
from .system import read_json, refuse

PLUGINS = ("mysql_native_password", "ed25519", "unix_socket", "parsec", "caching_sha2_password")


def users_of(account: Account) -> dict[tuple[str, str], dict[str, Any]]:
    """The account's users that exist here, with what the server keeps of each."""
    rows = query(["User", "Host", "Priv"], "FROM mysql.global_priv ORDER BY User, Host")
    wanted = {(user, host.lower()) for user, host in account.mariadb_users}
    return {(str(u), str(h)): json.loads(p or "{}") for u, h, p in rows if (u, str(h).lower()) in wanted}


def held_path(account: Account) -> Path:
    """Where a hold keeps what it must give back."""
    return account.directory / "mariadb.held.json"


def definition(account: Account) -> dict[str, Any]:
    """Databases, and users with their hashes and grants; `left` says in sentences what is not carried."""
    users = users_of(account)
    for user in account.mariadb_users:
        if user not in users:
            refuse(
                "no_such_user",
                f"The MariaDB user {printable('@'.join(user))} of {account.name} does not exist here; "
                "create it or take it out of the account file.",
            )
    here = existing(account.mariadb_databases)
    for name in account.mariadb_databases:
        if name not in here:
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
    return {"databases": databases, "users": listed, "events": events, "left": left}


def objects(account: Account) -> list[dict[str, Any]]:
    """Routines, views, triggers and events, each with the statement that makes it and its context.

    Refuses an object whose definer is not one of the account's users, as nobody may make it on the peer, and a table
    with a history, which 11.5 and later write differently."""
    for database in account.mariadb_databases:
        refuse_history(account, database)
    found = listed(account)
    for item in found:
        refuse_foreign(account, item)
    return with_statements(found)


def listed(account: Account) -> list[dict[str, Any]]:
    """Routines, views, triggers and events with their context."""
    found: list[dict[str, Any]] = []
    keys = ["kind", "name", "definer", "sql_mode", "charset", "collation", "time_zone"]
    for database in account.mariadb_databases:
        for rows in queries([select(columns, source.format(literal(database))) for columns, source in _OBJECTS]):
            found += [{"database": database} | dict(zip(keys, row, strict=True)) for row in rows]
    return found


def refuse_foreign(account: Account, item: dict[str, Any]) -> None:
    """Refuse an object whose definer is not one of the account's users."""
    if item["definer"] not in {"@".join(user) for user in account.mariadb_users}:
        refuse(
            "foreign_definer",
            f"The {str(item['kind']).lower()} {printable(item['database'])}.{printable(item['name'])} runs as "
            f"{printable(item['definer'])}, which is no user of {account.name}; give it a definer of the account, "
            "or name that user in the account file.",
        )


def with_statements(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """These objects, each with the statement that makes it."""
    made = _show(found)
    return [item | {"statement": base64.b64encode(text).decode()} for item, text in zip(found, made, strict=True)]


def refuse_history(account: Account, database: str) -> None:
    """Refuse a database with a table that keeps old rows."""
    tables = mariadb_digest.tables_of(database)
    versioned = [name for name, table in tables.items() if table["kind"] == "SYSTEM VERSIONED"]
    if not versioned:
        return
    with login(account, "read", "SELECT") as reader:
        for name in versioned:
            at = f"FROM {ident(database)}.{ident(name)}"
            counts = [select(["COUNT(*)"], at), select(["COUNT(*)"], f"{at} FOR SYSTEM_TIME ALL")]
            now, ever = queries(counts, login=reader)
            if now != ever:
                refuse(
                    "history_blocked",
                    f"The table {printable(name)} of database {printable(database)} keeps old rows (system versioning),"
                    " which cannot be carried to another version; delete them (DELETE HISTORY) or drop the versioning.",
                )


# The columns are kind, name, definer, sql_mode, charset, collation, time zone
_OBJECTS = (
    (
        ["type", "name", "definer", "sql_mode", "character_set_client", "collation_connection", "NULL"],
        "FROM mysql.proc WHERE db = {} ORDER BY type, name",
    ),
    (
        ["'VIEW'", "TABLE_NAME", "DEFINER", "NULL", "CHARACTER_SET_CLIENT", "COLLATION_CONNECTION", "NULL"],
        "FROM information_schema.VIEWS WHERE TABLE_SCHEMA = {} ORDER BY TABLE_NAME",
    ),
    (
        ["'TRIGGER'", "TRIGGER_NAME", "DEFINER", "SQL_MODE", "CHARACTER_SET_CLIENT", "COLLATION_CONNECTION", "NULL"],
        "FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = {}"
        " ORDER BY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER",
    ),
    (
        ["'EVENT'", "EVENT_NAME", "DEFINER", "SQL_MODE", "CHARACTER_SET_CLIENT", "COLLATION_CONNECTION", "TIME_ZONE"],
        "FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {} ORDER BY EVENT_NAME",
    ),
)
# Which column of SHOW CREATE holds the statement.
_SHOWN = {"VIEW": 1, "EVENT": 3}


def _show(found: list[dict[str, Any]]) -> list[bytes]:
    statements = ["SET character_set_results = NULL"]
    for item in found:
        name = f"{ident(item['database'])}.{ident(item['name'])}"
        statements.append(f"SHOW CREATE {item['kind']} {name}")
    texts = []
    for item, rows in zip(found, queries(statements)[1:], strict=True):
        text = rows[0][_SHOWN.get(item["kind"], 2)] or ""
        texts.append(text.encode("utf-8", "surrogateescape"))
    return texts


def facts(account: Account) -> dict[str, Any]:
    """{"users", "objects": {database: facts}}: all that is no row and no number, equal on both sides."""
    known = mariadb_users.user_facts(account, users_of(account), read_json(held_path(account)))
    objects = {name: mariadb_digest.facts(name) for name in existing(account.mariadb_databases)}
    for kinds in objects.values():
        kinds.pop("numbering", None)
    return {"users": known, "objects": objects}
