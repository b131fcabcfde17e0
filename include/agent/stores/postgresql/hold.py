"""Nobody gets into an account's PostgreSQL databases while it is held, nor can anybody lift that.

A database's owner may set its connection limit from another database. So the account's roles cannot log in at all
meanwhile, and their sessions end wherever they are; who else is
a member of them is told before, by postgres_definition.
"""

from __future__ import annotations

import json
import time
from typing import Any

from ...account.accounts import Account
from ...host.digest import printable
from ...host.system import Refused, refuse, write_durably
from .definition import held, held_path
from .sql import Session, ident, kept, kept_backends, literal, literals

_PATIENCE = 1.0  # seconds in which transactions that run may end by themselves
_LOCKED = "300ms"  # for a transaction that alters what is to be shut: it is ended after that


def hold(account: Account) -> dict[str, Any]:
    """Nobody but the superuser gets into the account's databases from now on; who was in is put out.

    Transactions that run may end by themselves for a second. Returns what must be given back: {"limits": {database:
    CONNECTION LIMIT before}, "logins": [roles that may log in]}. It is also written down here before anything is
    changed, so a second hold, or one that died halfway, changes nothing of it."""
    if not account.postgresql_databases and not account.postgresql_roles:
        return {"limits": {}, "logins": []}
    names, roles = literals(account.postgresql_databases), literals(account.postgresql_roles)
    db = kept()
    limits = db.query(f"SELECT json_build_array(datname, datconnlimit) FROM pg_database WHERE datname = ANY({names});")
    logins = db.query(f"SELECT to_json(rolname::text) FROM pg_roles WHERE rolcanlogin AND rolname = ANY({roles});")
    saved = held(account)
    saved = {
        "limits": {**dict(limits), **saved["limits"]},
        "logins": sorted({*logins, *saved["logins"]}),
    }
    write_durably(held_path(account), json.dumps(saved))
    shut = [f"ALTER ROLE {ident(name)} NOLOGIN" for name in logins]
    _alter(account, [*shut, *(f"ALTER DATABASE {ident(name)} CONNECTION LIMIT 0" for name, _ in limits)])
    refuse_prepared(account)
    _end_connections(account, kept())
    return saved


def refuse_prepared(account: Account, seconds: int = 0) -> None:
    """Refuse an account one of whose databases has a transaction that was prepared so long ago, or longer."""
    names = literals(account.postgresql_databases)
    for database, transaction in kept().query(
        f"SELECT json_build_array(database, gid) FROM pg_prepared_xacts WHERE database = ANY({names})"
        f" AND prepared <= clock_timestamp() - {int(seconds)} * interval '1 second' ORDER BY prepared;"
    ):
        refuse(
            "prepared_transaction",
            f"The database {printable(database)} has a prepared transaction ({printable(transaction)}); "
            "commit it or roll it back, then perform again.",
        )


def _alter(account: Account, statements: list[str]) -> None:
    """Run them as one, so there is one wait for the disk. A session of the account's that alters the same, and goes on
    doing so, is ended."""
    if not statements:
        return
    script = ["BEGIN", f"SET LOCAL lock_timeout = '{_LOCKED}'", *statements, "COMMIT"]
    try:
        kept().execute(script)
    except Refused as error:
        if "lock timeout" not in error.message:
            raise
        db = kept()
        db.query(f"SELECT to_json(pg_terminate_backend(pid)) {_sessions(account)};")
        db.execute([*script[:1], *script[2:]])


def _sessions(account: Account) -> str:
    """The end of a query for whoever is in the account's databases, or anywhere as a role of the account.

    What this process keeps open stays: it was opened because nobody gets in any more. Replication is no client."""
    kept_here = ", ".join(str(pid) for pid in [0, *kept_backends()])
    return (
        f"FROM pg_stat_activity WHERE (datname = ANY({literals(account.postgresql_databases)}) OR usename ="
        f" ANY({literals(account.postgresql_roles)})) AND pid <> ALL(ARRAY[{kept_here}])"
        " AND backend_type = 'client backend'"
    )


def _end_connections(account: Account, db: Session) -> None:
    began, quiet = time.monotonic(), 0
    since = literal(db.query("SELECT to_json(clock_timestamp()::text);")[0])
    sessions = _sessions(account)
    while quiet < 2:  # a connection that passed the limit just before shows a moment later
        waited = time.monotonic() - began
        # A transaction that began after the limit was set is another one: those that ran before it have ended.
        which = "true" if waited > _PATIENCE else f"(xact_start IS NULL OR xact_start > {since}::timestamptz)"
        open_ = db.query(f"SELECT to_json(coalesce({which} AND pg_terminate_backend(pid), false)) {sessions};")
        quiet = 0 if open_ else quiet + 1
        if waited > _PATIENCE + 10:
            refuse("connections_remain", f"PostgreSQL connections of {account.name} do not end; look at them.")
        time.sleep(0.005)


def unhold(account: Account) -> None:
    """Give the databases back the connection limits they had, and the roles their logins."""
    saved = held(account)
    if not held_path(account).exists():
        return
    roles = literals(saved["logins"])
    names = [name for name in kept().existing(account.postgresql_databases) if name in saved["limits"]]
    logins = kept().query(f"SELECT to_json(rolname::text) FROM pg_roles WHERE rolname = ANY({roles});")
    open_ = [f"ALTER ROLE {ident(name)} LOGIN" for name in logins if name in account.postgresql_roles]
    open_ += [f"ALTER DATABASE {ident(name)} CONNECTION LIMIT {int(saved['limits'][name])}" for name in names]
    _alter(account, open_)
    held_path(account).unlink(missing_ok=True)


def lock(account: Account) -> None:
    """For good: what was held here belongs to another server now."""
    roles = literals(account.postgresql_roles)
    names = kept().query(f"SELECT to_json(rolname::text) FROM pg_roles WHERE rolcanlogin AND rolname = ANY({roles});")
    _alter(account, [f"ALTER ROLE {ident(name)} NOLOGIN" for name in names])
