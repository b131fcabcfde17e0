"""PostgreSQL on the target: roles and databases made by the superuser, contents restored by a role with no power.

What a customer wrote (defaults, checks, index expressions, functions) runs while a dump is restored. So the archive is
restored by pg_restore, which unlike psql has no commands of its own, run by a Unix user that is nobody's, and logged in
as a role made for it that is a member of the account's roles and of nothing else. Account roles have no password and no
login until `finish`.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from ...account.accounts import Account
from ...host.digest import printable
from ...host.kept import Threads
from ...host.system import locked, refuse, write_durably
from ...verbs import postgresql as verbs
from ...verbs.peers import Bytes
from ...verbs.verb import Asking, Nothing
from . import apply, contained, digest, sql, stream
from .definition import held
from .digest import shown
from .make import make_database, make_roles
from .roles_gone import drop_roles
from .sql import Session, execute, ident, literal, literals


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


def prepare(account: Account, want: verbs.Prepare, _asking: Asking) -> verbs.Prepared:
    """Make the roles (no login, no password), drop and make the databases, their extensions and schemas.

    What an earlier call made of the same definition, and nothing was restored into since, stays as it is; so do those
    to `keep` that were made of the same definition and follow the source."""
    roles, databases = want.roles, want.databases
    if set(roles) != set(account.postgresql_roles) or set(databases) != set(account.postgresql_databases):
        refuse("other_account", f"These are not the PostgreSQL roles and databases of {account.name}.")
    earlier = _read_pending(account) or {"roles": {}, "databases": {}, "fresh": [], "left": {}, "refused": {}}
    with Session() as db:
        existing = db.existing(databases)
        _refuse_taken(account, earlier, existing, db)
        same_roles = earlier["roles"] == roles
        same = [
            name
            for name in existing
            if name in earlier["databases"] and _lasting(databases[name]) == _lasting(earlier["databases"][name])
        ]
        fresh = [name for name in earlier["fresh"] if name in same and same_roles]
        kept = [name for name in want.keep if name in same and name in apply.subscribed(account)]
        left = {
            name: sentences
            for name, sentences in earlier["left"].items()
            if name in fresh or name in kept or (name == "" and same_roles)
        }
        refused = {name: entries for name, entries in earlier.get("refused", {}).items() if name in left}
        pending: dict[str, Any] = {
            "roles": roles,
            "databases": databases,
            "fresh": fresh,
            "left": left,
            "refused": refused,
        }
        _write_pending(account, pending)
        if same_roles and len(fresh) + len(kept) == len(databases):
            return _prepared(pending, kept)
        contained.abandon_all(account)
        stale = [name for name in existing if name not in fresh and name not in kept]
        apply.end(account, stale)
        db.execute([f"DROP DATABASE {ident(name)} WITH (FORCE)" for name in stale])
        made = {"": make_roles(roles, db)}
        for name, database in databases.items():
            if name not in fresh and name not in kept:
                made[name] = make_database(account, name, database, db)
    pending["left"] |= {name: made_of.left for name, made_of in made.items()}
    pending["refused"] |= {name: made_of.refused for name, made_of in made.items()}
    pending["fresh"] = [name for name in databases if name not in kept]
    _write_pending(account, pending)
    return _prepared(pending, kept)


def _lasting(database: dict[str, Any]) -> dict[str, Any]:
    """A database's definition without what only `finish` sets, and without what the next archive brings."""
    return {key: value for key, value in database.items() if key not in ("datconnlimit", "tables")}


def _prepared(pending: dict[str, Any], kept: list[str]) -> verbs.Prepared:
    parts = {part: [entry for entries in pending[part].values() for entry in entries] for part in ("left", "refused")}
    return verbs.Prepared(**parts, kept=kept)


def _refuse_taken(account: Account, earlier: dict[str, Any], existing: list[str], db: Session) -> None:
    """A role or database of that name that no earlier attempt of this account made is somebody else's."""
    names = literals(name for name in account.postgresql_roles if name not in earlier["roles"])
    taken = db.query(f"SELECT to_json('role ' || rolname) FROM pg_roles WHERE rolname = ANY({names});")
    taken += [f"database {name}" for name in existing if name not in earlier["databases"]]
    if taken:
        refuse(
            "name_taken",
            f"The PostgreSQL {printable(taken[0])} exists on this server and did not come with {account.name}; "
            "remove or rename it there, then try again.",
        )


