"""What an account's PostgreSQL roles and databases are, apart from what stands in the databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...account.accounts import Account
from ...host import ours
from ...host.digest import printable
from ...host.system import read_json, refuse
from . import extensions, grants, locks
from .sql import Session, kept, literals, name_in_sql

ADMINISTRATOR = "postgres"
"""The first superuser, whom every server of PostgreSQL has: databases and schemas may be its own."""
_FORBIDDEN = {
    "rolsuper": "SUPERUSER",
    "rolcreaterole": "CREATEROLE",
    "rolreplication": "REPLICATION",
    "rolbypassrls": "BYPASSRLS",
}


def held_path(account: Account) -> Path:
    return account.directory / "postgres.held.json"


def held(account: Account) -> dict[str, Any]:
    """What a hold has taken away for its time: {"limits": {database: its connection limit}, "logins": [roles]}."""
    return read_json(held_path(account)) or {"limits": {}, "logins": []}


def definition(account: Account) -> dict[str, Any]:
    """Everything about roles and databases that no archive of one database carries; holds password hashes.

    Refuses what cannot be moved; `left` in the result says in sentences what will not be."""
    cluster = kept()
    roles = {row["rolname"]: row for row in cluster.query(_ROLES.format(names=literals(account.postgresql_roles)))}
    statement = _DATABASES.format(names=literals(account.postgresql_databases))
    databases = {row["datname"]: row for row in cluster.query(statement)}
    for kind, names, present in (
        ("role", account.postgresql_roles, roles),
        ("database", account.postgresql_databases, databases),
    ):
        for name in names:
            if name not in present:
                refuse(
                    "no_such_" + kind,
                    f"The PostgreSQL {kind} {printable(name)} of {account.name} does not exist here; "
                    "create it or take it out of the account file.",
                )
    _refuse_members(account)
    left, before = [], held(account)
    for name, role in roles.items():
        role["rolcanlogin"] |= name in before["logins"]
        left += [f"Role {printable(name)}: {word} is not carried." for key, word in _FORBIDDEN.items() if role.pop(key)]
        for group in role["foreign"]:
            left.append(f"Role {printable(name)}: membership in {printable(group)} is not carried.")
    for name, database in databases.items():
        if database["owner"] not in roles and database["owner"] != ADMINISTRATOR:
            refuse(
                "foreign_owner",
                f"The database {printable(name)} belongs to {printable(database['owner'])}, which is no role of "
                f"{account.name}; let the administrator type: ALTER DATABASE {name_in_sql(name)} OWNER TO "
                f"{_heir(account, '')}; or name that role in the account file.",
            )
        database["datconnlimit"] = before["limits"].get(name, database["datconnlimit"])
        db = kept(name)
        database["tables"] = locks.needed(db)
        if why := locks.why_not(name, database["tables"], db, "PostgreSQL here"):
            refuse("too_many_tables", why)
        _refuse_strangers(account, db, database["owner"])
        extensions.refuse_given_away(db)
        left += [*grants.not_carried(account, name), *extensions.not_carried(account, db)]
        for key, value in db.query(_INSIDE):
            database.setdefault(key, []).append(value)
        for kind, object_name in database.pop("left", []):
            left.append(f"Database {printable(name)}: {kind} {printable(object_name)} is not carried.")
    return {"roles": roles, "databases": databases, "left": left}


def _refuse_strangers(account: Account, db: Session, owner: str) -> None:
    """Refuse a database that has objects of roles that do not travel with it; they could be its owner's."""
    strangers = db.query(_STRANGERS.format(names=literals(account.postgresql_roles)))
    for kind, identity, role in strangers[:1]:
        more = f" (and {len(strangers) - 1} more)" if len(strangers) > 1 else ""
        word = _ALTERED.get(kind, kind.upper())
        refuse(
            "foreign_role",
            f"In database {printable(db.database)} {kind} {printable(identity)} belongs to {printable(role)}{more}, "
            f"which is no role of {account.name}; let the administrator type in that database: ALTER {word} "
            f"{printable(identity)} OWNER TO {_heir(account, owner)}; or name that role in the account file.",
        )


_MEMBERS = """SELECT json_build_array(m.rolname, m.rolconnlimit, r.rolname) FROM pg_roles m CROSS JOIN pg_roles r
 WHERE r.rolname = ANY({roles}) AND m.rolname <> ALL({roles}) AND pg_has_role(m.oid, r.oid, CASE WHEN
 current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END)
 AND NOT m.rolsuper AND NOT m.rolcreaterole AND m.rolname !~ '^pg_' ORDER BY 1::text;
"""


