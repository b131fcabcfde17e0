"""How many tables a server can lock at once: a dump, and a subscription, lock all those of a database."""

from __future__ import annotations

from ...host.digest import printable
from .sql import Session

MOST = 1000
"""Tables that one transaction of ours takes where it can take some after the others."""
# One connection may have more than its share; this many are there for all together.
_ROOM = """SELECT json_build_array(current_setting('max_locks_per_transaction')::int, 1 +
 sum(current_setting(name)::int)) FROM unnest(ARRAY['max_connections', 'max_prepared_transactions',
 'autovacuum_max_workers', 'max_worker_processes', 'max_wal_senders']) name;
"""
_NEEDED = """SELECT greatest(count(*) FILTER (WHERE relkind IN ('r', 'p')), count(*) FILTER (WHERE relkind = 'S'))
 FROM pg_class WHERE oid >= 16384 AND relpersistence <> 't';
"""


def needed(inside: Session) -> int:
    """The tables of a database that are locked at once, when it is dumped or followed."""
    return inside.query(_NEEDED)[0]


def why_not(database: str, tables: int, db: Session, server: str) -> str | None:
    """That `server`, to which `db` is connected, cannot lock so many tables, and what to type: a sentence."""
    per_connection, connections = db.query(_ROOM)[0]
    room = per_connection * connections
    if tables <= room:
        return None
    raised = 64
    while raised * connections < 1.25 * tables:
        raised *= 2
    return (
        f"The database {printable(database)} has {tables:,} tables, and {server} can lock {room:,} at "
        f"once: let its administrator type ALTER SYSTEM SET max_locks_per_transaction = {raised}; and restart it. Then "
        "test again."
    )
