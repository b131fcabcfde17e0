"""An account's PostgreSQL databases and roles: described, held, sent and compared (see postgres_restore)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import postgres_digest, postgres_restore
from .accounts import Account
from .digest import as_peer_verb, printable
from .postgres_sql import AS_POSTGRES, ENVIRONMENT, Session, conninfo, ident, literals, query
from .system import read_json, refuse, write_durably

Report = Callable[..., None]
finish, discard = postgres_restore.finish, postgres_restore.discard
_FORBIDDEN = {
    "rolsuper": "SUPERUSER",
    "rolcreaterole": "CREATEROLE",
    "rolreplication": "REPLICATION",
    "rolbypassrls": "BYPASSRLS",
}


def describe(account: Account) -> dict[str, Any]:
    """{"databases": [{"name", "bytes"}], "roles": [names]}: those of the account that exist here."""
    databases = query(
        "SELECT json_build_object('name', datname, 'bytes', pg_database_size(oid)) FROM pg_database"
        f" WHERE datname::text = ANY({literals(account.postgresql_databases)}) ORDER BY datname;"
        "SELECT json_build_object('role', rolname) FROM pg_roles"
        f" WHERE rolname::text = ANY({literals(account.postgresql_roles)}) ORDER BY rolname;"
    )
    return {
        "databases": [row for row in databases if "name" in row],
        "roles": [row["role"] for row in databases if "role" in row],
    }


def hold(account: Account) -> dict[str, Any]:
    """Nobody but the superuser gets into the account's databases from now on; who was in is put out.

    Returns what must be given back: {"limits": {database: CONNECTION LIMIT before}}. It is also written down here
    before anything is changed, so a second hold, or one that died halfway, changes nothing of it."""
    names = literals(account.postgresql_databases)
    with Session() as db:
        found = db.query(
            f"SELECT json_build_array(datname, datconnlimit) FROM pg_database WHERE datname = ANY({names});"
        )
        limits = {**dict(found), **_limits(account)}
        write_durably(_held(account), json.dumps(limits))
        db.execute([f"ALTER DATABASE {ident(name)} CONNECTION LIMIT 0" for name, _ in found])
        for database, transaction in db.query(
            f"SELECT json_build_array(database, gid) FROM pg_prepared_xacts WHERE database = ANY({names});"
        ):
            refuse(
                "prepared_transaction",
                f"The database {printable(database)} has a prepared transaction ({printable(transaction)}); "
                "commit it or roll it back, then perform again.",
            )
        _end_connections(account, db, names)
    return {"limits": limits}


def _end_connections(account: Account, db: Session, names: str) -> None:
    end = time.monotonic() + 10
    quiet = 0
    while quiet < 2:  # a connection that passed the limit just before shows a moment later
        gone = db.query(
            "SELECT json_build_array(pid, pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname ="
            f" ANY({names}) AND pid <> pg_backend_pid() AND backend_type = 'client backend';"
        )
        quiet = 0 if gone else quiet + 1
        if time.monotonic() > end:
            refuse("connections_remain", f"PostgreSQL connections of {account.name} do not end; look at them.")
        time.sleep(0.01)


def unhold(account: Account, saved: dict[str, Any]) -> None:
    """Give the databases back the connection limits they had."""
    limits = {**saved.get("limits", {}), **_limits(account)}
    with Session() as db:
        here = [name for name in db.existing(account.postgresql_databases) if name in limits]
        db.execute([f"ALTER DATABASE {ident(name)} CONNECTION LIMIT {int(limits[name])}" for name in here])
    _held(account).unlink(missing_ok=True)


def _held(account: Account) -> Path:
    return account.directory / "postgres.held.json"


def _limits(account: Account) -> dict[str, int]:
    return read_json(_held(account)) or {}


def digest(account: Account) -> dict[str, Any]:
    """{"databases": {name: digest}, "roles": {name: facts}, "tables": number, "rows": number}; equal on both sides."""
    with Session() as db:
        roles = postgres_restore.role_facts(account, db)
        names = db.existing(account.postgresql_databases)
    databases = {name: postgres_digest.of_database(name) for name in names}
    counts = [table[0] for database in databases.values() for table in database["tables"].values()]
    return {"databases": databases, "roles": roles, "tables": len(counts), "rows": sum(counts)}


def definition(account: Account) -> dict[str, Any]:
    """Everything about roles and databases that no archive of one database carries; holds password hashes.

    Refuses what cannot be moved; `left` in the result says in sentences what will not be."""
    roles = {row["rolname"]: row for row in query(_ROLES.format(names=literals(account.postgresql_roles)))}
    databases = {row["datname"]: row for row in query(_DATABASES.format(names=literals(account.postgresql_databases)))}
    for kind, names, found in (
        ("role", account.postgresql_roles, roles),
        ("database", account.postgresql_databases, databases),
    ):
        for name in names:
            if name not in found:
                refuse(
                    "no_such_" + kind,
                    f"The PostgreSQL {kind} {printable(name)} of {account.name} does not exist here; "
                    "create it or take it out of the account file.",
                )
    left = []
    limits = _limits(account)
    for name, role in roles.items():
        left += [f"Role {printable(name)}: {word} is not carried." for key, word in _FORBIDDEN.items() if role.pop(key)]
        for other in role["foreign"]:
            left.append(f"Role {printable(name)}: membership in {printable(other)} is not carried.")
    for name, database in databases.items():
        if database["owner"] not in roles:
            refuse(
                "foreign_owner",
                f"The database {printable(name)} belongs to {printable(database['owner'])}, which is no role of "
                f"{account.name}; change its owner or name the role in the account file.",
            )
        database["datconnlimit"] = limits.get(name, database["datconnlimit"])
        with Session(name) as db:
            _refuse_strangers(account, db)
            for key, value in db.query(_INSIDE):
                database.setdefault(key, []).append(value)
        for kind, what in database.pop("left", []):
            left.append(f"Database {printable(name)}: {kind} {printable(what)} is not carried.")
    return {"roles": roles, "databases": databases, "left": left}


def _refuse_strangers(account: Account, db: Session) -> None:
    """Refuse a database that has objects of roles, or grants to roles, that do not travel with it."""
    strangers = db.query(_STRANGERS.format(names=literals(account.postgresql_roles)))
    for relation, what, role in strangers[:1]:
        word = "belongs to" if relation == "o" else "is granted to"
        more = f" (and {len(strangers) - 1} more)" if len(strangers) > 1 else ""
        refuse(
            "foreign_role",
            f"In database {printable(db.database)} {printable(what)} {word} {printable(role)}{more}, which is no role"
            f" of {account.name}; give it to one of the account's, or name that role in the account file.",
        )


def prepare(account: Account, peer: Any) -> list[str]:
    """Make roles and empty databases on the peer, which takes longest and needs no hold; sentences on what is left.

    `send` does it too; what was prepared before and has not changed since costs it nothing then."""
    what = definition(account)
    return what["left"] + peer.call("postgres_prepare", what)["left"]


def send(account: Account, peer: Any, report: Report) -> dict[str, Any]:
    """Make the account's roles and databases anew on the peer, with what is in them now.

    Returns {"databases", "bytes", "seconds", "left": [sentences on what is not carried]}."""
    began = time.monotonic()
    if not account.postgresql_roles and not account.postgresql_databases:
        return {"databases": 0, "bytes": 0, "seconds": 0.0, "left": []}
    left = prepare(account, peer)
    total = 0
    for name in account.postgresql_databases:
        argv = [
            *AS_POSTGRES,
            "pg_dump",
            "--format=custom",
            "--compress=0",
            "--no-publications",
            "--no-subscriptions",
        ]
        argv += ["--no-security-labels", "--no-tablespaces", "--lock-wait-timeout=15s", "-d", conninfo(name)]
        total += peer.stream("postgres_restore", {"database": name}, argv, env=ENVIRONMENT)["bytes"]
        report(done_bytes=total, text=f"PostgreSQL: {printable(name)}")
    seconds = round(time.monotonic() - began, 3)
    return {"databases": len(account.postgresql_databases), "bytes": total, "seconds": seconds, "left": left}


_ROLES = """SELECT json_build_object('rolname', r.rolname, 'rolsuper', r.rolsuper, 'rolcreaterole', r.rolcreaterole,
 'rolreplication', r.rolreplication, 'rolbypassrls', r.rolbypassrls, 'rolinherit', r.rolinherit,
 'rolcreatedb', r.rolcreatedb, 'rolcanlogin', r.rolcanlogin, 'rolconnlimit', r.rolconnlimit,
 'rolvaliduntil', textin(timestamptz_out(r.rolvaliduntil)), 'rolpassword', r.rolpassword,
 'settings', (SELECT s.setconfig FROM pg_db_role_setting s WHERE s.setrole = r.oid AND s.setdatabase = 0),
 'comment', shobj_description(r.oid, 'pg_authid'),
 'members', coalesce((SELECT json_agg(json_build_array(m.rolname, x.admin_option)) FROM pg_auth_members x
   JOIN pg_authid m ON m.oid = x.member WHERE x.roleid = r.oid AND m.rolname::text = ANY({names})), '[]'),
 'foreign', coalesce((SELECT json_agg(g.rolname) FROM pg_auth_members x JOIN pg_authid g ON g.oid = x.roleid
   WHERE x.member = r.oid AND g.rolname::text <> ALL({names})), '[]'))
 FROM pg_authid r WHERE r.rolname::text = ANY({names});
