"""Tables of extensions whose rows are the customer's: pg_extension_config_dump() names them, with a condition.

They are in no archive's definitions: each server's extension makes its own. The rows that the condition chooses are
dumped and compared, and what is granted on the tables is given again. They belong to a superuser, so nothing of a
customer's runs where one of them is read or written. What an extension has that belongs to somebody else is refused.
"""

from __future__ import annotations

from typing import Any

from ...account.accounts import Account
from ...host.digest import printable
from ...host.system import refuse
from .sql import Session, execute, ident, literal, literals, name_in_sql, query

_POWERFUL = "EXISTS (SELECT FROM pg_roles r WHERE r.oid = o.relowner AND r.rolsuper)"
CONDITION = f"""(SELECT NULLIF(f.condition, '') FROM pg_extension x, unnest(x.extconfig, x.extcondition)
 f(relation, condition) WHERE f.relation = o.oid AND {_POWERFUL} LIMIT 1)"""
"""Which rows of the relation `o` are the customer's, as a WHERE; NULL where all are. An extension's own words."""
EXTENSIONS = """EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = {0} AND
 d.deptype = 'e')"""
"""Whether the relation {0} is an extension's."""
CARRIED = f"(NOT {EXTENSIONS} OR {{0}} IN (SELECT unnest(extconfig) FROM pg_extension))"
"""Whether what the relation {0} holds is the customer's."""
_CONFIG = f"""pg_extension x CROSS JOIN unnest(x.extconfig, x.extcondition) f(relation, condition) JOIN pg_class o
 ON o.oid = f.relation AND {_POWERFUL} JOIN pg_namespace n ON n.oid = o.relnamespace"""
_MEMBERS = """pg_depend d JOIN pg_extension x ON d.refclassid = 'pg_extension'::regclass AND x.oid = d.refobjid"""
_RELATION_MEMBERS = f"""{_MEMBERS} JOIN pg_class o ON d.classid = 'pg_class'::regclass AND d.objid = o.oid AND
 d.deptype = 'e' JOIN pg_namespace n ON n.oid = o.relnamespace"""
# [extension, schema, name, kind, owner, is configuration]: data that would be an extension's, and is not a superuser's.
_GIVEN_AWAY = f"""SELECT json_build_array(x.extname, n.nspname, o.relname, o.relkind, pg_get_userbyid(o.relowner),
 o.oid = ANY(coalesce(x.extconfig, '{{}}'))) FROM {_RELATION_MEMBERS} WHERE o.relkind IN ('r', 'p', 'm', 'S') AND NOT
 {_POWERFUL} ORDER BY n.nspname, o.relname;
"""
_TYPED = {"r": "TABLE", "p": "TABLE", "m": "MATERIALIZED VIEW", "S": "SEQUENCE"}
_UNNAMED = f"""SELECT json_build_array('rows', x.extname, format('%s.%s', n.nspname, o.relname), NULL) FROM
 {_RELATION_MEMBERS} WHERE o.relkind IN ('r', 'm') AND {_POWERFUL} AND pg_relation_size(o.oid) > 0
 AND o.oid <> ALL(coalesce(x.extconfig, '{{}}')) ORDER BY n.nspname, o.relname;
"""
# What is granted on what an extension made, and is given again of configuration alone.
_OTHER_GRANTS = f"""SELECT json_build_array('grant', x.extname, g.named, pg_get_userbyid(a.grantee)) FROM {_MEMBERS}
 JOIN (SELECT 'pg_class'::regclass::oid, oid, oid::regclass::text, relacl FROM pg_class UNION ALL
 SELECT 'pg_proc'::regclass::oid, oid, oid::regprocedure::text, proacl FROM pg_proc) g(catalogue, oid, named, acl)
 ON d.classid = g.catalogue AND d.objid = g.oid AND d.deptype = 'e' CROSS JOIN aclexplode(g.acl) a
 WHERE pg_get_userbyid(a.grantee) = ANY({{roles}}) AND NOT (g.catalogue = 'pg_class'::regclass AND
 g.oid = ANY(coalesce(x.extconfig, '{{{{}}}}'))) GROUP BY x.extname, g.named, a.grantee ORDER BY g.named, a.grantee;
"""
GRANTS = """(SELECT json_agg(json_build_array(pg_get_userbyid(a.grantee), a.privilege_type, a.is_grantable) ORDER BY
 pg_get_userbyid(a.grantee), a.privilege_type, a.is_grantable) FROM aclexplode(o.relacl) a WHERE
 pg_get_userbyid(a.grantee) = ANY({roles}) AND a.privilege_type <> 'MAINTAIN')"""
GRANTED = f"{_CONFIG} WHERE {GRANTS} IS NOT NULL"
"""Extensions' configuration on which one of the account's `roles` was granted something."""
_PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "USAGE")


