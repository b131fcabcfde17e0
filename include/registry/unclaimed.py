"""What lives on a server and is no account's, as it was seen last, and which of it somebody has signed for."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import psycopg

from include.registry.database import RegistryRefused, execute, in_transaction, row, rows
from include.registry.events import event
from include.registry.kinds import EventKind
from include.registry.servers import server as server_named

_COLUMNS = "server, kind, name, sentence, first_seen, last_seen, signed_by, reason, signed_at"


@dataclass(frozen=True)
class Unclaimed:
    """Something that lives on a server and is no account's. Once it is signed for it may stay behind, and be lost."""

    server: str
    kind: str
    name: str
    sentence: str
    first_seen: datetime
    last_seen: datetime
    signed_by: str | None
    reason: str | None
    signed_at: datetime | None


@in_transaction
def record_unclaimed(conn: psycopg.Connection, server: str, seen: Iterable[tuple[str, str, str]]) -> list[Unclaimed]:
    """Keep what a look at the whole server has seen: (kind, name, sentence) each. What is gone is gone, with its
    signature; gives what is there."""
    server_named(conn, server)
    sentences = {(kind, name): sentence for kind, name, sentence in seen}
    before = {(each.kind, each.name) for each in unclaimed_of(conn, server)}
    for kind, name in before - {*sentences}:
        execute(
            conn,
            "DELETE FROM unclaimed WHERE server = %(server)s AND kind = %(kind)s AND name = %(name)s",
            {"server": server, "kind": kind, "name": name},
        )
    for (kind, name), sentence in sentences.items():
        execute(
            conn,
            """
            INSERT INTO unclaimed (server, kind, name, sentence) VALUES (%(server)s, %(kind)s, %(name)s, %(sentence)s)
            ON CONFLICT (server, kind, name) DO UPDATE SET sentence = excluded.sentence, last_seen = now()
            """,
            {"server": server, "kind": kind, "name": name, "sentence": sentence},
        )
    if new := {*sentences} - before:
        event(conn, EventKind.UNCLAIMED_FOUND, server=server, detail={"things": len(new)})
    return unclaimed_of(conn, server)


@in_transaction
def unclaimed_of(conn: psycopg.Connection, server: str) -> list[Unclaimed]:
    """What was seen last on a server, what nobody has signed for first."""
    return rows(
        conn,
        Unclaimed,
        f"""
        SELECT {_COLUMNS} FROM unclaimed WHERE server = %(server)s ORDER BY signed_by IS NOT NULL, kind, name
        """,
        {"server": server},
    )


@in_transaction
def sign_unclaimed(conn: psycopg.Connection, server: str, kind: str, name: str, reason: str, by: str) -> Unclaimed:
    """Somebody knows what this is, and answers for it: it may stay behind, and be lost. Can be repeated; who has signed
    first stays. Refused for what was not seen there."""
    server_named(conn, server)
    if not reason.strip():
        raise RegistryRefused("What is signed for may be lost: give the reason.")
    params = {"server": server, "kind": kind, "name": name, "reason": reason, "by": by}
    signed = execute(
        conn,
        """
        UPDATE unclaimed SET signed_by = %(by)s, reason = %(reason)s, signed_at = now()
        WHERE server = %(server)s AND kind = %(kind)s AND name = %(name)s AND signed_by IS NULL
        """,
        params,
    )
    unclaimed = row(
        conn,
        Unclaimed,
        f"SELECT {_COLUMNS} FROM unclaimed WHERE server = %(server)s AND kind = %(kind)s AND name = %(name)s",
        params,
    )
    if unclaimed is None:
        raise RegistryRefused(
            f"Nothing of kind {kind} and name {name} was seen on {server} that is no account's: see what was, and give "
            "its kind and name as they are told there."
        )
    if signed:
        detail = {"kind": kind, "name": name, "reason": reason}
        event(conn, EventKind.UNCLAIMED_SIGNED, server=server, by=by, detail=detail)
    return unclaimed
