"""Restoring into a prepared database of the target, by a role with no power (see postgres_restore).

An archive carries everything but the rows of big tables, which come in streams of their own meanwhile: the rows of an
archive can be loaded only when all of it has arrived. Then indexes and constraints are built.
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
from typing import Any

from . import postgres_sql
from .accounts import Account
from .digest import printable
from .postgres_sql import Session, conninfo, execute, ident, literal, literals
from .system import read_json, refuse, run, write_durably

_SKIPPED = re.compile(
    r"(COMMENT - EXTENSION|EXTENSION|PUBLICATION|PUBLICATION TABLE|PUBLICATION TABLES IN SCHEMA|SUBSCRIPTION"
    r"|EVENT TRIGGER|COMMENT - EVENT TRIGGER|SECURITY LABEL|SCHEMA) "
)
_ENTRY = re.compile(r"(\d+); (\d+) (\d+) (.*)")


def _restore_role(account: Account) -> str:
    return f"th_restore_{account.name}"


def _path(account: Account) -> Path:
    return account.directory / "postgres.restoring.json"


def begin(account: Account, name: str, database: dict[str, Any], stdin: Any) -> int:
    """Take an archive from `stdin`, and restore what is in it up to the rows; its bytes."""
    size = take(account, name, database, stdin)
    _run(account, "--section=pre-data", "--section=data")
    return size


def take(account: Account, name: str, database: dict[str, Any], stdin: Any) -> int:
    """Take an archive from `stdin` and make ready what restores it; its bytes."""
    abandon(account)
    spool, password = tempfile.mkdtemp(prefix="transhumance-", dir="/var/tmp"), secrets.token_urlsafe(24)
    write_durably(_path(account), json.dumps({"database": name, "spool": spool, "password": password}))
    archive, listing = os.path.join(spool, "archive"), os.path.join(spool, "list")
    with open(archive, "wb") as file:
        shutil.copyfileobj(stdin, file, 1 << 20)
        size = file.tell()
    _choose(archive, listing, {oid for oid, _, _ in database.get("schemas", [])})
    for path in (spool, archive, listing):
        os.chown(path, account.uid, account.gid)
    _make_restore_role(account, name, password, [schema for _, schema, _ in database.get("schemas", [])])
    return size


def fill(account: Account, args: dict[str, Any], stdin: Any) -> dict[str, Any]:
    """The rows of one table of the database that is being restored, as COPY puts them out, from `stdin`."""
    known = _restoring(account, args["database"])
    table = f"{ident(args['schema'])}.{ident(args['table'])}"
    # Truncated in the same transaction: its rows may be written as seen by everybody at once.
    argv = [*_as_account(account), "psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-d", _login(account, known)]
    argv += ["-c", f"TRUNCATE ONLY {table}", "-c", f"COPY {table} FROM STDIN WITH (FREEZE)"]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=_environment(known)
    ) as process:
        assert process.stdin is not None
        size = 0
        try:
            while block := stdin.read1(1 << 20):
                size += process.stdin.write(block)
        except BrokenPipeError:
            pass  # it says itself why
        _, said = process.communicate()
    _require(process.returncode, said, args["database"])
    return {"bytes": size}


def complete(account: Account, name: str) -> None:
    """Build indexes and constraints; the role with which it was restored is gone afterwards, and what it was given."""
    _restoring(account, name)
    try:
        _run(account, "--section=post-data")
    finally:
        abandon(account)


def abandon(account: Account) -> None:
    """Nothing stays of a restore, however it ended."""
    known = read_json(_path(account))
    with Session() as db:
        _drop_restore_role(account, db, db.existing([known["database"]] if known else []))
    if known:
        shutil.rmtree(known["spool"], ignore_errors=True)
        _path(account).unlink()


def _restoring(account: Account, name: str) -> dict[str, Any]:
    known = read_json(_path(account))
    if not known or known["database"] != name:
        refuse("not_restoring", f"The database {printable(str(name))} is not being restored; begin again.")
    return known


def _make_restore_role(account: Account, name: str, password: str, schemas: list[str]) -> None:
    role = _restore_role(account)
    group = ident(role + "_all")
    roles = [ident(each) for each in account.postgresql_roles]
    statements = [f"CREATE ROLE {group} NOLOGIN"]
    # BYPASSRLS: a foreign key to a table with forced row security can be added by nobody else. It reaches no further
    # than the tables of this one database, all of which are the account's.
    statements.append(f"CREATE ROLE {ident(role)} LOGIN INHERIT BYPASSRLS PASSWORD {literal(password)}")
    statements += [f"GRANT {each} TO {ident(role)}" for each in roles]
    # To be given a table, a role must be allowed to create in its schema, which the grants restored last may say or
    # not: for the time of the restore all of the account's roles are.
    statements += [f"GRANT {group} TO {each}" for each in [*roles, ident(role)]]
    statements.append(f"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {ident(name)} TO {group}")
    execute(statements)
    execute([f"GRANT CREATE, USAGE ON SCHEMA {ident(schema)} TO {group}" for schema in schemas], name)


def _as_account(account: Account) -> list[str]:
    ids = [f"--reuid={account.uid}", f"--regid={account.gid}"]
    return ["setpriv", *ids, "--clear-groups", "--no-new-privs", "--"]


def _login(account: Account, known: dict[str, Any]) -> str:
    return conninfo(known["database"], host="127.0.0.1", user=_restore_role(account), sslmode="disable")


def _environment(known: dict[str, Any]) -> dict[str, str]:
    return {
        "PATH": postgres_sql.ENVIRONMENT["PATH"],
        "PGPASSWORD": known["password"],
        "HOME": "/",
        "PGCLIENTENCODING": "UTF8",
        "PGAPPNAME": "transhumance",
        # It becomes durable as a whole by the next commit that waits, which is that of dropping the role.
        "PGOPTIONS": "-c synchronous_commit=off -c maintenance_work_mem=256MB -c search_path=pg_catalog"
        " -c DateStyle=ISO,YMD -c IntervalStyle=postgres -c row_security=off",
    }


def _run(account: Account, *sections: str) -> None:
    jobs = max(1, min(4, os.cpu_count() or 1))
    done = pg_restore(account, f"--jobs={jobs}", *sections)
    _require(done.returncode, done.stderr, read_json(_path(account))["database"])


def pg_restore(account: Account, *options: str) -> subprocess.CompletedProcess[bytes]:
    """Restore what was taken, with these options; how it ended and what it said."""
    known = read_json(_path(account))
    argv = [*_as_account(account), "pg_restore", "--no-tablespaces", "--no-security-labels", *options]
    argv += [f"--use-list={known['spool']}/list", "-d", _login(account, known), f"{known['spool']}/archive"]
    return run(argv, env=_environment(known), check=False, timeout=None)


def _require(code: int, said: bytes, name: str) -> None:
    if code != 0:
        lines = said.decode("utf-8", "backslashreplace").splitlines()
        errors = [printable(line) for line in lines if "error:" in line.lower() or line.startswith("Command was:")]
        message = " | ".join(errors[:6])[:900] or "it said nothing"
        refuse("restore_failed", f"The database {printable(name)} could not be restored as its owner: {message}")


def _choose(archive: str, listing: str, schemas: set[int]) -> None:
    """Write the list of entries to restore: all but what was made beforehand or is not carried."""
    done = run(["pg_restore", "--list", archive], timeout=None)
    kept: list[bytes] = []
    for line in done.stdout.splitlines():
        found = _ENTRY.match(line.decode("utf-8", "backslashreplace"))
        if not found or line.startswith(b";"):
            continue
        catalog, oid, rest = found[2], int(found[3]), found[4]
        skip = _SKIPPED.match(rest)
        if skip and (skip[1] != "SCHEMA" or (catalog == "2615" and oid in schemas)):
            continue
        kept.append(found[1].encode() + b";\n")
    Path(listing).write_bytes(b"".join(kept))


def _drop_restore_role(account: Account, db: Session, databases: list[str]) -> None:
    """Take the restore role away, and all that it was given in these databases."""
    role = _restore_role(account)
    names = literals([role, role + "_all"])
    here = db.query(f"SELECT to_json(rolname::text) FROM pg_roles WHERE rolname = ANY({names});")
    if not here:
        return
    dropped = f"DROP OWNED BY {', '.join(ident(each) for each in here)}"
    db.query(f"SELECT to_json(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = ANY({names});")
    for database in databases:
        execute([dropped], database)
    db.execute([dropped, f"DROP ROLE {', '.join(ident(each) for each in here)}"])
