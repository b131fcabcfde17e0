"""The queue for transits: first come, first served.

Nobody is overtaken by one who could take the same transit. Places are by plan. Of the transits of its server's site, a
request takes one that is reserved for its customer before any other, then one of its own plan, then, where ops allow
it, the smallest of those that are at least as large in everything.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

import psycopg

from include.registry.database import RegistryRefused, certain, column, execute, in_transaction, row, rows, value
from include.registry.events import event
from include.registry.kinds import EventKind, ServerKind
from include.registry.plans import Plan
from include.registry.plans import plan as plan_named
from include.registry.servers import Server
from include.registry.servers import server as server_named
from include.registry.states import RequestState

_LOCK = 7_203_101  # any number: who changes the queue or the pool takes turns on it


@dataclass(frozen=True)
class TransitRequest:
    """A migration's place in the queue for a transit. `rank` orders the queue (smaller first)."""

    id: int
    migration: int
    plan: str
    rank: Decimal
    transit: str | None
    state: str
    requested_at: datetime


@dataclass(frozen=True)
class Place:
    """Where a waiting request stands among those of its plan (1 is next), and when a transit is expected to
    be free for it: None when that cannot be told, for instance because every fitting transit is paused."""

    place: int
    of: int
    estimate: datetime | None


@dataclass(frozen=True)
class Wanted:
    """A waiting request, as matching needs it."""

    id: int
    migration: int
    server: str
    customer: str | None
    plan: str
    larger_transit: bool
    size: tuple[int, int, int]
    site: str | None


@dataclass(frozen=True)
class Offered:
    """A transit, as matching needs it; `at` is when it is free."""

    name: str
    plan: str
    reserved_for: str | None
    size: tuple[int, int, int]
    at: datetime
    site: str | None


@dataclass(frozen=True)
class Queued:
    """A waiting migration, whose server it is, and its place."""

    migration: int
    server: str
    customer: str | None
    plan: str
    place: Place


_REQUEST = "SELECT id, migration, plan, rank, transit, state, requested_at FROM transit_requests"


def fits(wanted: Wanted, offered: Offered) -> bool:
    """Whether the request may have this transit, now or later."""
    if offered.site != wanted.site or offered.reserved_for not in (None, wanted.customer):
        return False
    if offered.plan == wanted.plan:
        return True
    return wanted.larger_transit and all(has >= needs for has, needs in zip(offered.size, wanted.size, strict=True))


def best(wanted: Wanted, offers: Iterable[Offered]) -> Offered | None:
    """The transit that the request takes: the earliest free one, by preference as the module says."""
    return min(
        (offered for offered in offers if fits(wanted, offered)),
        key=lambda o: (o.at, o.reserved_for is None, o.plan != wanted.plan, o.size, o.name),
        default=None,
    )


def lock(conn: psycopg.Connection) -> None:
    """Take the turn; held until the transaction ends. Taken before any row of migrations or servers."""
    execute(conn, "SELECT pg_advisory_xact_lock(%(lock)s)", {"lock": _LOCK})


def enqueue(conn: psycopg.Connection, migration_id: int, plan: str) -> None:
    """Add a waiting request behind all others."""
    execute(
        conn,
        """
        INSERT INTO transit_requests (migration, plan, rank, state)
        SELECT %(migration)s, %(plan)s, coalesce(max(rank), 0) + 1, 'waiting' FROM transit_requests
        """,
        {"migration": migration_id, "plan": plan},
    )


@in_transaction
def request_of(conn: psycopg.Connection, migration_id: int) -> TransitRequest | None:
    """The migration's request, whatever became of it; None when it never asked."""
    return row(
        conn,
        TransitRequest,
        f"{_REQUEST} WHERE migration = %(migration)s ORDER BY id DESC LIMIT 1",
        {"migration": migration_id},
    )


@in_transaction
def waiting(conn: psycopg.Connection, plan: str | None = None) -> list[TransitRequest]:
    """The queue, first one first; of one plan or all."""
    return rows(
        conn,
        TransitRequest,
        f"{_REQUEST} WHERE state = 'waiting' AND (%(plan)s::text IS NULL OR plan = %(plan)s) ORDER BY rank, id",
        {"plan": plan},
    )


