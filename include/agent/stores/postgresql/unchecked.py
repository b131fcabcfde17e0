"""Rows loaded on the target without being judged again, and functions that find what they call while that is done.

A check may ask the clock, or another table that is filled later, and be false here of rows that it was true of when
they were written. So checks are taken off before the rows come, and put back as they were: the rows are proven to be
the same. A restore has no search path, nor has PostgreSQL 17 while it builds an index: functions that have none of
their own get, for the time of the restore, the one that their owner's sessions have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .inventory import USER_SCHEMA
from .make import listed
from .sql import execute, ident, literal, query

Run = Callable[[list[str]], None]

_NO_EXTENSION = (
    "NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = '{0}'::regclass AND d.objid = o.oid AND d.deptype = 'e')"
)
# [signature, owner, search path of the owner's sessions]
_FUNCTIONS = f"""SELECT json_build_array(o.oid::regprocedure, r.rolname, (SELECT substr(c, 13) FROM pg_db_role_setting s
 CROSS JOIN unnest(s.setconfig) c WHERE c LIKE 'search\\_path=%' AND s.setrole IN (o.proowner, 0) AND s.setdatabase IN
 (d.oid, 0) ORDER BY s.setrole DESC, s.setdatabase DESC LIMIT 1))
 FROM pg_proc o JOIN pg_roles r ON r.oid = o.proowner JOIN pg_language l ON l.oid = o.prolang
 JOIN pg_database d ON d.datname = current_database()
 WHERE l.lanname NOT IN ('c', 'internal') AND o.prokind = 'f' AND o.prosqlbody IS NULL AND o.proowner <> 10
 AND o.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
 AND NOT EXISTS (SELECT FROM unnest(o.proconfig) c WHERE c LIKE 'search\\_path=%')
 AND {USER_SCHEMA.format("o.pronamespace")} AND {_NO_EXTENSION.format("pg_proc")};
"""
# [on what, oid of the table, oid of the domain, name, definition, comment, its own]
_CHECKS = f"""SELECT json_build_array(CASE o.contypid WHEN 0 THEN 'TABLE ' || o.conrelid::regclass ELSE 'DOMAIN ' ||
 o.contypid::regtype END, o.conrelid::int8, o.contypid::int8, o.conname, pg_get_constraintdef(o.oid),
 obj_description(o.oid, 'pg_constraint'), o.conislocal)
 FROM pg_constraint o WHERE o.contype = 'c' AND o.convalidated AND {USER_SCHEMA.format("o.connamespace")}
 AND {_NO_EXTENSION.format("pg_constraint")} AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.deptype = 'e' AND
 (d.classid, d.objid) IN (('pg_class'::regclass, o.conrelid), ('pg_type'::regclass, o.contypid)))
 ORDER BY o.conrelid, o.contypid, o.conname;
"""


def give_paths(name: str, run: Run) -> list[str]:
    """Give a path to the functions that are there without one, by statements that `run` runs as the account; the
    statements that take it away again."""
    functions = query(f"SET quote_all_identifiers = on; {_FUNCTIONS}", name)
    run([f"ALTER FUNCTION {called} SET search_path TO {_path(owner, path)}" for called, owner, path in functions])
    return [f"ALTER FUNCTION {called} RESET search_path" for called, _, _ in functions]


def begin(name: str, run: Run) -> dict[str, Any]:
    """Take the checks off, by statements that `run` runs as the account; what `end` has to know."""
    checks = query(f"SET quote_all_identifiers = on; {_CHECKS}", name)
    # What a child has of its own besides what it inherits can be dropped after the parent's alone; parents come first.
    dropped = [check for check in checks if check[6]]
    run([f"ALTER {check[0]} DROP CONSTRAINT {ident(check[3])}" for check in dropped])
    return {
        "checks": [statement for check in reversed(dropped) for statement in _again(*check[:6])],
        "true": [[table, domain, check] for _, table, domain, check, *_ in checks],
    }


def end(name: str, opened: dict[str, Any], run: Run) -> None:
    """The checks are there again, and as true of the rows as they were."""
    run(opened["checks"])
    true_checks = ", ".join(
        f"({int(table)}, {int(domain)}, {literal(check)})" for table, domain, check in opened["true"]
    )
    if true_checks:
        # Nothing else can say so without looking at each row, now.
        execute(
            [
                "UPDATE pg_constraint SET convalidated = true WHERE contype = 'c' AND NOT convalidated AND"
                f" (conrelid::int8, contypid::int8, conname::text) IN ({true_checks})"
            ],
            name,
        )


def _again(on: str, table: int, domain: int, check: str, definition: str, comment: str | None) -> list[str]:
    made = [f"ALTER {on} ADD CONSTRAINT {ident(check)} {definition} NOT VALID"]
    if comment is not None:
        at = on.removeprefix("TABLE ")
        made.append(f"COMMENT ON CONSTRAINT {ident(check)} ON {at} IS {literal(comment)}")
    return made


def _path(owner: str, path: str | None) -> str:
    """The path of the owner's sessions, whoever calls."""
    return listed('"$user", public' if path is None else path).replace(literal("$user"), literal(owner))
