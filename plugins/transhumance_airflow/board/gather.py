"""What the board shows, asked of the registry and of Airflow: a fixed number of queries, however many servers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from include import registry
from include.registry.kinds import EventKind
from include.registry.queries import board, board_server
from transhumance_airflow import connections
from transhumance_airflow.board import runs

PAGE = 25
"""Servers on one page of the list."""

FRESH_SECONDS = 1.0
"""For so long everybody who looks is shown the same answer: many viewers cost the database what one costs."""


@dataclass(frozen=True)
class Glance:
    """The front page, but for the list of servers, which is each viewer's own."""

    now: datetime
    last_event: int
    under_way: list[board.UnderWay]
    finishing: list[board.Finished]
    transits: list[board.PoolTransit]
    moving: list[board.Moving]
    queue: list[registry.Queued]
    states: dict[str, int]
    charges: list[board.Due]
    campaigns: list[board.RunningCampaign]
    events: list[registry.Event]
    troubles: list[runs.Trouble]
    approvals: list[runs.Approval]


def glance(conn: psycopg.Connection) -> Glance:
    """Asks for everything of the front page, at one moment of the registry."""
    with at_one_moment(conn):
        under_way, moving = board.under_way(conn), board.moving(conn)
        found: dict[str, Any] = {
            "now": board.now(conn),
            "last_event": board.last_event(conn),
            "under_way": under_way,
            "finishing": board.finishing(conn),
            "transits": board.pool(conn),
            "moving": moving,
            "queue": registry.places(conn),
            "states": board.states(conn),
            "charges": board.charges_today(conn),
            "campaigns": board.campaigns(conn),
            "events": board.latest_events(conn),
        }
    run_ids = [each.run_id for each in (*under_way, *moving, *found["campaigns"], *found["finishing"])]
    return Glance(**found, troubles=runs.troubles(run_ids), approvals=runs.approvals(run_ids))


@contextmanager
def at_one_moment(conn: psycopg.Connection) -> Iterator[None]:
    """What is asked inside is true together. Compiling these queries would take longer than running them."""
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        conn.execute("SET LOCAL jit = off")
        yield


class Shared:
    """A value that is made at most once in `FRESH_SECONDS`, for every thread that asks."""

    def __init__(self, make) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._value = None
        self._made = float("-inf")

    def get(self):
        """The value; made now when the last one is too old."""
        with self._lock:
            if time.monotonic() - self._made > FRESH_SECONDS:
                self._value = self._make()
                self._made = time.monotonic()
            return self._value

    def forget(self) -> None:
        """The next who asks gets a new one: something was just changed."""
        self._made = float("-inf")


def _glance() -> Glance:
    with connections.registry_connection() as conn:
        return glance(conn)


def _last_event() -> int:
    with connections.registry_connection() as conn:
        return board.last_event(conn)


shared_glance = Shared(_glance)
shared_last_event = Shared(_last_event)


def servers(state: str | None, text: str | None, page: int) -> list[board.Listed]:
    """One page of the list of servers."""
    with connections.registry_connection() as conn, at_one_moment(conn):
        return board.listed(conn, state, text, page, PAGE)


@dataclass(frozen=True)
class ServerPage:
    """Everything of one server's page."""

    now: datetime
    last_event: int
    server: registry.Server
    migration: board_server.ServersMigration | None
    place: registry.Place | None
    unclaimed: list[registry.Unclaimed]
    accounts: list[board_server.Lived]
    ips: list[registry.Ip]
    moves: list[registry.Move]
    events: list[registry.Event]
    troubles: list[runs.Trouble]
    approvals: list[runs.Approval]


EVENTS: list[str] = [
    EventKind.MOVE_BEGAN,
    EventKind.MOVE_COPYING,
    EventKind.MOVE_SWITCHING,
    EventKind.MOVE_COMMITTED,
    EventKind.MOVE_DONE,
    EventKind.MOVE_RETURNED,
    EventKind.PROBE_WAIT,
    EventKind.PROBE_GAP,
    EventKind.REPORT_WRITTEN,
]
"""The kinds of events that a server's page is made of."""


def server_page(name: str) -> ServerPage:
    """Asks for one server; refuses an unknown name."""
    with connections.registry_connection() as conn, at_one_moment(conn):
        server = registry.server(conn, name)
        migration = board_server.newest_migration(conn, name)
        id = migration.id if migration else None
        queue = {queued.migration: queued.place for queued in registry.places(conn)} if migration else {}
        page: dict[str, Any] = {
            "now": board.now(conn),
            "last_event": board.last_event(conn),
            "server": server,
            "migration": migration,
            "place": None if id is None else queue.get(id),
            "unclaimed": registry.unclaimed_of(conn, name),
            "accounts": board_server.lived(conn, name),
            "ips": registry.ips_of(conn, migration.server if migration else name),
            "moves": board_server.moves_on(conn, name, id),
        }
        page["events"] = board_server.told(conn, id, [move.id for move in page["moves"]], EVENTS)
    run_ids = [*([migration.run_id] if migration else []), *(move.run_id for move in page["moves"])]
    return ServerPage(**page, troubles=runs.troubles(run_ids), approvals=runs.approvals(run_ids))
