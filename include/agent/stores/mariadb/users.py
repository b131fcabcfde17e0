"""MariaDB users of an account: what they may do and how they log in, read on one server and worded for the other."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from ...account.accounts import Account
from ...host.digest import printable
from ...host.system import read_json, refuse
from .sql import covers, ident, literal, pattern, queries, select, user_name

_LIMITS = {
    "max_questions": "MAX_QUERIES_PER_HOUR",
    "max_updates": "MAX_UPDATES_PER_HOUR",
    "max_connections": "MAX_CONNECTIONS_PER_HOUR",
    "max_user_connections": "MAX_USER_CONNECTIONS",
    "max_statement_time": "MAX_STATEMENT_TIME",
}


def pending_path(account: Account) -> Path:
    """Where a target keeps what it makes of the account, hashes and all, until the account is finished."""
    return account.directory / "mariadb.json"


def grants_of(account: Account, user: str, host: str) -> tuple[list[list[Any]], list[str]]:
    """([[level, database, object, column, privilege, grantable]], sentences on the grants that are not carried).

    Of a role the host is "". A grant on a prefix that is the account's own is carried as it is (level "prefix"); any
    other on a pattern only for the account's databases for which it is the one that counts. Whom a user may act as
    (level "proxy") stands with user and host in the places of database and object."""
    databases = account.mariadb_databases
    grants, left = [], []
    rows = _whole(*_all_grants(user, host))
    patterns = sorted({str(row[1]) for row in rows if row[0] == "database"}, key=_first_wildcard, reverse=True)
    counts = {name: next((wildcard for wildcard in patterns if covers(wildcard, name)), None) for name in databases}
    foreign = _foreign_matches(account, patterns)
    for level, where, name, column, privilege, grantable in rows:
        heading = f"MariaDB {'user' if host else 'role'} {printable(user)}: "
        if level == "global":
            if privilege != "USAGE":
                left.append(f"{heading}the global privilege {privilege} is not carried.")
            continue
        if level == "proxy":
            if is_named(account, where, name):
                grants.append(["proxy", where, name, None, privilege, grantable == "YES"])
            else:
                left.append(f"{heading}PROXY on {printable(f'{where}@{name}')} is not carried.")
            continue
        if level == "database" and own_prefix(account, str(where)):
            if where not in foreign:
                grants.append(["prefix", where, None, None, privilege, grantable == "YES"])
                continue
            left.append(
                f"{heading}{privilege} on {printable(str(where))} is carried for the account's databases only, as"
                f" {printable(foreign[str(where)])} is not one of them; name it in the account file if it is."
            )
        elif level == "database" and re.search(r"(?<!\\)%", str(where)):
            left.append(f"{heading}{privilege} on {printable(str(where))} is carried for the account's databases only.")
        matching = [d for d in databases if counts[d] == where] if level == "database" else [where]
        if not matching or any(database not in databases for database in matching):
            if not any(covers(str(where), d) for d in databases):
                left.append(f"{heading}{privilege} on {printable(str(where))} is not carried.")
            continue
        grants += [[level, database, name, column, privilege, grantable == "YES"] for database in matching]
    return sorted(grants, key=str), sorted(set(left))


def is_named(account: Account, user: Any, host: Any) -> bool:
    """Whether it is a user of the account's."""
    return (user, str(host).lower()) in {(name, of.lower()) for name, of in account.mariadb_users}


def own_prefix(account: Account, wildcard: str) -> bool:
    """Whether a grant's pattern is all names that begin as the account's do, by the custom of hosts' panels: the name
    of the account or of a user of its, `_`, and whatever follows."""
    match = re.fullmatch(r"((?:[^\\_%]|\\[\\_%])+)\\_%", wildcard, re.DOTALL)
    name = re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL) if match else None
    return name in {account.name, *(user for user, _ in account.mariadb_users)}


def _first_wildcard(wildcard: str) -> int:
    """How long a pattern is up to its first wildcard: of several that match, MariaDB takes the longest."""
    match = re.match(r"(?:[^\\_%]|\\.|\\$)*", wildcard, re.DOTALL)
    return match.end() if match else 0


def _foreign_matches(account: Account, patterns: list[str]) -> dict[str, str]:
    """{prefix of the account's: a database here that it covers and that is not the account's}."""
    prefixes = [prefix for prefix in patterns if own_prefix(account, prefix)]
    if not prefixes:
        return {}
    rows = queries([select(["SCHEMA_NAME"], "FROM information_schema.SCHEMATA ORDER BY SCHEMA_NAME")])[0]
    foreign = [str(name) for (name,) in rows if name not in account.mariadb_databases]
    covered = {prefix: next((name for name in foreign if covers(prefix, name)), None) for prefix in prefixes}
    return {prefix: name for prefix, name in covered.items() if name is not None}


