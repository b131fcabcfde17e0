"""MariaDB on the target: users and databases made by root, contents restored by users with no power over others.

Tables come through the client in sandbox mode, run by a Unix user that is nobody's and logged in as a user that has the
account's databases and nothing else. Routines, views, triggers and events have to keep their definers, so they are
made by a second such user that may also name a definer (SET USER); nothing of the customer's runs while it makes them,
each goes over as one statement that cannot become two, and its definer was checked. The account's own users are locked
and have no password that anybody knows until `finish`.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import subprocess
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from ...account.accounts import Account
from ...host.digest import printable
from ...host.system import RUNTIME, locked, read_json, refuse, write_durably
from ...verbs import mariadb as verbs
from ...verbs.peers import Bytes, Follows
from ...verbs.verb import Asking, Nothing
from . import charsets, definers, follower
from . import roles as mariadb_roles
from .definers import QUOTED
from .events import context, enabled, switch
from .sql import (
    NAMES,
    UNLOGGED,
    Login,
    attempts,
    existing,
    ident,
    literal,
    login,
    queries,
    query,
    select,
    user_name,
    users_dropped,
)
from .users import grant_statements, pending_path, plugins_of, require_free_prefixes, settings

_EVENT = re.compile(
    rb"CREATE DEFINER=" + QUOTED + rb"@" + QUOTED + rb" EVENT " + QUOTED + rb" ON SCHEDULE (?:[\w .]|'[^'\\]*')*?"
    rb" ON COMPLETION (?:NOT )?PRESERVE (ENABLE|DISABLE ON SLAVE|DISABLE) ",
    re.DOTALL,
)


def _write_pending(account: Account, pending: dict[str, Any]) -> None:
    account.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_durably(pending_path(account), json.dumps(pending))


def _prepare(account: Account, want: verbs.Prepare, _asking: Asking) -> Nothing:
    """Make the users (locked, no known password) and the databases, which lose what was in them."""
    databases, users = want.databases, want.users
    named = {(user["user"], user["host"].lower()) for user in users}
    expected = {(user, host.lower()) for user, host in account.mariadb_users}
    if set(databases) != set(account.mariadb_databases) or named != expected:
        refuse("other_account", f"These are not the MariaDB users and databases of {account.name}.")
    earlier = read_json(pending_path(account)) or {"databases": {}, "users": []}
    databases_here = existing(account.mariadb_databases)
    rows = query(["User", "Host"], "FROM mysql.global_priv")
    users_here = {(str(user), str(host).lower()) for user, host in rows}
    ours = {(user["user"], user["host"].lower()) for user in earlier["users"]}
    taken = [f"database {name}" for name in databases_here if name not in earlier["databases"]]
    taken += [f"user {user}@{host}" for user, host in sorted((named & users_here) - ours)]
    theirs = {name for name, host in users_here if not host} - {role["name"] for role in earlier.get("roles", [])}
    taken += [f"role {role['name']}" for role in want.roles if role["name"] in theirs]
    if taken:
        refuse(
            "name_taken",
            f"The MariaDB {printable(taken[0])} exists on this server and did not come with {account.name}; "
            "remove or rename it there, then try again.",
        )
    _require_plugins(users)
    require_free_prefixes(account, [*users, *want.roles])
    _write_pending(account, _defined(want) | {"token": want.token})
    statements = [f"DROP DATABASE {ident(name)}" for name in databases_here]
    for name, database in databases.items():
        made = f"CREATE DATABASE {ident(name)} CHARACTER SET {ident(database['charset'])}"
        statements.append(f"{made} COLLATE {ident(database['collation'])} COMMENT {literal(database['comment'] or '')}")
    queries(statements + _users(account, want, earlier.get("roles", [])))
    return Nothing()


def _defined(want: verbs.Defined) -> dict[str, Any]:
    return {key: getattr(want, key) for key in verbs.DEFINED}


def _users(account: Account, want: verbs.Defined, before: list[dict[str, Any]]) -> list[str]:
    """Users that nobody can log in as, and their roles; those that were made `before` are made anew."""
    made = [f"DROP ROLE IF EXISTS {literal(role['name'])}" for role in before]
    made += [
        f"CREATE OR REPLACE USER {user_name(user['user'], user['host'])} IDENTIFIED BY"
        f" {literal(secrets.token_urlsafe(24))} ACCOUNT LOCK"
        for user in want.users
    ]
    return made + mariadb_roles.statements(account, want.roles, want.given)


def _followed(account: Account, _want: verbs.WhichFollowed, _asking: Asking) -> Follows:
    """Which following these databases were made for."""
    return Follows(token=(read_json(pending_path(account)) or {}).get("token"))


def _expect(account: Account, want: verbs.Expect, _asking: Asking) -> Nothing:
    """Users, events and the databases' own settings have changed since they were prepared; these databases' objects,
    which come again, are dropped, those of `empty` with all that is in them."""
    pending = read_json(pending_path(account))
    named = {(user["user"], user["host"].lower()) for user in want.users}
    if pending is None or pending.get("token") != want.token:
        refuse("not_prepared", f"Nothing of {account.name} was prepared here for this following.")
    if set(want.databases) != set(account.mariadb_databases) or named != {
        (user, host.lower()) for user, host in account.mariadb_users
    }:
        refuse("other_account", f"These are not the MariaDB users and databases of {account.name}.")
    _require_plugins(want.users)
    earlier_roles = pending.get("roles", [])
    new = {role["name"] for role in want.roles} - {role["name"] for role in earlier_roles}
    rows = query(["User"], "FROM mysql.global_priv WHERE Host = '' ORDER BY User")
    for (role,) in rows:
        if role in new:
            refuse("name_taken", f"The MariaDB role {printable(str(role))} exists on this server; rename it there.")
    require_free_prefixes(account, [*want.users, *want.roles])
    _write_pending(account, pending | _defined(want))
    statements = []
    for name, database in want.databases.items():
        settings = f"{ident(name)} CHARACTER SET {ident(database['charset'])} COLLATE {ident(database['collation'])}"
        settings += f" COMMENT {literal(database['comment'] or '')}"
        if name in want.empty:
            statements += [f"DROP DATABASE IF EXISTS {ident(name)}", f"CREATE DATABASE {settings}"]
        else:
            statements.append(f"ALTER DATABASE {settings}")
    queries(statements + _users(account, want, earlier_roles))
    _drop_objects(want.databases)
    return Nothing()


def _drop_objects(databases: Collection[str]) -> None:
    if not databases:
        return
    among = "(" + ", ".join(literal(name) for name in databases) + ")"
    answers = queries(
        [
            select(
                ["'VIEW'", "TABLE_SCHEMA", "TABLE_NAME"], f"FROM information_schema.VIEWS WHERE TABLE_SCHEMA IN {among}"
            ),
            select(
                ["'TRIGGER'", "TRIGGER_SCHEMA", "TRIGGER_NAME"],
                f"FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA IN {among}",
            ),
            select(
                ["'EVENT'", "EVENT_SCHEMA", "EVENT_NAME"],
                f"FROM information_schema.EVENTS WHERE EVENT_SCHEMA IN {among}",
            ),
            select(["type", "db", "name"], f"FROM mysql.proc WHERE db IN {among} ORDER BY type = 'PACKAGE'"),
        ]
    )
    drops = [(str(kind), ident(str(database)), ident(str(name))) for rows in answers for kind, database, name in rows]
    queries([f"DROP {kind} IF EXISTS {database}.{name}" for kind, database, name in drops])


def _require_plugins(users: list[dict[str, Any]]) -> None:
    """Every way in which a user logs in must exist here before the account is held, not at its release."""
    rows = query(
        ["PLUGIN_NAME"],
        "FROM information_schema.PLUGINS WHERE PLUGIN_TYPE = 'AUTHENTICATION' AND PLUGIN_STATUS = 'ACTIVE'",
    )
    active = {row[0] for row in rows}
    for user in users:
        for plugin, _ in plugins_of(user["kept"]):
            if plugin not in active:
                refuse(
                    "plugin_blocked",
                    f"The MariaDB user {printable(user['user'])} logs in by the plugin {printable(plugin)}, which"
                    " is not loaded on the new server; load it there.",
                )


def _restore(account: Account, want: verbs.Restore, asking: Asking) -> Bytes:
    """Feed a dump of tables, which is streamed, to the client; the first error ends it."""
    database = want.database
    if database not in account.mariadb_databases or read_json(pending_path(account)) is None:
        refuse("other_account", f"The database {printable(str(database))} was not prepared for {account.name}.")
    size = 0
    with login(account, "restore", "ALL") as user, client_of(user, database) as client:
        assert client.stdin is not None and client.stderr is not None
        try:
            while block := asking.stdin.read(1 << 20):
                size += len(block)
                client.stdin.write(block)
            client.stdin.close()
        except BrokenPipeError:
            pass
        errors = client.stderr.read().decode("utf-8", "backslashreplace")
    if client.returncode != 0:
        lines = [line for line in errors.splitlines() if line.startswith("ERROR")] or errors.splitlines()[-1:]
        message = printable(" ".join(lines))[:500] or "the client said nothing"
        refuse("restore_failed", f"The database {printable(database)} could not be restored: {message}")
    return Bytes(bytes=size)


@contextmanager
def client_of(user: Login, database: str, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """The client that restores a dump, fed through its stdin; it may send rows of any size."""
    start = "SET SESSION foreign_key_checks = 0, unique_checks = 0, autocommit = 0, innodb_strict_mode = 0,"
    start += " sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES',"
    start += " time_zone = '+00:00', max_statement_time = 0"
    start += " /*M!101100 , system_versioning_insert_history = 1 */ /*M!110500 , character_set_collations = '' */"
    argv = user.argv("--binary-mode", f"--init-command={start}", f"--database={database}", *more)
    seen = f"FROM information_schema.PROCESSLIST WHERE USER = {literal(user.user)}"
    with follower.entering():
        client = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=user.env()
        )
        end = time.monotonic() + 10
        while client.poll() is None and query(["COUNT(*)"], seen)[0][0] == "0" and time.monotonic() < end:
            time.sleep(0.01)
    with client:
        yield client


def _objects(account: Account, want: verbs.MakeObjects, _asking: Asking) -> Nothing:
    """Make routines, views, triggers and events (disabled), then the users' grants on all of it."""
    pending = read_json(pending_path(account))
    if pending is None:
        refuse("not_prepared", f"Nothing of {account.name} was prepared here.")
    waiting = [checked(account, item) for item in want.objects]
    # A view's definer must already be allowed what the view reads; what is granted on the new objects follows.
    rows = query(["TABLE_SCHEMA", "TABLE_NAME"], "FROM information_schema.TABLES WHERE TABLE_TYPE <> 'VIEW'")
    tables = {(row[0], row[1]) for row in rows}
    grantees = granted(pending)
    queries([grant for grantee in grantees for grant in grant_statements(account, grantee, tables)])
    make(account, waiting)
    queries([grant for grantee in grantees for grant in grant_statements(account, grantee)])
    return Nothing()


