"""Who may what in a database: read from the catalogues, and given again by whoever gave it.

An archive lets a grant of somebody who was given it to give on be made by SET SESSION AUTHORIZATION, which no role
without power may use, and it names roles of the host. Grants to and of roles that do not travel with the account, and
what these get of future objects, are left and told.
"""

from __future__ import annotations

from typing import Any

from ...account.accounts import Account
from ...host.digest import printable
from . import extensions
from .sql import ident, kept, literal, literals, query

# What every server has: public (no role), the first superuser, and the roles that PostgreSQL brings along.
TRAVELS = "({0} = 0 OR pg_get_userbyid({0}) = ANY({roles}) OR {0} < 16384)"
_OWN = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT (n.nspname = 'th_follow' AND n.nspowner = 10)"
_NO_EXTENSION = (
    "NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '{0}'::regclass AND e.objid = o.oid AND e.deptype = 'e')"
)


def _usual(kind: str, owner: str) -> str:
    """All that an owner may do, by which ALL is told: a newer version counts more into it."""
    return (
        "(SELECT array_agg(u.privilege_type ORDER BY u.privilege_type) FROM"
        f" aclexplode(acldefault({kind}, {owner})) u WHERE u.grantee = {owner})"
    )


_USUAL_RELATION = _usual("CASE o.relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\"", "o.relowner")
_USUAL_FUTURE = _usual("CASE o.defaclobjtype WHEN 'S' THEN 's' ELSE o.defaclobjtype END", "o.defaclrole")
# What is granted: kind, on what, its columns, owner, privileges, those that its owner has of old.
_GRANTED = f"""WITH granted(kind, name, part, owner, acl, usual) AS (
 SELECT CASE o.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, format('%I.%I', n.nspname, o.relname), NULL,
  o.relowner, o.relacl, {_USUAL_RELATION}
  FROM pg_class o JOIN pg_namespace n ON n.oid = o.relnamespace WHERE {_OWN} AND {_NO_EXTENSION.format("pg_class")}
 UNION ALL SELECT 'TABLE', format('%I.%I', n.nspname, o.relname), format('%I', a.attname), o.relowner, a.attacl, NULL
  FROM pg_attribute a JOIN pg_class o ON o.oid = a.attrelid JOIN pg_namespace n ON n.oid = o.relnamespace
  WHERE NOT a.attisdropped AND {_OWN} AND {_NO_EXTENSION.format("pg_class")}
 UNION ALL SELECT 'ROUTINE', o.oid::regprocedure::text, NULL, o.proowner, o.proacl, {_usual("'f'", "o.proowner")}
  FROM pg_proc o JOIN pg_namespace n ON n.oid = o.pronamespace WHERE {_OWN} AND {_NO_EXTENSION.format("pg_proc")}
 UNION ALL SELECT 'TYPE', o.oid::regtype::text, NULL, o.typowner, o.typacl, {_usual("'T'", "o.typowner")}
  FROM pg_type o JOIN pg_namespace n ON n.oid = o.typnamespace WHERE {_OWN} AND {_NO_EXTENSION.format("pg_type")}
 UNION ALL SELECT 'LARGE OBJECT', o.oid::text, NULL, o.lomowner, o.lomacl, {_usual("'L'", "o.lomowner")}
  FROM pg_largeobject_metadata o
 UNION ALL SELECT 'FOREIGN SERVER', format('%I', o.srvname), NULL, o.srvowner, o.srvacl, {_usual("'S'", "o.srvowner")}
  FROM pg_foreign_server o WHERE {_NO_EXTENSION.format("pg_foreign_server")}
 UNION ALL SELECT 'SCHEMA', n.nspname, NULL, n.nspowner, n.nspacl, NULL FROM pg_namespace n WHERE {_OWN}
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_namespace'::regclass AND e.objid = n.oid
  AND e.deptype = 'e')
 UNION ALL SELECT 'FUTURE ' || CASE o.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN
  'FUNCTIONS' WHEN 'T' THEN 'TYPES' ELSE 'SCHEMAS' END, n.nspname, NULL, o.defaclrole, o.defaclacl,
  {_USUAL_FUTURE}
  FROM pg_default_acl o LEFT JOIN pg_namespace n ON n.oid = o.defaclnamespace)
"""
# [kind, name, part, owner, grantor, grantee, [privileges, or ALL], with grant option]: NULL is public. Grants by the
# owner come first, then those of whom they let give on.
_GRANTS = """SELECT json_build_array(g.kind, g.name, g.part, pg_get_userbyid(g.owner), pg_get_userbyid(x.grantor),
 CASE x.grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(x.grantee) END,
 CASE WHEN array_agg(x.privilege_type ORDER BY x.privilege_type) = g.usual THEN ARRAY['ALL']
  ELSE array_agg(x.privilege_type ORDER BY x.privilege_type) END, x.is_grantable)
 FROM granted g CROSS JOIN LATERAL aclexplode(g.acl) x WHERE g.acl IS NOT NULL AND {travels}
 GROUP BY g.kind, g.name, g.part, g.owner, g.usual, x.grantor, x.grantee, x.is_grantable
 ORDER BY g.kind, g.name, g.part NULLS FIRST, x.grantor <> g.owner, x.is_grantable DESC;
SELECT json_build_array(g.kind, g.name, g.part, pg_get_userbyid(g.owner), NULL, NULL, NULL, NULL) FROM granted g
 WHERE g.acl IS NOT NULL AND {owned};
"""
# Grantees and grantors that stay behind, each with an example.
_LEFT = """SELECT json_build_array(pg_get_userbyid(r.role), min(concat_ws(' ', lower(g.kind), g.name)), count(DISTINCT
 (g.kind, g.name))) FROM granted g CROSS JOIN LATERAL aclexplode(g.acl) x CROSS JOIN LATERAL (SELECT x.grantee UNION
 SELECT x.grantor) r(role) WHERE NOT {travels} AND {owned} GROUP BY r.role;
SELECT json_build_array(pg_get_userbyid(g.owner), NULL, count(*)) FROM granted g WHERE NOT {owned} GROUP BY g.owner;
"""


