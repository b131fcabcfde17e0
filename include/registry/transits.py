"""A transit: the server of the pool that accounts live on while their own is reinstalled.

Asked for, assigned, handed over, left, wiped, returned. Also see queue.py.
"""

from dataclasses import dataclass
from datetime import datetime

import psycopg

from include.registry import queue, states
from include.registry.database import RegistryRefused, certain, column, execute, in_transaction, names, row, value
from include.registry.events import event
from include.registry.kinds import EventKind
from include.registry.migrations import advance, locked, migration
from include.registry.servers import server as server_named
from include.registry.states import MigrationState, RequestState, ServerState

LEASE_COLUMNS = """
    id, migration, transit, server, plan, handed_over_at, free_days, expected_end_at, last_account_left_at, ended_at
"""


@dataclass(frozen=True)
class Lease:
    """A transit in a customer's hands. `server` and `plan` are the customer's own. For billing it ends at
    `last_account_left_at`, or at `ended_at` when the migration was given up before."""

    id: int
    migration: int
    transit: str
    server: str
    plan: str
    handed_over_at: datetime
    free_days: int
    expected_end_at: datetime
    last_account_left_at: datetime | None
    ended_at: datetime | None


@in_transaction
def request_transit(conn: psycopg.Connection, migration_id: int) -> queue.TransitRequest:
    """Ask for a transit of the server's plan: a place at the end of the queue. Once a migration; repeating it
    gives the same request. Refuses when no transit of the pool can ever serve it."""
    queue.lock(conn)
    record = locked(conn, migration_id)
    same = queue.request_of(conn, migration_id)
    if same is not None:
        return same
    server = server_named(conn, record.server)
    queue.refuse_never_servable(conn, server)
    advance(conn, migration_id, MigrationState.WAITING_FOR_TRANSIT)
    queue.enqueue(conn, migration_id, server.plan)
    event(conn, EventKind.TRANSIT_REQUESTED, migration=migration_id, server=server.name, detail={"plan": server.plan})
    return certain(queue.request_of(conn, migration_id))


@in_transaction
def assign_transit(conn: psycopg.Connection, migration_id: int) -> str | None:
    """The migration's transit, or None while it has to wait. Whoever asks serves the whole queue: every free
    transit goes to the first request that it fits, also when that one's run asks later. So the order is the
    queue's, not that of the callers, and nobody waits for a run that does not ask."""
    record = migration(conn, migration_id)
    if record.transit is not None or record.state in states.GIVEN_UP:
        return record.transit
    if queue.request_of(conn, migration_id) is None:
        raise RegistryRefused(f"Migration {migration_id} has not asked for a transit: request one first.")
    if queue.any_free(conn):
        queue.lock(conn)
        queue.serve(conn)
    return migration(conn, migration_id).transit


@in_transaction
def may_install_transit(conn: psycopg.Connection, migration_id: int) -> str:
    """The transit to install; refuses unless it is this migration's and not handed over yet."""
    record = locked(conn, migration_id)
    if record.state != MigrationState.INSTALLING_TRANSIT:
        raise RegistryRefused(
            f"Migration {migration_id} is {record.state}: its transit is installed once, before the hand-over."
        )
    transit = certain(record.transit)
    _refuse_if_lived_on(conn, transit, "installed")
    return transit


@in_transaction
def hand_over(conn: psycopg.Connection, migration_id: int, at: datetime | None = None) -> Lease:
    """Hand the transit over: the lease starts, now or at `at` (a hand-over that is recorded late), and is expected to
    last for its free days. Refuses a transit that is not enrolled with the new infrastructure. Repeating it gives the
    same lease."""
    record = locked(conn, migration_id)
    same = lease_of(conn, migration_id)
    if same is not None:
        return same
    if record.state != MigrationState.INSTALLING_TRANSIT:
        raise RegistryRefused(f"Migration {migration_id} is {record.state}: it has no installed transit to hand over.")
    execute(
        conn,
        """
        INSERT INTO leases (migration, transit, server, plan, handed_over_at, expected_end_at)
        SELECT %(migration)s, %(transit)s, name, plan, coalesce(%(at)s, now()),
            coalesce(%(at)s, now()) + billing_free_days() * interval '1 day'
        FROM servers WHERE name = %(server)s
        """,
        {
            "migration": migration_id,
            "transit": record.transit,
            "server": record.server,
            "at": at,
        },
    )
    execute(conn, "UPDATE servers SET state = 'handed_over' WHERE name = %(transit)s", {"transit": record.transit})
    lease = certain(lease_of(conn, migration_id))
    detail = {
        "transit": record.transit,
        "lease": lease.id,
        "at": lease.handed_over_at.isoformat(),
        "free_days": lease.free_days,
    }
    advance(conn, migration_id, MigrationState.HANDED_OVER, detail)
    return lease


