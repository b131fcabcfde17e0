"""Roles that leave a server, whatever others have granted to them there.

Anybody may grant anything of theirs to any role, in a database of their own, or name it in a policy: PostgreSQL drops
no role that is named so. What was granted is taken back; what a role owns is never dropped here."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from contextlib import suppress

from ...host.system import Refused
from .sql import Session, execute, ident, literals

_TRIES, _PAUSE = 10, 0.05
# Databases in which, or of which, something is granted to the roles, and in which they own nothing.
_GRANTED_IN = """SELECT to_json(d.datname::text) FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid
 JOIN pg_database d ON d.oid = CASE s.classid WHEN 'pg_database'::regclass THEN s.objid ELSE s.dbid END
 WHERE s.refclassid = 'pg_authid'::regclass AND r.rolname::text = ANY({names})
 GROUP BY d.datname HAVING bool_and(s.deptype <> 'o');
"""


def drop_roles(names: list[str], db: Session) -> None:
    """Drop these roles; those that are not there are passed over. Refused when one still owns something."""
    names_in_sql = literals(names)
    existing = db.query(f"SELECT to_json(rolname::text) FROM pg_roles WHERE rolname::text = ANY({names_in_sql});")
    if not existing:
        return
    if not db.execute_each([f"DROP ROLE {_listed(existing)}"]):
        return
    # Under names that nobody knows: who grants as fast as he can would else do so again at each try.
    hidden = {name: f"th_gone_{secrets.token_hex(8)}" for name in existing}
    db.execute([f"ALTER ROLE {ident(name)} RENAME TO {ident(alias)}" for name, alias in hidden.items()])
    for _ in range(_TRIES):
        for database in db.query(_GRANTED_IN.format(names=literals(hidden.values()))):
            with suppress(Refused):  # a grant is being made at this moment, or the database is gone
                execute([f"DROP OWNED BY {_listed(hidden.values())}"], database)
        if not db.execute_each([f"DROP ROLE {_listed(hidden.values())}"]):
            return
        time.sleep(_PAUSE)
    db.execute([f"ALTER ROLE {ident(alias)} RENAME TO {ident(name)}" for name, alias in hidden.items()])
    db.execute([f"DROP ROLE {_listed(existing)}"])


def _listed(names: Iterable[str]) -> str:
    return ", ".join(ident(name) for name in names)
