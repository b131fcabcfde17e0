"""Roles and databases of an account made on the target by the superuser: settings, grants, extensions, schemas."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ...account.accounts import Account
from ...host.digest import printable
from ...host.system import Refused, refuse
from . import locks
from .sql import Session, execute, ident, literal, literals, name_in_sql

# Not trusted by PostgreSQL, but harmless: their functions reach nothing outside the database, and what they show of the
# server is shown to its superuser alone. dblink, file_fdw, postgres_fdw, the languages ending in u and what reads pages
# of files (pageinspect, pg_surgery ...) are not.
VETTED = frozenset(
    {
        *(
            "amcheck",
            "autoinc",
            "bloom",
            "dict_xsyn",
            "earthdistance",
            "insert_username",
            "intagg",
            "moddatetime",
            "refint",
        ),
        *("pg_buffercache", "pg_freespacemap", "pg_stat_statements", "pg_visibility", "pgrowlocks"),
        *("pgstattuple", "sslinfo", "xml2"),
        *("postgis", "postgis_raster", "vector"),
    }
)


@dataclass
class Made:
    """What became of a definition: `left` is what was passed over, `refused` what this server does not take, each
    [database, object, sentence]."""

    left: list[str] = field(default_factory=list)
    refused: list[list[str | None]] = field(default_factory=list)


def make_roles(roles: dict[str, Any], db: Session) -> Made:
    """The roles, which may not log in yet."""
    has_an_end = "json_build_array(rolname::text, rolvaliduntil IS NOT NULL)"
    existing = dict(db.query(f"SELECT {has_an_end} FROM pg_roles WHERE rolname = ANY({literals(roles)});"))
    statements, made = [], Made()
    for name, role in roles.items():
        word = "ALTER" if name in existing else "CREATE"
        options = ["NOLOGIN NOSUPERUSER NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD NULL"]
        options.append("INHERIT" if role["rolinherit"] else "NOINHERIT")
        options.append("CREATEDB" if role["rolcreatedb"] else "NOCREATEDB")
        options.append(f"CONNECTION LIMIT {int(role['rolconnlimit'])}")
        if role["rolvaliduntil"] or existing.get(name):
            options.append(f"VALID UNTIL {literal(role['rolvaliduntil'] or 'infinity')}")
        statements.append(f"{word} ROLE {ident(name)} WITH {' '.join(options)}")
        statements.append(f"ALTER ROLE {ident(name)} RESET ALL")
        statements.append(f"COMMENT ON ROLE {ident(name)} IS {literal(role['comment'])}")
    for name, role in roles.items():
        for member, admin in role["members"]:
            if member in roles:
                option = " WITH ADMIN OPTION" if admin else ""
                statements.append(f"GRANT {ident(name)} TO {ident(member)}{option}")
    db.execute(statements)
    for name, role in roles.items():
        _set(role["settings"] or [], None, f"ROLE {name_in_sql(name)}", f"ALTER ROLE {ident(name)}", db, made)
    return made


def _set(settings: list[str], database: str | None, where: str, alter: str, db: Session, made: Made) -> None:
    """Set what an ordinary user may set, by `alter`; `where` is what that alters, as it is typed."""
    if not settings:
        return
    clauses = []
    split = [setting.partition("=") for setting in settings]
    names = literals(name for name, _, _ in split)
    rows = db.query(f"SELECT json_build_array(name, context, vartype) FROM pg_settings WHERE name = ANY({names});")
    contexts = {name: (context, kind) for name, context, kind in rows}
    lists = {"search_path", "temp_tablespaces", "DateStyle", "local_preload_libraries"}
    for name, _, value in split:
        if contexts.get(name, ("user" if "." in name else "", ""))[0] != "user":
            word = "only a superuser may set it here" if name in contexts else "the new server does not know it"
            made.left.append(f"Setting {printable(name)} of {_words(where)} is not carried: {word}.")
        else:
            written = (
                f"{ident(name)} TO {listed(value)}" if name in lists else f"{_setting_name(name)} TO {literal(value)}"
            )
            clauses.append((name, value, f"{alter} SET {written}"))
    for number, why in db.execute_each([statement for _, _, statement in clauses]):
        name, value = printable(clauses[number][0]), printable(clauses[number][1])
        sentence = (
            f"The setting {name} = {value} of {where} is refused by the new server ({printable(why)}): type ALTER "
            f"{where} SET {name} = '...' with a value that both know, or ALTER {where} RESET {name}; then test again."
        )
        if name.lower() == "timezone":
            sentence += (
                " The list of time zones that it knows is pg_timezone_names; US/Eastern is America/New_York there."
            )
        made.refused.append([database, f"setting {name}", sentence])


def _words(where: str) -> str:
    """What is typed (ROLE ann IN DATABASE shop) as words."""
    return re.sub("(^| IN )(ROLE|DATABASE) ", lambda match: match[0].lower(), where)


def _setting_name(name: str) -> str:
    return ".".join(ident(part) for part in name.split("."))


def listed(value: str) -> str:
    """A list setting comes as one text of quoted or plain names; each becomes a literal of its own."""
    parts = re.findall(r'"((?:[^"]|"")*)"|([^,\s][^,]*)', value)
    return ", ".join(literal(quoted.replace('""', '"') if quoted else plain.strip()) for quoted, plain in parts) or "''"


def make_database(account: Account, name: str, database: dict[str, Any], db: Session) -> Made:
    """An empty database, with its schemas, its extensions and what belongs to it as a whole."""
    provider = {"c": "libc", "i": "icu", "b": "builtin"}.get(database["provider"], "libc")
    options = [
        f"OWNER {ident(database['owner'])} TEMPLATE template0 ENCODING {literal(database['encoding'])}",
        f"LC_COLLATE {literal(database['collate'])} LC_CTYPE {literal(database['ctype'])} LOCALE_PROVIDER {provider}",
    ]
    if provider == "icu":
        options.append(f"ICU_LOCALE {literal(database['locale'])}")
        if database["rules"]:
            options.append(f"ICU_RULES {literal(database['rules'])}")
    elif provider == "builtin":
        options.append(f"BUILTIN_LOCALE {literal(database['locale'])}")
    database_in_sql, roles = ident(name), {*account.postgresql_roles, database["owner"]}
    _create(name, database, f"CREATE DATABASE {database_in_sql} {' '.join(options)}", db)
    made = Made()
    statements = [f"COMMENT ON DATABASE {database_in_sql} IS {literal(database['comment'])}"]
    statements.append(f"REVOKE ALL ON DATABASE {database_in_sql} FROM PUBLIC, {ident(database['owner'])}")
    for grantee, privilege, grantable in database["grants"] or []:
        if grantee is not None and grantee not in roles:
            made.left.append(
                f"Database {printable(name)}: the grant of {privilege} to {printable(grantee)} is not carried."
            )
            continue
        to = "PUBLIC" if grantee is None else ident(grantee)
        word = {"CREATE": "CREATE", "CONNECT": "CONNECT", "TEMPORARY": "TEMPORARY"}[privilege]
        statements.append(
            f"GRANT {word} ON DATABASE {database_in_sql} TO {to}{' WITH GRANT OPTION' if grantable else ''}"
        )
    inside = _inside(account, name, database, db)
    db.execute(statements)
    execute(inside, name)
    if why := locks.why_not(name, database.get("tables", 0), db, "PostgreSQL on the new server"):
        made.refused.append([name, None, why])
    typed = f"DATABASE {name_in_sql(name)}"
    for role, settings in database["settings"]:
        if role is None:
            _set(settings, name, typed, f"ALTER DATABASE {database_in_sql}", db, made)
        elif role in account.postgresql_roles:
            where = f"ROLE {name_in_sql(role)} IN {typed}"
            _set(settings, name, where, f"ALTER ROLE {ident(role)} IN DATABASE {database_in_sql}", db, made)
    return made


def _create(name: str, database: dict[str, Any], statement: str, db: Session) -> None:
    try:
        db.execute([statement])
    except Refused as error:
        if "locale" not in error.message:
            raise
        locale = printable(database["locale"] or database["collate"])
        refuse(
            "locale_missing",
            f"The database {printable(name)} has the locale {locale}, which the new server does not have: its "
            "administrator has to install it (locale -a lists those that it has). Then test again.",
        )


def _inside(account: Account, name: str, database: dict[str, Any], db: Session) -> list[str]:
    """Schemas, and extensions: the vetted by the superuser, trusted ones by the owner, others are refused."""
    schemas = database.get("schemas", [])
    names = {schema for _, schema, _, _ in schemas}
    statements = [] if "public" in names else ["DROP SCHEMA public"]
    for _, schema, owner, comment in schemas:
        if schema == "public":
            statements.append(f"ALTER SCHEMA public OWNER TO {ident(owner)}")
        else:
            statements.append(f"CREATE SCHEMA {ident(schema)} AUTHORIZATION {ident(owner)}")
        statements.append(f"COMMENT ON SCHEMA {ident(schema)} IS {literal(comment)}")
    for extension, why in blocked_extensions(database, db).items():
        refuse("extension_blocked", f"The extension {printable(extension)} of database {printable(name)} {why}.")
    for extension, schema, _ in database.get("extensions", []):
        at = f" SCHEMA {ident(schema)}" if schema in names else ""
        create = f"CREATE EXTENSION {ident(extension)}{at}"
        if extension not in VETTED and database["owner"] in account.postgresql_roles:
            # The owner needs CREATE on the database to make it; comes back to itself whatever the extension does.
            statements += [f"GRANT CREATE ON DATABASE {ident(name)} TO {ident(database['owner'])}"]
            statements += [f"SET ROLE {ident(database['owner'])}", create, "RESET ROLE"]
            if not _may_create(database):
                statements.append(f"REVOKE CREATE ON DATABASE {ident(name)} FROM {ident(database['owner'])}")
        else:
            statements.append(create)
    return statements


def blocked_extensions(database: dict[str, Any], db: Session) -> dict[str, str]:
    """The extensions of a database that nobody may make here, and why."""
    names = [extension for extension, _, _ in database.get("extensions", [])]
    rows = db.query(
        "SELECT json_build_array(name, bool_or(trusted)) FROM pg_available_extension_versions"
        f" WHERE name::text = ANY({literals(names)}) GROUP BY name;"
    )
    trusted, blocked = dict(rows), {}
    for extension in names:
        if extension not in trusted:
            blocked[extension] = "is not installed on the new server; install its package there, or drop it"
        elif extension not in VETTED and not trusted[extension]:
            blocked[extension] = "needs a superuser and is not on the list of vetted ones; drop it, or have it vetted"
    return blocked


def _may_create(database: dict[str, Any]) -> bool:
    grants = database["grants"] or []
    return any(grantee == database["owner"] and privilege == "CREATE" for grantee, privilege, _ in grants)
