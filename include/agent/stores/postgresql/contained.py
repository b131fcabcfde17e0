"""Restoring into a prepared database of the target, by a role with no power (see postgres_restore).

An archive carries everything but the rows of big tables, which come in streams of their own meanwhile: the rows of an
archive can be loaded only when all of it has arrived. Then indexes and constraints are built, and grants given. Each
database has a role, a password and files of its own: several are restored at once.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import IO, Any

from ...account.accounts import Account
from ...host import ours
from ...host.digest import printable
from ...host.processes import AS_CLIENT, CLIENT
from ...host.system import read_json, refuse, run, write_durably
from ...verbs import postgresql as verbs
from ...verbs.peers import Bytes
from ...verbs.verb import Asking
from . import digest, extensions, look, tool_messages, unchecked
from . import views as postgres_views
from .digest import shown
from .roles_gone import drop_roles
from .sql import Session, conninfo, environment, execute, ident, literal, literals, program, query, unbound
from .views import Views

_SKIPPED = re.compile(
    r"(COMMENT - EXTENSION|COMMENT - SCHEMA|EXTENSION|PUBLICATION|PUBLICATION TABLE|PUBLICATION TABLES IN SCHEMA"
    r"|SUBSCRIPTION|EVENT TRIGGER|COMMENT - EVENT TRIGGER|SECURITY LABEL|SCHEMA|ACL|DEFAULT ACL) "
)
_SECURITY = (
    "ROW SECURITY "  # comes last: a foreign key to a table that has it can be added by nobody who is bound by it
)
_VIEW_ROWS = "MATERIALIZED VIEW DATA "  # computed when the grants are given by which the view's owner reads
_RELATIONS = ("TABLE ", "VIEW ", "MATERIALIZED VIEW ", "FOREIGN TABLE ")
_ENTRY = re.compile(r"(\d+); (\d+) (\d+) (.*)")
# What a setting of the customer's database must not do to a session that restores it.
_SETTINGS = {
    # It becomes durable as a whole by the next commit that waits, which is that of dropping the role.
    "synchronous_commit": "off",
    "maintenance_work_mem": "256MB",
    "search_path": "pg_catalog",
    "DateStyle": "ISO,YMD",
    "IntervalStyle": "postgres",
    "row_security": "off",
    "role": "none",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "default_transaction_read_only": "off",
    "default_transaction_isolation": "read committed",
    "transform_null_equals": "off",
    "standard_conforming_strings": "on",
    "check_function_bodies": "off",
    "xmloption": "content",
    "default_tablespace": "",
    "default_table_access_method": "heap",
    "client_min_messages": "warning",
}


def _path(account: Account, name: str) -> Path:
    return account.directory / f"postgres.restoring.{_number(name)}.json"


def _number(name: str) -> int:
    """A number that stands for a database here, where it may have any name."""
    return query(f"SELECT oid::int8 FROM pg_database WHERE datname = {literal(name)};")[0]


def begin(account: Account, name: str, database: dict[str, Any], stdin: Any, views: Views) -> int:
    """Take an archive from `stdin`, and restore what is in it up to the rows; its bytes.

    The rows of these materialized `views` come like those of tables."""
    size = take(account, name, database, stdin)
    _run(account, name, listing="first")
    give_paths(account, name)
    _run(account, name, "--section=pre-data")
    open_for_rows(account, name)
    _run(account, name, "--section=data", one_by_one=extensions.refer_to_each_other(name))
    postgres_views.as_tables(name, views)
    return size


def take(account: Account, name: str, database: dict[str, Any], stdin: Any) -> int:
    """Take an archive from `stdin` and make ready what restores it; its bytes."""
    abandon(account, name)
    spool, password = _spool(), secrets.token_urlsafe(24)
    restoring = {
        "database": name,
        "role": f"th_restore_{_number(name)}",
        "spool": spool,
        "password": password,
        "paths": [],
    }
    write_durably(_path(account, name), json.dumps(restoring))
    with _readable(spool, "archive") as file:
        shutil.copyfileobj(stdin, file, 1 << 20)
        size = file.tell()
    _choose(spool, {schema[0] for schema in database.get("schemas", [])})
    _make_restore_role(account, restoring, [schema[1] for schema in database.get("schemas", [])])
    return size


def _spool() -> str:
    """A directory that our clients can read and nobody but root can change: whoever may change one could put a link in
    the place of whatever root makes in it, or hands over."""
    spool = tempfile.mkdtemp(prefix="transhumance-", dir="/var/tmp")
    descriptor = os.open(spool, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchown(descriptor, 0, CLIENT)
        os.fchmod(descriptor, 0o750)
    finally:
        os.close(descriptor)
    return spool


def _readable(spool: str, name: str) -> IO[bytes]:
    """A new file there."""
    file = open(os.path.join(spool, name), "xb")
    os.fchown(file.fileno(), 0, CLIENT)
    os.fchmod(file.fileno(), 0o640)
    return file


def open_for_rows(account: Account, name: str) -> None:
    """Rows that were checked where they come from are not checked again; what is worked out of them finds its names."""
    give_paths(account, name)
    restoring = _restoring(account, name)
    extensions.open_for_rows(name, restoring["role"])
    restoring["unchecked"] = unchecked.begin(name, lambda statements: _require_each(restoring, statements))
    write_durably(_path(account, name), json.dumps(restoring))


def give_paths(account: Account, name: str) -> None:
    """Functions that are there find their names, also when a table is made whose columns are worked out by them."""
    restoring = _restoring(account, name)
    restoring["paths"] += unchecked.give_paths(name, lambda statements: _require_each(restoring, statements))
    write_durably(_path(account, name), json.dumps(restoring))


def fill(account: Account, want: verbs.Fill, asking: Asking) -> Bytes:
    """The rows of one table of the database that is being restored, as COPY puts them out, which are streamed."""
    restoring = _restoring(account, want.database)
    schema, table = want.schema, want.table
    columns = digest.columns_of(want.database)[schema, table]
    # Truncated in the same transaction: its rows may be written as seen by everybody at once.
    argv = [*AS_CLIENT, program("psql"), "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-d", _login(restoring)]
    argv += ["-c", f"TRUNCATE ONLY {ident(schema)}.{ident(table)}"]
    argv += ["-c", f"COPY {digest.copied(schema, table, columns)} FROM STDIN WITH (FREEZE)"]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=_environment(restoring)
    ) as process:
        assert process.stdin is not None
        size = 0
        try:
            while block := asking.stdin.read1(1 << 20):
                size += process.stdin.write(block)
        except BrokenPipeError:
            pass  # it says itself why
        _, errors = process.communicate()
    _require(process.returncode, errors, want.database)
    return Bytes(bytes=size)


def complete(account: Account, name: str, grants: dict[str, Any], views: Views) -> None:
    """Build indexes and constraints, give the grants, fill views, collect statistics.

    The role with which it was restored is gone afterwards, and what it was given."""
    restoring = _restoring(account, name)
    try:
        postgres_views.as_views(name, views)
        close_for_rows(account, name)
        _run(account, name, "--section=post-data")
        if Path(restoring["spool"], "secured").stat().st_size:
            _run(account, name, listing="secured")
        if failures := give(account, name, grants):
            refuse("restore_failed", f"The database {printable(name)}: {failures[0]}")
        if not views and Path(restoring["spool"], "views").stat().st_size:
            _run(account, name, listing="views")
        analyze(account, name)
    finally:
        abandon(account, name)


def close_for_rows(account: Account, name: str) -> None:
    """The checks are there again, as they were: the rows are proven to be those that they were true of."""
    restoring = _restoring(account, name)
    unchecked.end(name, restoring["unchecked"], lambda statements: _require_each(restoring, statements))


def give(account: Account, name: str, grants: dict[str, Any]) -> list[str]:
    """Give what is granted in a database; what could not be given, in sentences."""
    restoring = _restoring(account, name)
    schemas: dict[str, list[str]] = {}
    statements = list(grants["statements"])
    failures = [f"{printable(statements[at])} failed: {printable(why)}" for at, why in _each(restoring, statements)]
    for schema, owner, grantor, grantee, privilege, grantable in grants["schemas"]:
        made = schemas.setdefault(schema, [f"REVOKE ALL ON SCHEMA {ident(schema)} FROM PUBLIC, {ident(owner)}"])
        to = "PUBLIC" if grantee is None else ident(grantee)
        word = {"CREATE": "CREATE", "USAGE": "USAGE"}[privilege]
        granted = f"GRANT {word} ON SCHEMA {ident(schema)} TO {to}{' WITH GRANT OPTION' if grantable else ''}"
        as_other = grantor != owner and grantor in account.postgresql_roles
        made += [f"SET ROLE {ident(grantor)}", granted, "RESET ROLE"] if as_other else [granted]
    execute([statement for made in schemas.values() for statement in made], name)
    extensions.give(account, name, grants.get("extensions", []))
    return failures


def analyze(account: Account, name: str) -> list[str]:
    """Statistics for the planner; then functions look for names where they did before.

    What can be done with the help alone that functions had meanwhile, and so not by the new server later, in sentences.
    """
    restoring = _restoring(account, name)
    tables = [(f"{ident(schema)}.{ident(table)}", shown(schema, table)) for schema, table in query(_ANALYZED, name)]
    _each(restoring, [f"ANALYZE {table}" for table, _ in tables])
    reset = restoring["paths"]
    _require_each(restoring, reset)
    failed = _each(restoring, [f"ANALYZE {table}" for table, _ in tables]) if reset else []
    return [
        f"ANALYZE and autovacuum will fail for the table {printable(tables[number][1])} ({printable(why)}): a function "
        "behind one of its indexes has to say where its names are. Type ALTER FUNCTION ... SET search_path = public, "
        "pg_temp; with your schemas."
        for number, why in failed
    ]


# Parents of partitions too, which nothing else ever looks at. Each is looked at as its owner, by PostgreSQL itself.
_ANALYZED = """SELECT json_build_array(n.nspname, o.relname) FROM pg_class o JOIN pg_namespace n ON n.oid =
 o.relnamespace WHERE o.relkind IN ('r', 'p', 'm') AND o.relpersistence <> 't' AND n.nspname !~ '^pg_'
 AND n.nspname <> 'information_schema' AND o.relowner <> 10;
