"""The pool of transits and the queue before it, as ops see and steer them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg

from include import billing, registry
from include.facts import MigrationFacts
from include.registry.kinds import ServerKind


def show(conn: psycopg.Connection) -> str:
    """The pool and the queue as a text: a line for each transit and for each waiting request."""
    lines = ["transit         plan            state         "]
    for transit in registry.list_servers(conn, kind=ServerKind.TRANSIT):
        notes = [f"paused: {transit.paused_because}"] if transit.paused_because else []
        notes += [f"reserved for {transit.reserved_for}"] if transit.reserved_for else []
        mine = registry.migration_of(conn, transit.name)
        notes += [f"for {mine.server} since {transit.state_since:%Y-%m-%d %H:%M %Z}"] if mine else []
        lines.append(f"{transit.name:15} {transit.plan:15} {transit.state:13} {'; '.join(notes)}".rstrip())
    lines += ["", "place  migration  server          plan            asked for at      a transit expected"]
    for request in registry.waiting(conn):
        place = registry.place_in_queue(conn, request.migration)
        if place is None:
            continue  # it was served meanwhile
        when = f"{place.estimate:%Y-%m-%d %H:%M %Z}" if place.estimate else "cannot be told"
        server = registry.migration(conn, request.migration).server
        lines.append(
            f"{place.place:5}  {request.migration:9}  {server:15} {request.plan:15} "
            f"{request.requested_at:%Y-%m-%d %H:%M}  {when}"
        )
    return "\n".join(lines)


def request_transit(conn: psycopg.Connection, migration: MigrationFacts) -> str:
    """Takes a place in the queue for a transit of the same plan; gives the place and when one is expected."""
    billing.ensure_settings(conn)
    registry.request_transit(conn, migration.id)
    place = registry.place_in_queue(conn, migration.id)
    if place is None:
        return "served"
    expected = f"{place.estimate:%Y-%m-%d %H:%M %Z}" if place.estimate else "at a time that cannot be told"
    return f"place {place.place} of {place.of}, a transit is expected {expected}"


def _needs(params: dict[str, Any], *names: str) -> list[Any]:
    missing = [name for name in names if params.get(name) in (None, "")]
    if missing:
        raise registry.RegistryRefused(f"{params['action']} needs {' and '.join(missing)}: fill in the form.")
    return [params[name] for name in names]


def _pause(conn: psycopg.Connection, params: dict[str, Any], by: str) -> None:
    transit, reason = _needs(params, "transit", "reason")
    registry.pause_server(conn, transit, reason, by)


def _resume(conn: psycopg.Connection, params: dict[str, Any], by: str) -> None:
    (transit,) = _needs(params, "transit")
    registry.resume_server(conn, transit, by)


def _reserve(conn: psycopg.Connection, params: dict[str, Any], by: str) -> None:
    (transit,) = _needs(params, "transit")
    registry.reserve_transit(conn, transit, params.get("customer") or None, by)


def _larger(conn: psycopg.Connection, params: dict[str, Any], by: str) -> None:
    (plan,) = _needs(params, "plan")
    registry.allow_larger_transit(conn, plan, bool(params.get("larger")), by)


def _approval(conn: psycopg.Connection, params: dict[str, Any], by: str) -> None:
    (plan,) = _needs(params, "plan")
    registry.ask_before_reinstall(conn, plan, bool(params.get("approval")), by)


def _host_keys(conn: psycopg.Connection, params: dict[str, Any], by: str) -> None:
    (server,) = _needs(params, "server")
    registry.keep_host_keys(conn, server, bool(params.get("keep")), by)


def _move_up(conn: psycopg.Connection, params: dict[str, Any], by: str) -> None:
    migration, reason = _needs(params, "migration", "reason")
    registry.move_up(conn, migration, reason, by)


def _cancel(conn: psycopg.Connection, params: dict[str, Any], by: str) -> None:
    migration, reason = _needs(params, "migration", "reason")
    registry.cancel_migration(conn, migration, reason, by)


ACTIONS: dict[str, Callable[[psycopg.Connection, dict[str, Any], str], None]] = {
    "show_queue": lambda conn, params, by: None,
    "pause_transit": _pause,
    "resume_transit": _resume,
    "reserve_transit": _reserve,
    "allow_larger_transit": _larger,
    "ask_before_reinstall": _approval,
    "keep_host_keys": _host_keys,
    "move_up": _move_up,
    "cancel_migration": _cancel,
}


def act(conn: psycopg.Connection, params: dict[str, Any]) -> None:
    """Does what `params["action"]` says, as `params["requested_by"]`; refuses with one sentence."""
    ACTIONS[params["action"]](conn, params, params["requested_by"])