@in_transaction
def lease_of(conn: psycopg.Connection, migration_id: int) -> Lease | None:
    """The migration's lease, also when it has ended; None before the hand-over."""
    return row(
        conn,
        Lease,
        f"SELECT {LEASE_COLUMNS} FROM leases WHERE migration = %(migration)s",
        {"migration": migration_id},
    )


@in_transaction
def last_account_left(conn: psycopg.Connection, migration_id: int) -> Lease:
    """Record that every account has left the original: the migration is accounts_moved, and the lease ends
    for billing when the last of them left: by the moves' own record, however late this is called, or when it was gone
    from its server by itself. Refuses while an account lives on the original. Can be repeated."""
    record = locked(conn, migration_id)
    advance(conn, migration_id, MigrationState.ACCOUNTS_MOVED)
    changed = execute(
        conn,
        """
        UPDATE leases SET last_account_left_at = greatest(handed_over_at, coalesce((
            SELECT max(at) FROM (
                SELECT committed_at AS at FROM moves WHERE migration = %(migration)s AND direction = 'out'
                UNION ALL
                SELECT coalesce(a.missing_since, a.removed_at) FROM accounts a
                WHERE a.server = leases.server AND a.removed_at >= leases.handed_over_at
            ) AS ends
        ), now()))
        WHERE migration = %(migration)s AND last_account_left_at IS NULL
        """,
        {"migration": migration_id},
    )
    lease = certain(lease_of(conn, migration_id))
    if changed:
        at = certain(lease.last_account_left_at).isoformat()
        detail = {"lease": lease.id, "at": at}
        event(conn, EventKind.LEASE_LEFT, migration=migration_id, server=record.server, detail=detail)
    return lease


@in_transaction
def may_wipe(conn: psycopg.Connection, migration_id: int) -> str:
    """The transit to wipe; refuses unless nobody needs it at this moment: no account lives on it, and IPs and
    names are home or the migration was given up. Ask right before the wipe."""
    record = locked(conn, migration_id)
    request = queue.request_of(conn, migration_id)
    if record.transit is None or request is None or request.state != RequestState.ASSIGNED:
        raise RegistryRefused(f"Migration {migration_id} has no transit now: there is nothing to wipe.")
    _refuse_if_lived_on(conn, record.transit, "wiped")
    if record.state not in (MigrationState.HOME, *states.GIVEN_UP):
        raise RegistryRefused(
            f"Transit {record.transit} is not wiped while its migration is {record.state}: that is due when IPs"
            " and names are home."
        )
    return record.transit


@in_transaction
def transit_wiped(conn: psycopg.Connection, migration_id: int) -> None:
    """Record that the transit was wiped; its pinned host key goes with it. Can be repeated."""
    record = locked(conn, migration_id)
    request = queue.request_of(conn, migration_id)
    if request is not None and request.state == RequestState.RETURNED_TO_POOL:
        return
    if value(conn, "SELECT state FROM servers WHERE name = %(name)s", {"name": record.transit}) == ServerState.WIPED:
        return
    transit = may_wipe(conn, migration_id)
    execute(conn, "UPDATE servers SET state = 'wiped' WHERE name = %(name)s", {"name": transit})
    event(conn, EventKind.TRANSIT_WIPED, migration=migration_id, server=transit)


@in_transaction
def return_transit(conn: psycopg.Connection, migration_id: int) -> None:
    """Return the wiped transit to the pool and end the lease. Refuses one that is not wiped. Can be repeated.
    The next in the queue gets it when it asks."""
    queue.lock(conn)
    record = locked(conn, migration_id)
    request = queue.request_of(conn, migration_id)
    if request is None or request.state == RequestState.WAITING:
        raise RegistryRefused(f"Migration {migration_id} has no transit: there is nothing to return.")
    if request.state == RequestState.RETURNED_TO_POOL:
        return
    execute(
        conn,
        "UPDATE transit_requests SET state = 'returned_to_pool' WHERE id = %(id)s",
        {"id": request.id},
    )
    execute(
        conn,
        """
        UPDATE leases SET ended_at = greatest(now(), handed_over_at, last_account_left_at)
        WHERE migration = %(migration)s AND ended_at IS NULL
        """,
        {"migration": migration_id},
    )
    execute(conn, "UPDATE servers SET state = 'free' WHERE name = %(name)s", {"name": record.transit})
    event(conn, EventKind.TRANSIT_RETURNED, migration=migration_id, server=record.transit)


def _refuse_if_lived_on(conn: psycopg.Connection, transit: str, done: str) -> None:
    living = column(conn, "SELECT who_is_on(%(server)s)", {"server": transit})
    if living:
        raise RegistryRefused(
            f"Transit {transit} is not {done}, because accounts live on it ({names(living)}): move them first."
        )