"""
_DATABASES = """SELECT json_build_object('datname', d.datname, 'owner', pg_get_userbyid(d.datdba),
 'encoding', pg_encoding_to_char(d.encoding), 'datconnlimit', d.datconnlimit, 'provider', d.datlocprovider,
 'collate', d.datcollate, 'ctype', d.datctype,
 'locale', coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale'), 'rules', to_jsonb(d)->>'daticurules',
 'comment', shobj_description(d.oid, 'pg_database'),
 'settings', coalesce((SELECT json_agg(json_build_array(CASE s.setrole WHEN 0 THEN NULL ELSE pg_get_userbyid(s.setrole)
   END, s.setconfig)) FROM pg_db_role_setting s WHERE s.setdatabase = d.oid), '[]'),
 'grants', (SELECT json_agg(json_build_array(CASE grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(grantee) END,
   privilege_type, is_grantable)) FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba)))))
 FROM pg_database d WHERE d.datname::text = ANY({names});
"""
_SYSTEM = "(n.nspname = 'information_schema' OR n.nspname LIKE 'pg\\_%')"
# Rows of [key, value]: schemas (with the oid that the archive knows them by), extensions, what is left behind.
_INSIDE = f"""SELECT json_build_array('schemas', json_build_array(n.oid::int8, n.nspname, pg_get_userbyid(n.nspowner)))
 FROM pg_namespace n WHERE NOT {_SYSTEM} AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.deptype = 'e'
 AND e.classid = 'pg_namespace'::regclass AND e.objid = n.oid);
