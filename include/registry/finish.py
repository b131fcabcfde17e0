"""The end of a shared server whose accounts have all left: it is emptied for good, then installed anew or wiped."""

from dataclasses import dataclass
from typing import Any

import psycopg

from include.registry import choice
from include.registry.database import RegistryRefused, column, execute, in_transaction, names, value
from include.registry.events import event
from include.registry.kinds import EventKind, ServerKind
from include.registry.servers import Server, server
from include.registry.states import ServerState


@dataclass(frozen=True)
class Finishing:
    """What a run has done of it: what is begun has erased the server, or is about to."""

    begun: bool
    proven_empty: bool
    ended: bool


@in_transaction
def may_finish(conn: psycopg.Connection, name: str, run_id: str) -> Server:
    """Refuses unless everybody has left this shared server, for good, and nobody is on the way; or this run has begun
    to finish it."""
    record = server(conn, name)
    if record.kind != ServerKind.SHARED:
        raise RegistryRefused(
            f"Server {name} is a {record.kind} server: only a shared one is finished. A customer's own is migrated."
        )
    if finishing(conn, name, run_id).begun:
        return record
    if record.state != ServerState.SERVING:
        raise RegistryRefused(f"Server {name} is {record.state}: another run finishes it, or has.")
    if living := column(conn, "SELECT who_is_on(%(server)s)", {"server": name}):
        raise RegistryRefused(
            f"Server {name} is not finished, because accounts live on it ({names(living)}): move them."
        )
    moving = column(
        conn,
        "SELECT account FROM live_moves WHERE %(server)s IN (from_server, to_server) ORDER BY account",
        {"server": name},
    )
    if moving:
        raise RegistryRefused(f"Server {name} takes part in moves ({names(moving)}): wait until they have ended.")
    return record


@in_transaction
def leads_to(conn: psycopg.Connection, name: str) -> list[str]:
    """The names in the host's DNS that still lead to one of the server's IPs."""
    return column(
        conn,
        """
        SELECT DISTINCT fqdn FROM names n JOIN ips i ON i.address = n.points_at WHERE i.home_server = %(server)s
        ORDER BY fqdn
        """,
        {"server": name},
    )


@in_transaction
def ask_finish(conn: psycopg.Connection, name: str, run_id: str, because: str, by: str) -> None:
    """Record that the server may be finished and a person is asked, so that ops see what waits for them."""
    event(conn, EventKind.SERVER_FINISH_ASKED, server=name, by=by, detail={"run_id": run_id, "because": because})


@in_transaction
def begin_finish(conn: psycopg.Connection, name: str, run_id: str, by: str, detail: dict[str, Any]) -> None:
    """Record that the server is erased now, and why; from here on no account can come to it. Can be repeated."""
    choice.lock(conn)  # nobody is sent there at this moment
    if finishing(conn, name, run_id).begun:
        return
    may_finish(conn, name, run_id)
    execute(conn, "UPDATE servers SET state = 'reinstalling' WHERE name = %(name)s", {"name": name})
    event(conn, EventKind.SERVER_FINISHING, server=name, by=by, detail={"run_id": run_id, **detail})


@in_transaction
def server_proven_empty(conn: psycopg.Connection, name: str, run_id: str) -> None:
    """Record that the server itself, while it was being finished, called itself empty."""
    event(conn, EventKind.SERVER_PROVEN_EMPTY, server=name, detail={"run_id": run_id})


@in_transaction
def end_finish(conn: psycopg.Connection, name: str, run_id: str, state: ServerState) -> None:
    """Record that the server is in service again (`serving`), or given up (`wiped`). Can be repeated."""
    if finishing(conn, name, run_id).ended:
        return
    execute(conn, "UPDATE servers SET state = %(state)s WHERE name = %(name)s", {"name": name, "state": state})
    event(conn, EventKind.SERVER_FINISHED, server=name, detail={"run_id": run_id, "state": state})


@in_transaction
def finishing(conn: psycopg.Connection, name: str, run_id: str) -> Finishing:
    """How far this run is."""
    kinds = column(
        conn,
        "SELECT kind FROM events WHERE server = %(server)s AND detail ->> 'run_id' = %(run)s",
        {"server": name, "run": run_id},
    )
    return Finishing(
        EventKind.SERVER_FINISHING in kinds,
        EventKind.SERVER_PROVEN_EMPTY in kinds,
        EventKind.SERVER_FINISHED in kinds,
    )


@in_transaction
def finish_approved_by(conn: psycopg.Connection, name: str, run_id: str) -> str | None:
    """Who agreed to it; None before."""
    person: str | None = value(
        conn,
        """
        SELECT by FROM events WHERE server = %(server)s AND kind = %(kind)s AND detail ->> 'run_id' = %(run)s LIMIT 1
        """,
        {"server": name, "kind": EventKind.SERVER_FINISH_APPROVED, "run": run_id},
    )
    return person