"""


def abandon(account: Account, name: str) -> None:
    """Nothing stays of a restore of this database, however it ended."""
    with Session() as db:
        if db.existing([name]):
            _abandon(_path(account, name), db)


def abandon_all(account: Account) -> None:
    """Nothing stays of any restore of this account's, also of databases that are gone."""
    with Session() as db:
        for path in account.directory.glob("postgres.restoring.*.json"):
            _abandon(path, db)


def _abandon(path: Path, db: Session) -> None:
    restoring = read_json(path)
    if restoring:
        _drop_restore_role(restoring, db)
        shutil.rmtree(restoring["spool"], ignore_errors=True)
        path.unlink()


def _restoring(account: Account, name: str) -> dict[str, Any]:
    restoring = read_json(_path(account, name))
    if not restoring:
        refuse("not_restoring", f"The database {printable(str(name))} is not being restored; begin again.")
    return restoring


def _each(restoring: dict[str, Any], statements: list[str]) -> list[tuple[int, str]]:
    """Run statements as the role that restores, each by itself; which of them failed, and why."""
    if not statements:
        return []
    login = (restoring["role"], restoring["password"])
    with Session(restoring["database"], login, settings=_SETTINGS) as session:
        return session.execute_each(statements)


def _require_each(restoring: dict[str, Any], statements: list[str]) -> None:
    for number, why in _each(restoring, statements):
        at = printable(restoring["database"])
        refuse("restore_failed", f"The database {at}: {printable(statements[number])} failed: {printable(why)}")