def granted(pending: dict[str, Any]) -> list[dict[str, Any]]:
    """The users and the roles that were prepared, in the form that `grant_statements` takes."""
    return [*pending["users"], *({"user": role["name"], "host": "", **role} for role in pending.get("roles", []))]


def put_back(account: Account, triggers: list[dict[str, Any]]) -> None:
    """Make triggers that were here a moment ago."""
    to_make = [checked(account, item) for item in triggers]
    session = follower.session(account, follower.MAKING)
    databases = _databases(account)
    with _binary_log_trusts():
        for item in to_make:
            session.run(_making(item, databases))


def make(account: Account, to_make: list[dict[str, Any]]) -> None:
    """Make objects that were checked; refused when one cannot be made."""
    for item, why in make_most(account, to_make):
        refuse(
            "object_failed",
            f"The {item['kind'].lower()} {printable(item['database'])}.{printable(item['name'])} cannot be made on"
            f" the new server: {why}; correct or drop it.",
        )


def make_most(account: Account, to_make: list[dict[str, Any]]) -> list[tuple[dict[str, Any], str]]:
    """Make objects that were checked; those that cannot be made, and the server's words.

    Those of all databases together, as one may need another database's."""
    with login(account, "create", "ALL", "SET USER") as user, _binary_log_trusts():
        failed = _make_together(to_make, _databases(account), user)
    # Each was made disabled. Should one run all the same, it stops here and not at the release.
    if running := enabled(account):
        queries([UNLOGGED, *switch(account, running, "DISABLE")])
    return failed


