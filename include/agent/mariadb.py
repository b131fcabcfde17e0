"""An account's MariaDB databases and users: described, held, sent and compared (see mariadb_restore)."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import mariadb_digest, mariadb_restore, mariadb_users
from .accounts import Account
from .digest import as_peer_verb, printable
from .mariadb_events import enabled, switch
from .mariadb_sql import Login, existing, ident, literal, login, queries, query, select, user_name
from .system import read_json, refuse, write_durably

Report = Callable[..., None]
finish, discard = mariadb_restore.finish, mariadb_restore.discard
PLUGINS = ("mysql_native_password", "ed25519", "unix_socket", "parsec", "caching_sha2_password")


def describe(account: Account) -> dict[str, Any]:
    """{"databases": [{"name", "bytes"}], "users": [{"user", "host"}]}: those of the account that exist here."""
    databases = []
    for name in existing(account.mariadb_databases):
        rows = query(
            ["IFNULL(SUM(DATA_LENGTH + INDEX_LENGTH), 0)"],
            f"FROM information_schema.TABLES WHERE TABLE_SCHEMA = {literal(name)}",
        )
        databases.append({"name": name, "bytes": int(float(rows[0][0] or 0))})
    return {"databases": databases, "users": [{"user": user, "host": host} for user, host in _users(account)]}


def _users(account: Account) -> dict[tuple[str, str], dict[str, Any]]:
    """The account's users that exist here, with what the server keeps of each."""
    rows = query(["User", "Host", "Priv"], "FROM mysql.global_priv ORDER BY User, Host")
    wanted = {(user, host.lower()) for user, host in account.mariadb_users}
    return {(str(u), str(h)): json.loads(p or "{}") for u, h, p in rows if (u, str(h).lower()) in wanted}


# --- hold ---


def hold(account: Account) -> dict[str, Any]:
    """Lock the account's users, end their connections and disable the events that are enabled.

    Returns what must be given back: {"unlocked": [[user, host]], "events": [[database, event]]}. It is also written
    down here before anything is changed, so a second hold changes nothing of it."""
    users = _users(account)
    saved = read_json(_held(account))
    if saved is None:
        saved = {
            "unlocked": [list(user) for user, kept in users.items() if not kept.get("account_locked")],
            "events": enabled(account),
        }
        write_durably(_held(account), json.dumps(saved))
    statements = [f"ALTER USER {user_name(*user)} ACCOUNT LOCK" for user in users]
    statements += switch(account, saved["events"], "DISABLE")
    queries(statements)
    _end_connections(account, list(users))
    return saved


def _end_connections(account: Account, users: list[tuple[str, str]]) -> None:
    if not users:
        return
    names = ", ".join(literal(user) for user, _ in users)
    kills = [f"KILL HARD USER {user_name(*user)}" for user in users]
    count = select(["COUNT(*)"], f"FROM information_schema.PROCESSLIST WHERE BINARY USER IN ({names})")
    end = time.monotonic() + 10
    quiet = 0
    while quiet < 2:  # a login that began before the lock shows a moment later
        left = int(queries([*kills, count])[-1][0][0] or 0)
        quiet = 0 if left else quiet + 1
        if time.monotonic() > end:
            refuse("connections_remain", f"MariaDB connections of {account.name} do not end; look at them.")
        time.sleep(0.01)


def unhold(account: Account, saved: dict[str, Any]) -> None:
    """Unlock the users and enable the events that a hold locked and disabled."""
    saved = read_json(_held(account)) or saved
    here = _users(account)
    unlocked = {tuple(user) for user in saved.get("unlocked", [])}
    statements = [f"ALTER USER {user_name(*user)} ACCOUNT UNLOCK" for user in here if user in unlocked]
    queries(statements + switch(account, saved.get("events", []), "ENABLE"))
    _held(account).unlink(missing_ok=True)


def _held(account: Account) -> Path:
    return account.directory / "mariadb.held.json"


# --- send ---


def definition(account: Account) -> dict[str, Any]:
    """Databases, and users with their hashes and grants; `left` says in sentences what is not carried."""
    users = _users(account)
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
    held = read_json(_held(account))
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
    found: list[dict[str, Any]] = []
    for database in account.mariadb_databases:
        _refuse_history(account, database)
    keys = ["kind", "name", "definer", "sql_mode", "charset", "collation", "time_zone"]
    for database in account.mariadb_databases:
        for rows in queries([select(columns, source.format(literal(database))) for columns, source in _OBJECTS]):
            found += [{"database": database} | dict(zip(keys, row, strict=True)) for row in rows]
    users = {"@".join(user) for user in account.mariadb_users}
    for item in found:
        if item["definer"] not in users:
            refuse(
                "foreign_definer",
                f"The {str(item['kind']).lower()} {printable(item['database'])}.{printable(item['name'])} runs as "
                f"{printable(item['definer'])}, which is no user of {account.name}; give it a definer of the account, "
                "or name that user in the account file.",
            )
    made = _show(found)
    return [item | {"statement": base64.b64encode(text).decode()} for item, text in zip(found, made, strict=True)]