def _make_restore_role(account: Account, restoring: dict[str, Any], schemas: list[str]) -> None:
    role, name = restoring["role"], restoring["database"]
    group = ident(role + "_all")
    roles = [ident(member) for member in account.postgresql_roles]
    for own_role in (role, role + "_all"):
        look.is_there(own_role)
    statements = [f"CREATE ROLE {group} NOLOGIN CONNECTION LIMIT {ours.mark(role + '_all')}"]
    # It may set another password for itself, and lives as long as the restore: so it may nothing that the account's
    # roles may not, in any database.
    statements.append(f"CREATE ROLE {ident(role)} LOGIN INHERIT PASSWORD {literal(restoring['password'])}")
    statements[-1] += f" CONNECTION LIMIT {ours.mark(role)}"
    statements += unbound(role, [name])
    statements += [f"GRANT {member} TO {ident(role)}" for member in roles]
    # To be given a table, a role must be allowed to create in its schema, which the grants given last may say or
    # not: for the time of the restore all of the account's roles are.
    statements += [f"GRANT {group} TO {grantee}" for grantee in [*roles, ident(role)]]
    statements.append(f"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {ident(name)} TO {group}")
    execute(statements)
    execute([f"GRANT CREATE, USAGE ON SCHEMA {ident(schema)} TO {group}" for schema in schemas], name)