def _refuse_members(account: Account) -> None:
    """Refuse an account whose roles others may act as: they could let somebody in while it is held, and write here for
    ever after. Administrators (superusers, those who make roles) are the host's own matter."""
    for name, limit, role in kept().query(_MEMBERS.format(roles=literals(account.postgresql_roles))):
        if name.startswith(ours.PREFIX) and limit == ours.mark(name):
            continue
        refuse(
            "foreign_member",
            f"The PostgreSQL role {printable(name)}, which is no role of {account.name}, may act as {printable(role)}"
            f" and so write to its databases; let the administrator type: REVOKE {name_in_sql(role)} FROM"
            f" {name_in_sql(name)}; or name that role in the account file.",
        )


def _heir(account: Account, owner: str) -> str:
    """The role of the account that could have what is another's, as it is typed."""
    roles = account.postgresql_roles
    return name_in_sql(owner if owner in roles else roles[0]) if roles else "..."


_ALTERED = {"large object": "LARGE OBJECT", "materialized view": "MATERIALIZED VIEW", "foreign table": "FOREIGN TABLE"}


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
_FOLLOWING = "(n.nspname = 'th_follow' AND n.nspowner = 10)"  # ours, while a database is followed
_SYSTEM = "(n.nspname = 'information_schema' OR n.nspname LIKE 'pg\\_%')"
# Rows of [key, value]: schemas (with the oid that the archive knows them by), extensions, what is left behind.
_INSIDE = f"""SELECT json_build_array('schemas', json_build_array(n.oid::int8, n.nspname, pg_get_userbyid(n.nspowner),
  obj_description(n.oid, 'pg_namespace')))
 FROM pg_namespace n WHERE NOT {_SYSTEM} AND NOT {_FOLLOWING} AND NOT EXISTS (SELECT FROM pg_depend e
 WHERE e.deptype = 'e' AND e.classid = 'pg_namespace'::regclass AND e.objid = n.oid);
SELECT json_build_array('extensions', json_build_array(x.extname, n.nspname, pg_get_userbyid(x.extowner)))
 FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace WHERE x.extname <> 'plpgsql' ORDER BY x.oid;
SELECT json_build_array('left', json_build_array('publication', pubname)) FROM pg_publication
 WHERE pubname NOT LIKE 'th\\_%';
SELECT json_build_array('left', json_build_array('subscription', subname)) FROM pg_subscription
 WHERE subname NOT LIKE 'th\\_%' AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database());
SELECT json_build_array('left', json_build_array('event trigger', evtname)) FROM pg_event_trigger t WHERE
 evtname <> 'th_follow' AND NOT EXISTS
 (SELECT FROM pg_depend e WHERE e.deptype = 'e' AND e.classid = 'pg_event_trigger'::regclass AND e.objid = t.oid);
"""
# Owners that are neither the account's, nor built in, nor an extension's business. The first superuser is pinned and
# has no row in pg_shdepend, so its objects are looked for in the catalogues themselves; schemas may be its own.
_STRANGERS = """WITH found AS (
 SELECT s.deptype::text, s.classid, s.objid, pg_get_userbyid(s.refobjid)::text AS role FROM pg_shdepend s
  WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND s.deptype = 'o'
  AND s.refclassid = 'pg_authid'::regclass
 UNION ALL SELECT 'o', 'pg_class'::regclass, oid, 'postgres' FROM pg_class
  WHERE relowner = 10 AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND relpersistence <> 't'
 UNION ALL SELECT 'o', 'pg_proc'::regclass, p.oid, 'postgres' FROM pg_proc p JOIN pg_namespace n
  ON n.oid = p.pronamespace WHERE proowner = 10 AND NOT (n.nspname = 'th_follow' AND n.nspowner = 10)
 UNION ALL SELECT 'o', 'pg_type'::regclass, oid, 'postgres' FROM pg_type WHERE typowner = 10 AND typrelid = 0
  AND typelem = 0
 UNION ALL SELECT 'o', 'pg_largeobject'::regclass, oid, 'postgres' FROM pg_largeobject_metadata WHERE lomowner = 10)
SELECT json_build_array((pg_identify_object(f.classid, f.objid, 0)).type,
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