def _databases(account: Account) -> dict[str, Any]:
    """The account's databases as they were described when they were made."""
    return (read_json(pending_path(account)) or {})["databases"]


@contextmanager
def _binary_log_trusts() -> Iterator[None]:
    """With a binary log only superusers may make functions and triggers, unless this variable is set.

    It is set for the moment. The rule guards logs of statements; a log of rows, which it must be, needs no guard."""
    name = "log_bin_trust_function_creators"
    with locked(RUNTIME / "mariadb.lock"):
        rows = query(["@@GLOBAL.log_bin", f"@@GLOBAL.{name}", "@@GLOBAL.binlog_format"], "")
        if rows[0][0] not in ("1", "ON") or rows[0][1] in ("1", "ON"):
            yield
            return
        if rows[0][2] != "ROW":
            refuse("binary_log", f"MariaDB here logs statements; set binlog_format = ROW or {name} = 1, and try again.")
        queries([f"SET GLOBAL {name} = 1"])
        try:
            yield
        finally:
            queries([f"SET GLOBAL {name} = 0"])


def _make_together(
    waiting: list[dict[str, Any]], databases: dict[str, Any], user: Login
) -> list[tuple[dict[str, Any], str]]:
    """Make objects in one go; what fails, as a view does that needs a later one, again as long as something works."""
    while waiting:
        failed = attempts([_making(item, databases) for item in waiting], login=user)
        if len(failed) == len(waiting):
            return [(item, failed[number]) for number, item in enumerate(waiting)]
        waiting = [waiting[number] for number in sorted(failed)]
    return []