# --- on the source ---


def refuse_given_away(inside: Session) -> None:
    """Refuse data that no dump would hold as a part of its extension, or that is not read as its owner would let it."""
    for extension, schema, name, kind, owner, config in inside.query(_GIVEN_AWAY)[:1]:
        qualified = f"{name_in_sql(schema)}.{name_in_sql(name)}"
        if config:
            word = "SEQUENCE" if kind == "S" else "TABLE"
            typed = (
                f"ALTER {word} {qualified} OWNER TO postgres; GRANT ALL ON {word} {qualified} TO {name_in_sql(owner)};"
            )
        else:
            typed = f"ALTER EXTENSION {name_in_sql(extension)} DROP {_TYPED[kind]} {qualified};"
        refuse(
            "foreign_owner",
            f"In database {printable(inside.database)} {qualified} is a part of the extension {printable(extension)} "
            f"and belongs to {printable(owner)}, so it would not come over as it is: let the administrator type there "
            f"{typed} Then test again.",
        )


def not_carried(account: Account, inside: Session) -> list[str]:
    """What an extension's tables hold, or roles of the account may do with what is an extension's, and is left here."""
    at, sentences = f"Database {printable(inside.database)}", []
    roles = literals(account.postgresql_roles)
    for kind, extension, object_name, role in inside.query(_UNNAMED + _OTHER_GRANTS.format(roles=roles)):
        of = f"{printable(object_name)}, which the extension {printable(extension)} has made"
        if kind == "rows":
            sentences.append(f"{at}: what stands in {of} and does not name as yours, is not carried.")
        else:
            sentences.append(f"{at}: what was granted to {printable(role)} on {of}, is not carried.")
    return sentences


def granted(account: Account, name: str) -> list[list[Any]]:
    """[schema, relation, grantee, privilege, grantable] on extensions' configuration."""
    roles = literals(account.postgresql_roles)
    rows = query(
        f"SELECT json_build_array(n.nspname, o.relname, {GRANTS.format(roles=roles)})"
        f" FROM {GRANTED.format(roles=roles)};\n",
        name,
    )
    return [[schema, relation, *grant] for schema, relation, grants in rows for grant in grants]


# --- on the target ---


def open_for_rows(name: str, role: str) -> None:
    """The rows that are the customer's can be loaded and referred to by this role; what the extension brought along in
    their place is gone.

    Nothing of the customer's rests on these tables yet: triggers and references come behind the rows."""
    tables = query(
        f"SELECT json_build_array(n.nspname, o.relname, o.relkind, f.condition) FROM {_CONFIG}"
        " WHERE o.relkind IN ('r', 'p', 'S');\n",
        name,
    )
    statements = ["BEGIN", "SET LOCAL session_replication_role = 'replica'"]
    for schema, relation, kind, condition in tables:
        qualified, word = f"{ident(schema)}.{ident(relation)}", "SEQUENCE" if kind == "S" else "TABLE"
        statements += [f"GRANT USAGE ON SCHEMA {ident(schema)} TO {ident(role)}"]
        rights = "SELECT, UPDATE" if kind == "S" else "SELECT, INSERT, REFERENCES"
        statements += [f"GRANT {rights} ON {word} {qualified} TO {ident(role)}"]
        if kind != "S":
            # The condition is what this server's extension says; no client reads it as anything else.
            command = f"{literal(f'DELETE FROM {qualified} ')} || {literal(condition or '')}"
            statements += [f"DO $do$ BEGIN EXECUTE {command}; END $do$"]
    execute([*statements, "COMMIT"] if tables else [], name)


def refer_to_each_other(name: str) -> bool:
    """Whether rows of extensions' configuration must come in their order: the references stand from the beginning, and
    those who restore side by side do not wait for each other."""
    references = "pg_constraint c WHERE c.contype = 'f' AND c.conrelid = o.oid"
    return bool(query(f"SELECT to_json(count(*)) FROM {_CONFIG} WHERE EXISTS (SELECT FROM {references});\n", name)[0])


def give(account: Account, name: str, grants: list[list[Any]]) -> None:
    """Give these grants on configuration of this server's extensions, and on nothing else."""
    relations = {(schema, relation) for schema, relation in query(_HERE, name)}
    statements = [
        f"GRANT {privilege} ON {ident(schema)}.{ident(relation)} TO {ident(grantee)}"
        f"{' WITH GRANT OPTION' if grantable else ''}"
        for schema, relation, grantee, privilege, grantable in grants
        if (schema, relation) in relations and grantee in account.postgresql_roles and privilege in _PRIVILEGES
    ]
    execute(statements, name)


_HERE = f"SELECT json_build_array(n.nspname, o.relname) FROM {_CONFIG} WHERE o.relkind IN ('r', 'p', 'S');\n"
