"""PostgreSQL on the target: roles and databases made by the superuser, contents restored by a role with no power.

What a customer wrote (defaults, checks, index expressions, functions) runs while a dump is restored. So the archive is
restored by pg_restore, which unlike psql has no commands of its own, run by the account's Unix user, and logged in as
a role made for it that is a member of the account's roles and of nothing else. Account roles have no password and no
login until `finish`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Any

from .accounts import Account
from .digest import printable
from .postgres_make import make_database, make_roles
from .postgres_sql import Session, conninfo, execute, ident, literal, literals
from .system import refuse, run, write_durably

_RESTORE_PREFIX = "th_restore_"
_SKIPPED = re.compile(
    r"(COMMENT - EXTENSION|EXTENSION|PUBLICATION|PUBLICATION TABLE|PUBLICATION TABLES IN SCHEMA|SUBSCRIPTION"
    r"|EVENT TRIGGER|COMMENT - EVENT TRIGGER|SECURITY LABEL|SCHEMA) "
)
_ENTRY = re.compile(r"(\d+); (\d+) (\d+) (.*)")


def _pending(account: Account) -> Path:
    return account.directory / "postgres.json"


def _read_pending(account: Account) -> dict[str, Any] | None:
    try:
        return json.loads(_pending(account).read_text())
    except FileNotFoundError:
        return None


def _write_pending(account: Account, pending: dict[str, Any]) -> None:
    account.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_durably(_pending(account), json.dumps(pending))


def _restore_role(account: Account) -> str:
    return _RESTORE_PREFIX + account.name


def _prepare(account: Account, args: dict[str, Any], stdin: Any) -> dict[str, Any]:
    """Make the roles (no login, no password), drop and make the databases, their extensions and schemas.

    What an earlier call made of the same definition, and nothing was restored into since, stays as it is."""
    roles, databases = args["roles"], args["databases"]
    if set(roles) != set(account.postgresql_roles) or set(databases) != set(account.postgresql_databases):
        refuse("other_account", f"These are not the PostgreSQL roles and databases of {account.name}.")
    if any(name.startswith(_RESTORE_PREFIX) for name in roles):
        refuse("bad_name", f"Role names that begin with {_RESTORE_PREFIX} are the agent's; rename the role.")
    known = _read_pending(account) or {"roles": {}, "databases": {}, "fresh": [], "left": {}}
    with Session() as db:
        here = db.existing(databases)
        _refuse_taken(account, known, here, db)
        same_roles = known["roles"] == roles
        fresh = [
            name
            for name in known["fresh"]
            if name in here and same_roles and _lasting(databases[name]) == _lasting(known["databases"][name])
        ]
        left = {name: sentences for name, sentences in known["left"].items() if name in fresh}
        pending = {"roles": roles, "databases": databases, "fresh": fresh, "left": left}
        _write_pending(account, pending)
        if same_roles and len(fresh) == len(databases):
            return {"left": _all_left(pending)}
        _drop_restore_role(account, db, here)
        stale = [name for name in here if name not in fresh]
        db.execute([f"DROP DATABASE {ident(name)} WITH (FORCE)" for name in stale])
        pending["left"][""] = make_roles(roles, db)
        for name, database in databases.items():
            if name not in fresh:
                pending["left"][name] = make_database(account, name, database, db)
    pending["fresh"] = list(databases)
    _write_pending(account, pending)
    return {"left": _all_left(pending)}


def _lasting(database: dict[str, Any]) -> dict[str, Any]:
    """A database's definition without what only `finish` sets, and without what the next archive brings."""
    return {key: value for key, value in database.items() if key not in ("datconnlimit",)}


def _all_left(pending: dict[str, Any]) -> list[str]:
    return [sentence for sentences in pending["left"].values() for sentence in sentences]


def _refuse_taken(account: Account, known: dict[str, Any], here: list[str], db: Session) -> None:
    """A role or database of that name that no earlier attempt of this account made is somebody else's."""
    names = literals(name for name in account.postgresql_roles if name not in known["roles"])
    taken = db.query(f"SELECT to_json('role ' || rolname) FROM pg_roles WHERE rolname = ANY({names});")
    taken += [f"database {name}" for name in here if name not in known["databases"]]
    if taken:
        refuse(
            "name_taken",
            f"The PostgreSQL {printable(taken[0])} exists on this server and did not come with {account.name}; "
            "remove or rename it there, then try again.",
        )


def _restore(account: Account, args: dict[str, Any], stdin: Any) -> dict[str, Any]:
    """Restore one archive, read from `stdin`, into a database that `_prepare` has just made."""
    name, pending = args["database"], _read_pending(account)
    if pending is None or name not in account.postgresql_databases or name not in pending["databases"]:
        refuse("other_account", f"The database {printable(str(name))} was not prepared for {account.name}.")
    database = pending["databases"][name]
    if name not in pending["fresh"]:
        refuse("not_prepared", f"The database {printable(name)} holds an earlier copy; prepare it again first.")
    _write_pending(account, {**pending, "fresh": [each for each in pending["fresh"] if each != name]})
    spool = tempfile.mkdtemp(prefix="transhumance-", dir="/var/tmp")
    try:
        archive = os.path.join(spool, "archive")
        with open(archive, "wb") as file:
            shutil.copyfileobj(stdin, file, 1 << 20)
            size = file.tell()
        listing = os.path.join(spool, "list")
        _choose(archive, listing, {oid for oid, _, _ in database.get("schemas", [])})
        for path in (spool, archive, listing):
            os.chown(path, account.uid, account.gid)
        _restore_contained(account, name, database, archive, listing)
    finally:
        shutil.rmtree(spool, ignore_errors=True)
    return {"bytes": size}


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