def _making(item: dict[str, Any], databases: dict[str, Any]) -> list[str | bytes]:
    """An object remembers what its database's collation was when it was made, which may be another than today's."""
    at = ident(item["database"])
    statement = item["text"].replace(b"CREATE ", b"CREATE OR REPLACE ", 1)  # it may have been made a moment ago
    then, now = item.get("made_in"), databases[item["database"]]["collation"]
    making = [*context(item), statement, NAMES]  # names go over in UTF-8 again
    if then and then != now:
        making = [f"ALTER DATABASE {at} COLLATE {ident(then)}", *making, f"ALTER DATABASE {at} COLLATE {ident(now)}"]
    return [NAMES, f"USE {at}", *making]


def checked(account: Account, item: dict[str, Any]) -> dict[str, Any]:
    """The object with its statement as bytes; refused unless it is one CREATE with a definer of the account.

    What it makes is what its own words say. They must be read here as the server will read them."""
    text, name = base64.b64decode(item["statement"]), printable(str(item["name"]))
    head = definers.head_of(text)
    if (
        item["database"] not in account.mariadb_databases
        or head is None
        or (head.user, head.host) not in account.mariadb_users
    ):
        refuse("foreign_definer", f"The definer of {name} is no user of {account.name}; it cannot be made here.")
    if head.kind != item["kind"]:
        refuse("other_kind", f"{name} was announced as another thing than its statement makes; it cannot be made here.")
    read = head.text
    if head.kind == "EVENT":
        match = _EVENT.match(text)
        if not match:
            refuse("event_failed", "An event's statement is not in the form that MariaDB prints; it cannot be moved.")
        # The word stands before all that the customer has worded.
        read = text[: match.start(4)]
        text = read + b"DISABLE" + text[match.end(4) :]
    if not charsets.is_plain(read.decode("utf-8", "replace"), str(item.get("charset"))):
        refuse("mixed_charsets", f"The statement of {name} is in two character sets; it cannot be made here.")
    return item | {"text": text}


def finish(account: Account) -> None:
    """Give the users their real hashes, and enable the events that were enabled. Repeatable."""
    pending = read_json(pending_path(account))
    if pending is None:
        return
    statements = [statement for user in pending["users"] for statement in settings(user)]
    statements += switch(account, pending.get("events", []), "ENABLE")
    queries(statements + follower.gone(account))
    _forget(account)


def discard(account: Account) -> None:
    """Drop the account's databases and users from this server. Repeatable."""
    statements = [f"DROP DATABASE IF EXISTS {ident(name)}" for name in account.mariadb_databases]
    roles, _ = mariadb_roles.roles_of(account)
    statements += [f"DROP ROLE IF EXISTS {literal(name)}" for name in roles]
    statements += [f"DROP USER IF EXISTS {user_name(user, host)}" for user, host in account.mariadb_users]
    statements += users_dropped([f"th_{purpose}_{account.name}" for purpose in ("restore", "create", "read")])
    follower.give_back_settings()
    queries(statements + follower.gone(account))
    _forget(account)


def _forget(account: Account) -> None:
    follower.close(account)
    for name in ("mariadb.held.json", "mariadb.triggers.json"):
        (account.directory / name).unlink(missing_ok=True)
    pending_path(account).unlink(missing_ok=True)


PEER_VERBS = (
    verbs.Prepare.served_by(_prepare),
    verbs.Restore.served_by(_restore),
    verbs.MakeObjects.served_by(_objects),
    verbs.WhichFollowed.served_by(_followed),
    verbs.Expect.served_by(_expect),
)