SELECT json_build_array('extensions', json_build_array(x.extname, n.nspname, pg_get_userbyid(x.extowner)))
 FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace WHERE x.extname <> 'plpgsql' ORDER BY x.oid;
SELECT json_build_array('left', json_build_array('publication', pubname)) FROM pg_publication;
SELECT json_build_array('left', json_build_array('subscription', subname)) FROM pg_subscription
 WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database());
SELECT json_build_array('left', json_build_array('event trigger', evtname)) FROM pg_event_trigger t WHERE NOT EXISTS
 (SELECT FROM pg_depend e WHERE e.deptype = 'e' AND e.classid = 'pg_event_trigger'::regclass AND e.objid = t.oid);
"""
# Owners and grantees that are neither the account's, nor built in, nor an extension's business. The first superuser is
# pinned and has no row in pg_shdepend, so its objects are looked for in the catalogues themselves.
_STRANGERS = """WITH found AS (
 SELECT s.deptype::text, s.classid, s.objid, pg_get_userbyid(s.refobjid)::text AS role FROM pg_shdepend s
  WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND s.deptype IN ('o', 'a')
  AND s.refclassid = 'pg_authid'::regclass
 UNION ALL SELECT 'o', 'pg_class'::regclass, oid, 'postgres' FROM pg_class
  WHERE relowner = 10 AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND relpersistence <> 't'
 UNION ALL SELECT 'o', 'pg_proc'::regclass, oid, 'postgres' FROM pg_proc WHERE proowner = 10
 UNION ALL SELECT 'o', 'pg_type'::regclass, oid, 'postgres' FROM pg_type WHERE typowner = 10 AND typrelid = 0
  AND typelem = 0
 UNION ALL SELECT 'o', 'pg_namespace'::regclass, oid, 'postgres' FROM pg_namespace WHERE nspowner = 10
 UNION ALL SELECT 'o', 'pg_largeobject'::regclass, oid, 'postgres' FROM pg_largeobject_metadata WHERE lomowner = 10)
SELECT json_build_array(f.deptype, (pg_identify_object(f.classid, f.objid, 0)).type || ' ' ||
  (pg_identify_object(f.classid, f.objid, 0)).identity, f.role) FROM found f
 WHERE f.objid >= 16384 AND f.role !~ '^pg_' AND f.role <> ALL({names})
 AND f.classid NOT IN ('pg_extension'::regclass, 'pg_publication'::regclass, 'pg_subscription'::regclass,
  'pg_event_trigger'::regclass)
 AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = f.classid AND e.objid = f.objid
  AND e.deptype IN ('e', 'i'))
 AND NOT EXISTS (SELECT FROM pg_namespace n WHERE f.classid = 'pg_namespace'::regclass AND n.oid = f.objid
  AND n.nspname LIKE 'pg\\_%')
 AND NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE f.classid =
  'pg_class'::regclass AND c.oid = f.objid AND n.nspname LIKE 'pg\\_%')
 ORDER BY f.deptype DESC LIMIT 100;
"""


PEER_VERBS = {**postgres_restore.PEER_VERBS, "postgres_digest": as_peer_verb(digest)}
