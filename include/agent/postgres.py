"""An account's PostgreSQL databases and roles on this server: described, held, digested, discarded.

How they move stands in postgres_move (both ways of it), postgres_follow and postgres_apply (logical replication) and
postgres_restore (a dump).
"""

from __future__ import annotations

import json
import time
from typing import Any

from . import postgres_apply, postgres_digest, postgres_follow, postgres_large, postgres_move, postgres_restore
from .accounts import Account
from .digest import as_peer_verb, printable
from .postgres_definition import held_limits, held_path
from .postgres_sql import Session, ident, kept, kept_backends, literal, literals, query
from .scope import Scope
from .system import refuse, write_durably

follow, rehearse, last, compare = (
    postgres_move.follow,
    postgres_move.rehearse,
    postgres_move.last,
    postgres_move.compare,
)
unfollow, finish = postgres_follow.end, postgres_restore.finish
SCOPE = Scope(
    what="every row of every table and materialized view, large objects, sequences, and what defines them: roles,"
    " databases with their settings and grants, schemas, tables, indexes, views, functions and rules",
    how="a checksum over each table's rows; each definition's facts and words, without brackets and casts; and on each"
    " side a fingerprint of the catalogues, by which nothing was defined otherwise since",
    when="all of it at the copy; in the hold the rows that changed since, all sequences and large objects that changed,"
    " the roles and the definitions; a database that is dumped whole in the hold",
    without=(
        "Publications, subscriptions and event triggers: only a server's administrator can make them, so they are not"
        " carried.",
        "Settings, privileges and memberships that only a superuser may give: they are not carried.",
        "Generated columns and what is in an index: the new server computes them from what is compared.",
        "Brackets, casts and the names of tables before columns in expressions and queries: each version prints them in"
        " its own way.",
        "Rows behind foreign tables: they are another server's.",
        "Materialized views of a database that is dumped whole in the hold: they are computed anew.",
        "Where rows and free space lie in a table's file: the new server's own.",
    ),
)
_PATIENCE = 1.0  # seconds in which transactions that run may end by themselves


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

    Transactions that run may end by themselves for a second. Returns what must be given back: {"limits": {database:
    CONNECTION LIMIT before}}. It is also written down here before anything is changed, so a second hold, or one that
    died halfway, changes nothing of it."""
    if not account.postgresql_databases:
        return {"limits": {}}
    names = literals(account.postgresql_databases)
    db = kept()
    found = db.query(f"SELECT json_build_array(datname, datconnlimit) FROM pg_database WHERE datname = ANY({names});")
    limits = {**dict(found), **held_limits(account)}
    write_durably(held_path(account), json.dumps(limits))
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
    began, quiet = time.monotonic(), 0
    since = literal(db.query("SELECT to_json(clock_timestamp()::text);")[0])
    # What this process keeps open stays: it was opened because nobody gets in any more. Replication is no client.
    ours = ", ".join(str(pid) for pid in [0, *kept_backends()])
    while quiet < 2:  # a connection that passed the limit just before shows a moment later
        waited = time.monotonic() - began
        # A transaction that began after the limit was set is another one: those that ran before it have ended.
        which = "true" if waited > _PATIENCE else f"(xact_start IS NULL OR xact_start > {since}::timestamptz)"
        open_ = db.query(
            f"SELECT to_json(coalesce({which} AND pg_terminate_backend(pid), false)) FROM pg_stat_activity"
            f" WHERE datname = ANY({names}) AND pid <> ALL(ARRAY[{ours}]) AND backend_type = 'client backend';"
        )
        quiet = 0 if open_ else quiet + 1
        if waited > _PATIENCE + 10:
            refuse("connections_remain", f"PostgreSQL connections of {account.name} do not end; look at them.")
        time.sleep(0.005)


def end_sessions(account: Account) -> None:
    """Target: nobody writes the copy any more but what applies the source's changes."""
    names = literals(account.postgresql_databases)
    with Session() as db:
        db.query(
            "SELECT json_build_array(pid, pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname ="
            f" ANY({names}) AND pid <> pg_backend_pid() AND backend_type = 'client backend';"
        )


def unhold(account: Account) -> None:
    """Give the databases back the connection limits they had."""
    limits = held_limits(account)
    if not limits:
        return
    here = [name for name in kept().existing(account.postgresql_databases) if name in limits]
    kept().execute([f"ALTER DATABASE {ident(name)} CONNECTION LIMIT {int(limits[name])}" for name in here])
    held_path(account).unlink(missing_ok=True)


def lock(account: Account) -> None:
    """For good: what was held here belongs to another server now. Its owner could else lift the limit again."""
    here = kept().query(
        f"SELECT to_json(rolname::text) FROM pg_roles WHERE rolname = ANY({literals(account.postgresql_roles)});"
    )
    kept().execute([f"ALTER ROLE {ident(name)} NOLOGIN" for name in here])


def digest(account: Account) -> dict[str, Any]:
    """{"databases": {name: digest}, "roles": {name: facts}, "tables": number, "rows": number}; equal on both sides."""
    databases = {
        name: postgres_digest.of_database(
            name, identities=postgres_follow.identities(account, name), roles=account.postgresql_roles
        )
        for name in kept().existing(account.postgresql_databases)
    }
    counts = [table[0] for database in databases.values() for table in database["tables"].values()]
    roles = postgres_restore.role_facts(account, kept())
    return {"databases": databases, "roles": roles, "tables": len(counts), "rows": sum(counts)}


def discard(account: Account) -> None:
    """Drop the account's databases and roles from this server, and what followed them or followed for them."""
    postgres_follow.end(account)
    postgres_restore.discard(account)


PEER_VERBS = {
    **postgres_restore.PEER_VERBS,
    **postgres_apply.PEER_VERBS,
    **postgres_large.PEER_VERBS,
    "postgres_digest": as_peer_verb(digest),
}