def require_free_prefixes(account: Account, users: list[dict[str, Any]]) -> None:
    """Refuse a grant on a prefix that would open what others have on this server."""
    prefixes = sorted({str(row[1]) for user in users for row in user["grants"] if row[0] == "prefix"})
    for wildcard, database in _foreign_matches(account, prefixes).items():
        refuse(
            "name_taken",
            f"The grant on {printable(wildcard)}, which {account.name} brings, would open the database"
            f" {printable(database)} of this server; rename that, or grant {account.name} its databases one by one.",
        )


def _whole(rows: list[list[Any]], number: int) -> list[list[Any]]:
    """The rows with every privilege on a database as ALL PRIVILEGES: a later version knows some more."""
    on: dict[Any, list[Any]] = {}
    for row in rows:
        if row[0] == "database":
            on.setdefault(row[1], []).append(row)
    everything = {where for where, privileges in on.items() if len(privileges) == number}
    whole = [["database", where, None, None, "ALL PRIVILEGES", on[where][0][5]] for where in everything]
    return [row for row in rows if row[0] != "database" or row[1] not in everything] + whole


def _all_grants(user: str, host: str) -> tuple[list[list[Any]], int]:
    """All grants of a user: rows of level, database, object, column, privilege, grantable; and how many privileges
    this server knows on a database."""
    grantee = f"'{user}'@'{host}'"  # of a role too: its host is empty
    where = f"WHERE GRANTEE = {literal(grantee)}"
    # Grants outlive what they were on; those are nobody's.
    table = "AND EXISTS (SELECT 1 FROM information_schema.TABLES t WHERE t.TABLE_SCHEMA = p.TABLE_SCHEMA"
    table += " AND t.TABLE_NAME = p.TABLE_NAME)"
    end = ["PRIVILEGE_TYPE", "IS_GRANTABLE"]
    *plain, routines, proxies, number = queries(
        [
            select(["'global'", "NULL", "NULL", "NULL", *end], f"FROM information_schema.USER_PRIVILEGES {where}"),
            select(
                ["'database'", "TABLE_SCHEMA", "NULL", "NULL", *end],
                f"FROM information_schema.SCHEMA_PRIVILEGES {where}",
            ),
            select(
                ["'table'", "TABLE_SCHEMA", "TABLE_NAME", "NULL", *end],
                f"FROM information_schema.TABLE_PRIVILEGES p {where} {table}",
            ),
            select(
                ["'table'", "TABLE_SCHEMA", "TABLE_NAME", "COLUMN_NAME", *end],
                f"FROM information_schema.COLUMN_PRIVILEGES p {where} {table}",
            ),
            select(
                ["Routine_type", "Db", "Routine_name", "Proc_priv"],
                f"FROM mysql.procs_priv p WHERE User = {literal(user)} AND Host = {literal(host)} AND EXISTS (SELECT"
                " 1 FROM mysql.proc o WHERE o.db = p.Db AND o.name = p.Routine_name AND o.type = p.Routine_type)",
            ),
            select(
                ["Proxied_user", "Proxied_host", "With_grant"],
                f"FROM mysql.proxies_priv WHERE User = {literal(user)} AND Host = {literal(host)} AND Host <> ''",
            ),
            select(
                ["COUNT(*)"],
                "FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'mysql' AND TABLE_NAME = 'db'"
                " AND COLUMN_NAME LIKE '%\\_priv' AND COLUMN_NAME <> 'Grant_priv'",
            ),
        ]
    )
    rows: list[list[Any]] = [row for part in plain for row in part]
    for kind, database, name, privileges in routines:
        words = [word.strip().upper() for word in str(privileges).split(",") if word.strip()]
        grantable = "YES" if "GRANT" in words else "NO"
        rows += [[str(kind), database, name, None, word, grantable] for word in words if word != "GRANT"]
    for proxied, of, may_give_it in proxies:
        rows.append(["proxy", proxied or "", of or "", None, "PROXY", "YES" if may_give_it == "1" else "NO"])
    return rows, int(number[0][0] or 0)


_PRIVILEGE = re.compile(r"[A-Z][A-Z ]{2,40}")


