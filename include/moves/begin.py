"""A move begins: whether it may, then its turn."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from include import catalogue, registry
from include.facts import MoveAsked, MoveFacts, MoveOverAsked
from include.hosts import Host
from include.moves import channel, servers

REFUSE, WAIT = "refuse", "wait"
"""What a move does while another account of its server moves."""


def check_move(
    conn: psycopg.Connection, asked: MoveAsked, if_another_moves: str, reach: Callable[[str], Host]
) -> MoveAsked:
    """Refused when anything is known against the move, and where it is not to wait (REFUSE) when another is under way;
    then it begins, else nothing does."""
    servers.make_known(conn, asked.account, asked.to_server, reach)
    channel.may_begin(conn, asked.account, asked.run_id, lambda: _begin_move(conn, asked), reach)
    if if_another_moves == REFUSE:
        _begin_move(conn, asked)
    return asked


def begin_move(conn: psycopg.Connection, asked: MoveAsked) -> MoveFacts | None:
    """Begins the move as soon as no other account of its server moves; None until then."""
    try:
        return MoveFacts.of(_begin_move(conn, asked), asked.longest_wait_seconds)
    except registry.Busy:
        return None


def _begin_move(conn: psycopg.Connection, asked: MoveAsked) -> registry.Move:
    return registry.begin_move(conn, asked.account, asked.to_server, asked.run_id, asked.requested_by)


def check_over(conn: psycopg.Connection, asked: MoveOverAsked, reach: Callable[[str], Host]) -> MoveOverAsked:
    """Refused when anything is known against the move, by the catalogue as its files say it; nothing begins."""
    catalogue.take_over(conn)
    channel.may_begin(conn, asked.account, asked.run_id, lambda: _begin_over(conn, asked), reach)
    return asked


def begin_over(conn: psycopg.Connection, asked: MoveOverAsked) -> MoveFacts | None:
    """Begins the move as soon as both servers have a turn for it, to the server that is chosen then; None until
    then."""
    try:
        return MoveFacts.of(_begin_over(conn, asked), asked.longest_wait_seconds)
    except registry.Busy:
        return None


def _begin_over(conn: psycopg.Connection, asked: MoveOverAsked) -> registry.Move:
    return registry.begin_over(
        conn,
        asked.account,
        asked.entry,
        asked.run_id,
        asked.requested_by,
        asked.to_server,
        asked.lift_gate_because,
    )