def grants(account: Account, name: str, snapshot: str | None = None) -> dict[str, Any]:
    """What is granted in a database, now or as of an exported snapshot: {"statements": run as a role that is a member
    of the account's, "schemas": [[schema, owner, grantor, grantee, privilege, grantable]], "extensions": [[schema,
    relation, grantee, privilege, grantable]]}."""
    roles = literals(account.postgresql_roles)
    travels = f"{TRAVELS.format('x.grantee', roles=roles)} AND {TRAVELS.format('x.grantor', roles=roles)}"
    owned = _owned(roles)
    at = f"SET TRANSACTION SNAPSHOT {literal(snapshot)};\n" if snapshot else ""
    first, second = _GRANTS.format(travels=f"{travels} AND {owned}", owned=owned).split(";\n")[:2]
    rows = query(
        "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;\n"
        f"{at}SET LOCAL quote_all_identifiers = on;\n{_GRANTED}{second};\n{_GRANTED}{first};\nCOMMIT;\n",
        name,
    )
    statements: list[str] = []
    schemas: list[list[Any]] = []
    for kind, on, part, owner, grantor, grantee, privileges, grantable in rows:
        if kind == "SCHEMA":
            schemas += [[on, owner, grantor, grantee, privilege, grantable] for privilege in privileges or []]
        elif privileges is None:
            statements += _revoked(kind, on, part, owner)
        else:
            as_other = grantor != owner and not kind.startswith("FUTURE ")
            statements += [f"SET ROLE {ident(grantor)}"] if as_other else []
            option = " WITH GRANT OPTION" if grantable else ""
            statements.append(_granted(kind, on, part, owner, grantee, privileges) + option)
            statements += ["RESET ROLE"] if as_other else []
    return {"statements": statements, "schemas": schemas, "extensions": extensions.granted(account, name)}


def _owned(roles: str) -> str:
    """Whose grants are carried: of what the account owns, and of schemas that are the administrator's."""
    return f"({TRAVELS.format('g.owner', roles=roles)} AND NOT (g.kind LIKE 'FUTURE %' AND g.owner < 16384))"


def _revoked(kind: str, on: str, part: str | None, owner: str) -> list[str]:
    """Nothing is granted any more, also of what is granted when nobody says anything."""
    if part:
        return []
    if kind.startswith("FUTURE "):
        # In one schema only grants can be added to the usual ones.
        return [] if on else [f"{_future(on, owner)} REVOKE ALL ON {kind[7:]} FROM PUBLIC, {ident(owner)}"]
    return [f"REVOKE ALL ON {kind} {on} FROM PUBLIC, {ident(owner)}"]


def _granted(kind: str, on: str, part: str | None, owner: str, grantee: str | None, privileges: list[str]) -> str:
    to = "PUBLIC" if grantee is None else ident(grantee)
    listed = ", ".join(f"{privilege} ({part})" if part else privilege for privilege in privileges)
    if kind.startswith("FUTURE "):
        return f"{_future(on, owner)} GRANT {listed} ON {kind[7:]} TO {to}"
    return f"GRANT {listed} ON {kind} {on} TO {to}"


def _future(schema: str | None, owner: str) -> str:
    at = f" IN SCHEMA {ident(schema)}" if schema else ""
    return f"ALTER DEFAULT PRIVILEGES FOR ROLE {ident(owner)}{at}"


def not_carried(account: Account, name: str) -> list[str]:
    """A sentence for each role of the host's, or of another account, that was granted something here or granted it."""
    roles = literals(account.postgresql_roles)
    first, second = _LEFT.format(travels=TRAVELS.format("r.role", roles=roles), owned=_owned(roles)).split(";\n")[:2]
    sentences = []
    for role, example, number in kept(name).query(f"{_GRANTED}{first};\n{_GRANTED}{second};\n"):
        at, who = f"Database {printable(name)}", printable(role)
        why = f"is not carried, as it is no role of {account.name}."
        if example:
            more = f" and {number - 1} more" if number > 1 else ""
            sentences.append(f"{at}: what {who} may do with {printable(example)}{more}, or let others do, {why}")
        else:
            sentences.append(f"{at}: what others may do with what {who} makes there later {why}")
    return sorted(sentences)