def _restore_contained(account: Account, name: str, database: dict[str, Any], archive: str, listing: str) -> None:
    role, password = _restore_role(account), secrets.token_urlsafe(24)
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
    inside = [
        f"GRANT CREATE, USAGE ON SCHEMA {ident(schema)} TO {group}" for _, schema, _ in database.get("schemas", [])
    ]
    execute(inside, name)
    try:
        jobs = str(max(1, min(4, os.cpu_count() or 1)))
        argv = [
            "setpriv",
            f"--reuid={account.uid}",
            f"--regid={account.gid}",
            "--clear-groups",
            "--no-new-privs",
            "--",
        ]
        argv += [
            "pg_restore",
            "--no-tablespaces",
            "--no-security-labels",
            f"--jobs={jobs}",
            f"--use-list={listing}",
        ]
        argv += ["-d", conninfo(name, host="127.0.0.1", user=role, sslmode="prefer"), archive]
        environment = {
            "PGPASSWORD": password,
            "HOME": "/",
            "PGCLIENTENCODING": "UTF8",
            "PGAPPNAME": "transhumance",
            # It becomes durable as a whole by the next commit that waits, which is that of dropping the role.
            "PGOPTIONS": "-c synchronous_commit=off -c maintenance_work_mem=128MB",
        }
        done = run(argv, env=environment, check=False, timeout=None)
    finally:
        with Session() as db:
            _drop_restore_role(account, db, [name])
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "backslashreplace").splitlines()
        errors = [printable(line) for line in lines if "error:" in line or line.startswith("Command was:")]
        said = " | ".join(errors[:6])[:900] or "it said nothing"
        refuse("restore_failed", f"The database {printable(name)} could not be restored as its owner: {said}")


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


def role_facts(account: Account, db: Session) -> dict[str, Any]:
    """What the account's roles are; on a target before `finish`, what they will be."""
    pending = (_read_pending(account) or {"roles": {}})["roles"]
    names = literals(account.postgresql_roles)
    rows = db.query(
        "SELECT json_build_array(r.rolname, r.rolcanlogin, r.rolpassword, json_build_object('inherit', r.rolinherit,"
        " 'createdb', r.rolcreatedb, 'limit', r.rolconnlimit, 'until', NULLIF(r.rolvaliduntil, 'infinity'), 'settings',"
        ' (SELECT array_agg(x ORDER BY x COLLATE "C") FROM pg_db_role_setting s, unnest(s.setconfig) x'
        " WHERE s.setrole = r.oid AND s.setdatabase = 0), 'member of', (SELECT json_agg(json_build_array(g.rolname,"
        ' x.admin_option) ORDER BY g.rolname COLLATE "C") FROM pg_auth_members x JOIN pg_authid g ON g.oid = x.roleid'
        f" WHERE x.member = r.oid AND g.rolname::text = ANY({names}))))"
        f" FROM pg_authid r WHERE r.rolname::text = ANY({names});"
    )
    facts = {}
    for name, login, password, fact in rows:
        if name in pending:
            login, password = pending[name]["rolcanlogin"], pending[name]["rolpassword"]
        facts[name] = fact | {"login": login, "password": fingerprint(password)}
    return facts


def fingerprint(password: str | None) -> str | None:
    """A password hash in a form that may be shown."""
    return hashlib.sha256(password.encode()).hexdigest()[:16] if password else None


def finish(account: Account) -> None:
    """Give the roles their logins and password hashes, and the databases their connection limits. Repeatable."""
    pending = _read_pending(account)
    if pending is None:
        return
    statements = []
    for name, role in pending["roles"].items():
        login = "LOGIN" if role["rolcanlogin"] else "NOLOGIN"
        statements.append(f"ALTER ROLE {ident(name)} WITH {login} PASSWORD {literal(role['rolpassword'])}")
    for name, database in pending["databases"].items():
        statements.append(f"ALTER DATABASE {ident(name)} CONNECTION LIMIT {int(database['datconnlimit'])}")
    execute(statements)
    _forget(account)


def discard(account: Account) -> None:
    """Drop the account's databases and roles from this server. Repeatable."""
    with Session() as db:
        here = db.existing(account.postgresql_databases)
        db.execute([f"DROP DATABASE {ident(name)} WITH (FORCE)" for name in here])
        _drop_restore_role(account, db, [])
        db.execute([f"DROP ROLE IF EXISTS {ident(name)}" for name in account.postgresql_roles])
    _forget(account)


def _forget(account: Account) -> None:
    for path in (_pending(account), account.directory / "postgres.held.json"):
        path.unlink(missing_ok=True)


PEER_VERBS = {"postgres_prepare": _prepare, "postgres_restore": _restore}