def _restore(account: Account, want: verbs.Restore, asking: Asking) -> Bytes:
    """Restore an archive, read from `stdin`, into a database that `prepare` has just made.

    When rows come `apart` they are awaited; else it is complete. `identities` are the replica identities that tables
    have when they are not followed."""
    name = want.database
    prepared = use_prepared(account, name)
    try:
        size = contained.begin(account, name, prepared, asking.stdin, want.views)
        if not want.apart:
            _make_complete(account, want)
    except BaseException:
        contained.abandon(account, name)
        raise
    return Bytes(bytes=size)


def use_prepared(account: Account, name: Any) -> dict[str, Any]:
    """What a database was prepared as, which from now on is no longer fresh; refused unless it is."""
    with locked(account.directory / "postgres.lock"):  # databases that are dumped come at the same time
        pending = _read_pending(account)
        if pending is None or name not in account.postgresql_databases or name not in pending["databases"]:
            refuse("other_account", f"The database {printable(str(name))} was not prepared for {account.name}.")
        if name not in pending["fresh"]:
            refuse("not_prepared", f"The database {printable(name)} holds an earlier copy; prepare it again first.")
        _write_pending(account, {**pending, "fresh": [database for database in pending["fresh"] if database != name]})
    return pending["databases"][name]


def _complete(account: Account, want: verbs.Complete, _asking: Asking) -> Nothing:
    _make_complete(account, want)
    return Nothing()


def _make_complete(account: Account, want: verbs.Restored) -> None:
    name, words = want.database, {"d": "DEFAULT", "n": "NOTHING"}
    contained.complete(account, name, want.grants, want.views)
    execute(
        [
            f"ALTER TABLE ONLY {ident(schema)}.{ident(table)} REPLICA IDENTITY {words[identity]}"
            for schema, table, identity in want.identities
        ],
        name,
    )


def role_facts(account: Account, db: Session) -> dict[str, Any]:
    """What the account's roles are when it is not held; on a target before `finish`, what they will be."""
    pending, before = (_read_pending(account) or {"roles": {}})["roles"], held(account)["logins"]
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
        login = login or name in before
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
        apply.end_later(account)
        return
    statements = ["BEGIN"]  # one commit, which is one wait for the disk
    for name, role in pending["roles"].items():
        login = "LOGIN" if role["rolcanlogin"] else "NOLOGIN"
        statements.append(f"ALTER ROLE {ident(name)} WITH {login} PASSWORD {literal(role['rolpassword'])}")
    for name, database in pending["databases"].items():
        statements.append(f"ALTER DATABASE {ident(name)} CONNECTION LIMIT {int(database['datconnlimit'])}")
    sql.kept().execute([*statements, "COMMIT"])
    _forget(account)
    apply.end_later(account)


def discard(account: Account) -> None:
    """Drop the account's databases and roles from this server. Repeatable."""
    apply.end(account)
    sql.end_kept(account.postgresql_databases)
    with Session() as db:
        existing = db.existing(account.postgresql_databases)
        db.execute([f"DROP DATABASE {ident(name)} WITH (FORCE)" for name in existing])
        contained.abandon_all(account)
        drop_roles([*account.postgresql_roles], db)
    _forget(account)


def _forget(account: Account) -> None:
    for path in (_pending(account), account.directory / "postgres.held.json"):
        path.unlink(missing_ok=True)


def _contents(account: Account, want: verbs.Contents, _asking: Asking) -> dict[str, Any]:
    """The digest of a database; tables that came `apart` are hashed as they came, which is quicker."""
    name = want.database
    ours(account, name)
    with Threads(os.cpu_count()) as pool:
        hashes = {shown(*apart): pool.submit(stream.hashed, name, *apart) for apart in want.apart or []}
    hashed = {table: work.result() for table, work in hashes.items()}
    return digest.of_database(name, hashed=hashed, roles=account.postgresql_roles)


def _tables(account: Account, want: verbs.TableDigests, _asking: Asking) -> dict[str, Any]:
    ours(account, want.database)
    return digest.of_tables(want.database, [(schema, table) for schema, table in want.tables])


def ours(account: Account, name: Any) -> None:
    if name not in account.postgresql_databases:
        refuse("other_account", f"The database {printable(str(name))} is not one of {account.name}'s.")


def _roles(account: Account, _want: verbs.RoleFacts, _asking: Asking) -> dict[str, Any]:
    return role_facts(account, sql.kept())


PEER_VERBS = (
    verbs.Prepare.served_by(prepare),
    verbs.RoleFacts.served_by(_roles),
    verbs.Restore.served_by(_restore),
    verbs.Fill.served_by(contained.fill),
    verbs.Complete.served_by(_complete),
    verbs.Contents.served_by(_contents),
    verbs.TableDigests.served_by(_tables),
)