def _login(restoring: dict[str, Any]) -> str:
    return conninfo(restoring["database"], host="127.0.0.1", user=restoring["role"], sslmode="disable")


def _environment(restoring: dict[str, Any]) -> dict[str, str]:
    return environment(restoring["database"], _SETTINGS, restoring["password"]) | {"HOME": "/"}


def _run(account: Account, name: str, *sections: str, listing: str = "list", one_by_one: bool = False) -> None:
    jobs = 1 if one_by_one else max(1, min(4, os.cpu_count() or 1))
    done = pg_restore(account, name, f"--jobs={jobs}", *sections, listing=listing)
    _require(done.returncode, done.stderr, name)


def pg_restore(account: Account, name: str, *options: str, listing: str = "list") -> subprocess.CompletedProcess[bytes]:
    """Restore what was taken, with these options; how it ended and what it said."""
    restoring = _restoring(account, name)
    argv = [*AS_CLIENT, program("pg_restore"), "--no-tablespaces", "--no-security-labels", *options]
    argv += [f"--use-list={restoring['spool']}/{listing}", "-d", _login(restoring), f"{restoring['spool']}/archive"]
    return run(argv, env=_environment(restoring), check=False, timeout=None)


def _require(code: int, errors: bytes, name: str) -> None:
    if code != 0:
        text = errors.decode("utf-8", "backslashreplace")
        sentences = [entry.sentence for entry in tool_messages.messages(text) if entry.error][:6]
        message = " | ".join(sentences)[:900] or printable(text.strip()[-300:]) or "it said nothing"
        refuse("restore_failed", f"The database {printable(name)} could not be restored as its owner: {message}")


def _choose(spool: str, schemas: set[int]) -> None:
    """Write the lists of entries to restore, all but what was made beforehand or is not carried: what comes before the
    first table (most functions do), the rest, which tables have row security, and the rows of views."""
    done = run([*AS_CLIENT, program("pg_restore"), "--list", f"{spool}/archive"], timeout=None)
    listing = "first"
    chosen: dict[str, list[bytes]] = {"first": [], "list": [], "secured": [], "views": []}
    for line in done.stdout.splitlines():
        match = _ENTRY.match(line.decode("utf-8", "backslashreplace"))
        if not match or line.startswith(b";"):
            continue
        catalog, oid, rest = match[2], int(match[3]), match[4]
        skip = _SKIPPED.match(rest)
        if skip and (skip[1] != "SCHEMA" or (catalog == "2615" and oid in schemas)):
            continue
        if rest.startswith(_VIEW_ROWS):
            listing = "views"
        elif listing == "first" and rest.startswith(_RELATIONS) or listing == "views":
            listing = "list"
        chosen["secured" if rest.startswith(_SECURITY) else listing].append(match[1].encode() + b";\n")
    for listing, lines in chosen.items():
        with _readable(spool, listing) as file:
            file.write(b"".join(lines))


def _drop_restore_role(restoring: dict[str, Any], db: Session) -> None:
    """Take the restore role away, and all that it was given."""
    marks = ", ".join(
        f"({literal(own_role)}, {ours.mark(own_role)})" for own_role in (restoring["role"], restoring["role"] + "_all")
    )
    roles = db.query(f"SELECT to_json(rolname::text) FROM pg_roles WHERE (rolname, rolconnlimit) IN ({marks});")
    if not roles:
        return
    names = literals(roles)
    dropped = f"DROP OWNED BY {', '.join(ident(role) for role in roles)}"
    db.query(f"SELECT to_json(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = ANY({names});")
    for database in db.existing([restoring["database"]]):
        execute([dropped], database)
    db.execute([dropped])
    drop_roles(roles, db)