def any_free(conn: psycopg.Connection) -> bool:
    """Whether a look at the whole queue can be worth it."""
    free: bool = value(
        conn,
        """
        SELECT EXISTS (
            SELECT FROM pool WHERE state = 'free' AND paused_because IS NULL
        )
        """,
    )
    return free


def _wanted(conn: psycopg.Connection) -> list[Wanted]:
    return rows(
        conn,
        Wanted,
        """
        SELECT r.id, r.migration, s.name AS server, s.customer, r.plan, p.larger_transit,
            ARRAY[p.cpus, p.memory_bytes, p.disk_bytes] AS size, s.site
        FROM transit_requests r
            JOIN migrations m ON m.id = r.migration
            JOIN servers s ON s.name = m.server
            JOIN plans p ON p.name = r.plan
        WHERE r.state = 'waiting' ORDER BY r.rank, r.id
        """,
    )


def serve(conn: psycopg.Connection) -> None:
    """Give every free transit to the first request that it fits. The caller holds the lock."""
    offers = rows(
        conn,
        Offered,
        """
        SELECT s.name, s.plan, s.reserved_for, ARRAY[p.cpus, p.memory_bytes, p.disk_bytes] AS size,
            now() AS at, s.site
        FROM pool s JOIN plans p ON p.name = s.plan
        WHERE s.state = 'free' AND s.paused_because IS NULL
        FOR UPDATE OF s
        """,
    )
    for wanted in _wanted(conn):
        if not offers:
            return
        taken = best(wanted, offers)
        if taken is None:
            continue
        offers.remove(taken)
        _assign(conn, wanted, taken.name)


def _assign(conn: psycopg.Connection, wanted: Wanted, transit: str) -> None:
    params = {"request": wanted.id, "migration": wanted.migration, "transit": transit}
    execute(conn, "UPDATE servers SET state = 'assigned' WHERE name = %(transit)s", params)
    execute(
        conn,
        "UPDATE transit_requests SET state = 'assigned', transit = %(transit)s WHERE id = %(request)s",
        params,
    )
    execute(
        conn,
        """
        UPDATE migrations SET transit = %(transit)s, state = 'installing_transit' WHERE id = %(migration)s
        """,
        params,
    )
    event(
        conn,
        EventKind.MIGRATION_INSTALLING_TRANSIT,
        migration=wanted.migration,
        server=wanted.server,
        detail={"transit": transit},
    )


def refuse_never_servable(conn: psycopg.Connection, server: Server) -> None:
    """Refuse when the pool has no transit that could serve the server's plan in its site, were it free."""
    servable = value(
        conn,
        """
        SELECT EXISTS (
            SELECT FROM pool t JOIN plans o ON o.name = t.plan, plans w
            WHERE w.name = %(plan)s AND t.site IS NOT DISTINCT FROM %(site)s AND (o.name = w.name OR w.larger_transit
                AND o.cpus >= w.cpus AND o.memory_bytes >= w.memory_bytes AND o.disk_bytes >= w.disk_bytes)
        )
        """,
        {"plan": server.plan, "site": server.site},
    )
    if not servable:
        raise RegistryRefused(
            f"The pool has no transit{server.in_site} that fits plan {server.plan}: add one, or allow larger ones for"
            " this plan."
        )


@in_transaction
def places(conn: psycopg.Connection) -> list[Queued]:
    """The whole queue, first one first, each with its place and an estimate from the leases' expected ends. Who has
    none yet is expected to keep a transit for its free days; a lease that is overdue counts as a day more. Three
    queries, however long the queue is."""
    queue = _wanted(conn)
    keeps = timedelta(days=value(conn, "SELECT billing_free_days()"))
    offers = rows(
        conn,
        Offered,
        """
        SELECT s.name, s.plan, s.reserved_for, ARRAY[p.cpus, p.memory_bytes, p.disk_bytes] AS size,
            CASE
            WHEN s.state = 'free' THEN now()
            WHEN s.state = 'assigned' THEN s.state_since + %(keeps)s
            WHEN l.last_account_left_at IS NOT NULL OR s.state = 'wiped' THEN now() + interval '1 hour'
            ELSE greatest(l.expected_end_at, now() + interval '1 day')
            END AS at,
            s.site
        FROM pool s JOIN plans p ON p.name = s.plan
            LEFT JOIN leases l ON l.transit = s.name AND l.ended_at IS NULL
        WHERE s.paused_because IS NULL
        """,
        {"keeps": keeps},
    )
    all_of = Counter(wanted.plan for wanted in queue)
    so_far: Counter[str] = Counter()
    queued = []
    for wanted, estimate in zip(queue, estimates(queue, offers, keeps), strict=True):
        so_far[wanted.plan] += 1
        place = Place(so_far[wanted.plan], all_of[wanted.plan], estimate)
        queued.append(Queued(wanted.migration, wanted.server, wanted.customer, wanted.plan, place))
    return queued