def _refuse_history(account: Account, database: str) -> None:
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


def prepare(account: Account, peer: Any) -> list[str]:
    """Make users (locked) and empty databases on the peer; sentences on what is not carried."""
    what = definition(account)
    peer.call("mariadb_prepare", what)
    return what["left"]


def send(account: Account, peer: Any, report: Report) -> dict[str, Any]:
    """Make the account's users and databases anew on the peer, with what is in them now.

    Returns {"databases", "bytes", "seconds", "left": [sentences on what is not carried]}."""
    began = time.monotonic()
    if not account.mariadb_users and not account.mariadb_databases:
        return {"databases": 0, "bytes": 0, "seconds": 0.0, "left": []}
    made = objects(account)
    left = prepare(account, peer)
    total = 0
    for database in account.mariadb_databases:
        with login(account, "read", "SELECT, SHOW VIEW, LOCK TABLES") as reader:
            for argv in _dumps(database, reader):
                total += peer.stream("mariadb_restore", {"database": database}, argv, env=reader.env())["bytes"]
                report(done_bytes=total, text=f"MariaDB: {printable(database)}")
    peer.call("mariadb_objects", {"objects": made})
    seconds = round(time.monotonic() - began, 3)
    return {"databases": len(account.mariadb_databases), "bytes": total, "seconds": seconds, "left": left}


def _dumps(database: str, reader: Login) -> list[list[str]]:
    """The commands whose output, one after the other, restores a database's tables and sequences."""
    tables = mariadb_digest.tables_of(database)
    if not tables:
        return []
    columns = mariadb_digest.columns_of(database)
    exact = [name for name in tables if any(kind == "float" for _, kind, _ in columns.get(name, []))]
    argv = [*reader.as_unix_user(), "mariadb-dump", "--no-defaults", f"--user={reader.user}", "--protocol=socket"]
    argv += ["--single-transaction", "--skip-lock-tables", "--skip-add-locks"]
    argv += ["--skip-add-drop-table", "--skip-triggers", "--skip-comments", "--hex-blob", "--no-autocommit", "--quick"]
    argv += ["--default-character-set=utf8mb4", "--max-allowed-packet=1G"]
    others = [name for name in tables if name not in exact]
    commands = [[*argv, "--", database, *others]] if others else []
    if exact:
        commands.append([*argv, "--no-data", "--", database, *exact])
    for name in exact:
        commands.append(_exact_dump(database, name, columns[name], reader))
    return commands


def _exact_dump(database: str, table: str, columns: list[tuple[str, str, str]], reader: Login) -> list[str]:
    """mariadb-dump writes a FLOAT with 6 digits, which is not the number that was stored: such a table goes as
    INSERTs that the server words itself, with the FLOAT as a DOUBLE."""
    own = [(name, kind) for name, kind, extra in columns if "GENERATED" not in extra]
    values = ", ',', ".join(f"IFNULL({_worded(ident(name), kind)}, 'NULL')" for name, kind in own)
    names = ", ".join(ident(name) for name, _ in own)
    head = f"INSERT INTO {ident(table)} ({names}) VALUES ("
    statement = f"SELECT CONCAT({literal(head)}, {values}, ');') FROM {ident(database)}.{ident(table)}"
    script = "SET sql_mode = '', time_zone = '+00:00'; EXECUTE IMMEDIATE 0x" + statement.encode().hex()
    if len(script) > 120_000:
        refuse(
            "table_too_wide", f"The table {printable(table)} has FLOAT columns and too many others; make them DOUBLE."
        )
    return reader.argv("--raw", "-e", f"{script}; SELECT 'COMMIT;'")


def _worded(name: str, kind: str) -> str:
    if kind == "float":
        return f"CAST({name} AS DOUBLE)"
    if kind == "bit":
        return f"({name} + 0)"
    if kind.endswith(("blob", "binary")) or kind in mariadb_digest.GEOMETRY:
        return f"IF(LENGTH({name}) = 0, \"''\", CONCAT('0x', HEX({name})))"
    return f"QUOTE({name})"


# --- compare ---


def digest(account: Account) -> dict[str, Any]:
    """{"databases": {name: digest}, "users": {name: facts}, "tables": number, "rows": number}; equal on both sides."""
    names = existing(account.mariadb_databases)
    with login(account, "read", "SELECT") as reader:
        databases = {name: mariadb_digest.of_database(name, reader) for name in names}
    counts = [table[0] for database in databases.values() for table in database["tables"].values()]
    users = mariadb_users.user_facts(account, _users(account), read_json(_held(account)))
    return {"databases": databases, "users": users, "tables": len(counts), "rows": sum(counts)}


__all__ = ["PEER_VERBS", "describe", "digest", "discard", "finish", "hold", "prepare", "send", "unhold"]


PEER_VERBS = {**mariadb_restore.PEER_VERBS, "mariadb_digest": as_peer_verb(digest)}