def grant_statements(account: Account, user: dict[str, Any], only: set[tuple[Any, Any]] | None = None) -> list[str]:
    """The GRANTs of a user; with `only`, those on whole databases and on these tables."""
    statements = []
    name = user_name(user["user"], user["host"]) if user["host"] else literal(user["user"])
    for level, database, item, column, privilege, grantable in user["grants"]:
        if level == "prefix":
            within = own_prefix(account, database)
        elif level == "proxy":
            within = is_named(account, database, item) and privilege == "PROXY"
        else:
            within = database in account.mariadb_databases
        if not within or not _PRIVILEGE.fullmatch(privilege):
            refuse("bad_grant", f"A grant of {printable(user['user'])} is not on a database of {account.name}.")
        if (
            only is not None
            and level not in ("database", "prefix")
            and (level != "table" or (database, item) not in only)
        ):
            continue
        if level == "database":
            on = f"{pattern(database)}.*"
        elif level == "prefix":
            on = f"{ident(database)}.*"
        elif level == "table":
            on = f"{ident(database)}.{ident(item)}"
        elif level in ("PROCEDURE", "FUNCTION", "PACKAGE", "PACKAGE BODY"):
            on = f"{level} {ident(database)}.{ident(item)}"
        elif level == "proxy":
            on = user_name(database, item)
        else:
            refuse("bad_grant", f"A grant of {printable(user['user'])} is of an unknown level {printable(level)}.")
        granted = f"{privilege} ({ident(column)})" if column else privilege
        if privilege == "USAGE" and not grantable:
            continue
        statements.append(f"GRANT {granted} ON {on} TO {name}{' WITH GRANT OPTION' if grantable else ''}")
    return statements


def plugins_of(kept: dict[str, Any]) -> list[tuple[str, str]]:
    """[(plugin, authentication string)] of a user as mysql.global_priv keeps it, in the order they are tried."""
    own = {key: kept[key] for key in ("plugin", "authentication_string") if key in kept}
    parts = [own if not part else part for part in kept.get("auth_or", [{}])]
    return [(part.get("plugin") or "mysql_native_password", part.get("authentication_string", "")) for part in parts]


def credentials(user: dict[str, Any]) -> str:
    """The clauses of ALTER USER that give a user its real hashes, requirements, limits and lock."""
    kept = user["kept"]
    methods = []
    for plugin, secret in plugins_of(kept):
        if not re.fullmatch(r"[a-z0-9_]{1,40}", plugin):
            refuse("plugin_blocked", f"The MariaDB user {printable(user['user'])} has a plugin of an odd name.")
        methods.append(f"{plugin} USING {literal(secret)}" if secret else plugin)
    clauses = [f"IDENTIFIED VIA {' OR '.join(methods)}"]
    details = [
        f"{word} {literal(kept[key])}"
        for key, word in (("x509_subject", "SUBJECT"), ("x509_issuer", "ISSUER"), ("ssl_cipher", "CIPHER"))
        if kept.get(key)
    ]
    kind = int(kept.get("ssl_type", 0))
    require = {1: "SSL", 2: "X509", 3: " AND ".join(details) or "SSL"}.get(kind, "NONE")
    clauses.append(f"REQUIRE {require}")
    limits = [f"{word} {float(kept[key]):g}" for key, word in _LIMITS.items() if kept.get(key)]
    if limits:
        clauses.append(f"WITH {' '.join(limits)}")
    clauses.append("ACCOUNT LOCK" if user["locked"] else "ACCOUNT UNLOCK")
    if "password_lifetime" in kept:
        days = int(kept["password_lifetime"])
        clauses.append(f"PASSWORD EXPIRE {'DEFAULT' if days < 0 else f'INTERVAL {days} DAY' if days else 'NEVER'}")
    return " ".join(clauses)


def settings(user: dict[str, Any]) -> list[str]:
    """The statements that give a user all that it logs in with."""
    name, kept = user_name(user["user"], user["host"]), user["kept"]
    made = [f"ALTER USER {name} {credentials(user)}"]
    if _expired(kept):
        made.append(f"ALTER USER {name} PASSWORD EXPIRE")
    if kept.get("default_role"):
        made.append(f"SET DEFAULT ROLE {literal(kept['default_role'])} FOR {name}")
    return made


def _expired(kept: dict[str, Any]) -> bool:
    """Whether the user has to choose a new password at its next login."""
    return kept.get("password_last_changed") == 0


_KEPT = ("ssl_type", "x509_subject", "x509_issuer", "ssl_cipher", "password_lifetime", "default_role", *_LIMITS)


def user_facts(account: Account, users: dict[tuple[str, str], Any], held: dict[str, Any] | None) -> dict[str, Any]:
    """What the account's users are; on a target before `finish`, what they will be."""
    pending = {
        (user["user"], user["host"]): user for user in (read_json(pending_path(account)) or {"users": []})["users"]
    }
    facts = {}
    for (name, host), now in users.items():
        grants, _ = grants_of(account, name, host)
        coming = pending.get((name, host))
        kept = coming["kept"] if coming else now
        locked = coming["locked"] if coming else bool(now.get("account_locked"))
        if held is not None and not coming:
            locked = [name, host] not in held["unlocked"]
        settled = {key: kept.get(key) or None for key in _KEPT} | {"password_lifetime": kept.get("password_lifetime")}
        secret = json.dumps([plugins_of(kept), settled, _expired(kept)])
        digest = hashlib.sha256(secret.encode()).hexdigest()[:16]
        facts[f"{name}@{host}"] = {"grants": grants, "locked": locked, "credentials": digest}
    return facts