def place_in_queue(conn: psycopg.Connection, migration_id: int) -> Place | None:
    """The place of a waiting migration, as `places` tells it; None when it does not wait."""
    return next((queued.place for queued in places(conn) if queued.migration == migration_id), None)


def estimates(queue: list[Wanted], offers: list[Offered], keeps: timedelta) -> list[datetime | None]:
    """Play the queue: each takes its best transit in turn and keeps it so long. When each gets one; None for whom no
    transit fits."""
    offers = list(offers)
    expected: list[datetime | None] = []
    for wanted in queue:
        taken = best(wanted, offers)
        expected.append(None if taken is None else taken.at)
        if taken is not None:
            offers[offers.index(taken)] = replace(taken, at=taken.at + keeps)
    return expected


@in_transaction
def move_up(conn: psycopg.Connection, migration_id: int, reason: str, by: str, to_place: int = 1) -> Place:
    """Move a waiting request up in the whole queue, to the front of its plan's `to_place`, with a reason that
    is logged. Moving down is refused: that would be overtaking by everyone else."""
    if not reason.strip():
        raise RegistryRefused("Moving a request up overtakes others: give the reason.")
    lock(conn)
    request = request_of(conn, migration_id)
    if request is None or request.state != RequestState.WAITING:
        raise RegistryRefused(f"Migration {migration_id} does not wait for a transit: there is nothing to move up.")
    of_plan = waiting(conn, request.plan)
    now_at = [other.id for other in of_plan].index(request.id) + 1
    if not 1 <= to_place <= now_at:
        raise RegistryRefused(f"Migration {migration_id} has place {now_at}: give a place from 1 to {now_at}.")
    if to_place < now_at:
        overtaken = of_plan[to_place - 1]
        before = column(
            conn,
            """
            SELECT rank FROM transit_requests WHERE state = 'waiting' AND rank < %(rank)s
            ORDER BY rank DESC LIMIT 1
            """,
            {"rank": overtaken.rank},
        )
        rank = (before[0] + overtaken.rank) / 2 if before else overtaken.rank - 1
        execute(
            conn,
            "UPDATE transit_requests SET rank = %(rank)s WHERE id = %(id)s",
            {"rank": rank, "id": request.id},
        )
        event(
            conn,
            EventKind.QUEUE_MOVED_UP,
            migration=migration_id,
            by=by,
            detail={"reason": reason, "from": now_at, "to": to_place},
        )
    return certain(place_in_queue(conn, migration_id))


@in_transaction
def reserve_transit(conn: psycopg.Connection, name: str, customer: str | None, by: str) -> Server:
    """Keep a transit for one customer's requests; None offers it to everyone again."""
    lock(conn)
    if server_named(conn, name).kind != ServerKind.TRANSIT:
        raise RegistryRefused(f"Server {name} is not a transit: give the name of a transit.")
    changed = execute(
        conn,
        "UPDATE servers SET reserved_for = %(to)s WHERE name = %(name)s AND reserved_for IS DISTINCT FROM %(to)s",
        {"name": name, "to": customer},
    )
    if changed:
        event(conn, EventKind.TRANSIT_RESERVED, server=name, by=by, detail={"reserved_for": customer})
    return server_named(conn, name)


@in_transaction
def allow_larger_transit(conn: psycopg.Connection, plan: str, allowed: bool, by: str) -> Plan:
    """Whether requests for a plan may take a larger transit, at no cost for the customer."""
    lock(conn)
    plan_named(conn, plan)
    changed = execute(
        conn,
        """
        UPDATE plans SET larger_transit = %(allowed)s WHERE name = %(plan)s AND larger_transit <> %(allowed)s
        """,
        {"plan": plan, "allowed": allowed},
    )
    if changed:
        event(conn, EventKind.PLAN_LARGER_TRANSIT, by=by, detail={"plan": plan, "allowed": allowed})
    return plan_named(conn, plan)
