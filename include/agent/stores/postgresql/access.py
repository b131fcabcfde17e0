"""Who owns, or has rights in, which database of this server's PostgreSQL, and who has which password."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from .passwords import can_be_tried, is_password
from .sql import query

# pg_shdepend knows of every database what roles own and may do there; a member may do what its role may.
_THEIRS = """WITH RECURSIVE named(database, role) AS ({named}),
 acting(database, role) AS (SELECT database, role FROM named
  UNION SELECT a.database, m.member FROM acting a JOIN pg_auth_members m ON m.roleid = a.role)
SELECT json_build_array(d.datname::text, r.rolname::text) FROM acting a JOIN pg_database d ON d.oid = a.database
 JOIN pg_roles r ON r.oid = a.role WHERE NOT r.rolsuper AND r.rolname !~* '^(pg|th)_'
 ORDER BY d.datname, r.oid <> d.datdba, r.rolname;"""
_NOT_SUPER = "(SELECT oid FROM pg_roles WHERE NOT rolsuper)"
OWNERS = _THEIRS.format(
    named=f"SELECT oid, datdba FROM pg_database WHERE datdba IN {_NOT_SUPER}"
    f" UNION SELECT dbid, refobjid FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND deptype = 'o'"
    f" AND dbid <> 0 AND refobjid IN {_NOT_SUPER}"
)
"""The owner of the database, of what is in it, and who acts as they do: a superuser is no account's."""
GUESTS = _THEIRS.format(
    named="SELECT CASE WHEN dbid = 0 AND classid = 'pg_database'::regclass THEN objid ELSE dbid END, refobjid"
    " FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND deptype IN ('a', 'r')"
    f" AND refobjid IN {_NOT_SUPER}"
)
"""Those who were given a privilege on the database, or on something in it, and who acts as they do."""


def of_databases(databases: Sequence[str], sql: str) -> dict[str, list[Any]]:
    """Each with the roles that this query tells of it."""
    roles: dict[str, list[Any]] = {name: [] for name in databases}
    for database, role in query(sql):
        if database in roles:
            roles[database].append(role)
    return roles


def passwords() -> dict[str, Callable[[str], bool]]:
    """Whether a password is theirs, of each role that logs in and whose password can be tried."""
    rows = query(
        "SELECT json_build_array(rolname::text, rolpassword) FROM pg_authid WHERE rolcanlogin AND NOT rolsuper;"
    )
    return {role: partial(is_password, role, kept) for role, kept in rows if kept and can_be_tried(kept)}
