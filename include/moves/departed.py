"""Servers whose disk is older than what happened: from a snapshot or a backup they serve accounts that have left them.

Such a server cannot know it by itself, unless the move is still open (the agent asks the other server at a boot then).
The registry knows: it is told so, and passes on what still comes for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg

from include import registry
from include.agent import verbs
from include.hosts import Host
from include.moves.asking import descriptions
from include.moves.servers import note_missing
from include.registry.kinds import EventKind


def shut_departed(conn: psycopg.Connection, reach: Callable[[str], Host]) -> list[str]:
    """Asks every server whom it serves, and tells those that are wrong about it; gives a sentence on each of these
    accounts, on each that its server has no longer, and on each server that does not answer."""
    hosts = {server.name: reach(server.name) for server in registry.list_servers(conn) if server.host_key is not None}
    described, sentences = descriptions(hosts)
    for name, description in described.items():
        sentences += shut(conn, name, hosts[name], description.accounts)
        sentences += note_missing(conn, name, description)
    return sentences


def shut(conn: psycopg.Connection, server: str, host: Host, described: list[dict[str, Any]]) -> list[str]:
    """Tells the server which of the accounts that it serves have left it; gives a sentence on each."""
    sentences = []
    for entry in described:
        move = _left_with(conn, server, entry)
        if move is None:
            continue
        lives_on = registry.account(conn, move.account).server
        to = str(registry.server(conn, lives_on).management_address)
        host.call(verbs.Left(account=move.login, move=move.key, epoch=move.epoch, to=to))
        detail = {"lives_on": lives_on, "epoch_there": entry["epoch"], "epoch": move.epoch}
        registry.event(conn, EventKind.ACCOUNT_SHUT, account=move.account, server=server, move=move.id, detail=detail)
        sentences.append(
            f"{server} served {move.account}, which has lived on {lives_on} since it moved: its disk is that of a "
            "snapshot or a backup. The account is shut there now; look whether anybody wrote to it meanwhile."
        )
    return sentences


def _left_with(conn: psycopg.Connection, server: str, entry: dict[str, Any]) -> registry.Move | None:
    """The move by which an account has left the server that says it serves it; None when there is none."""
    if entry["state"] not in ("serving", "held"):
        return None
    recorded = registry.called(conn, entry["account"], server)
    if recorded is None or recorded.server == server:
        return None  # created there since the registry last heard of that server, or at home
    moves = registry.moves_of_account(conn, recorded.name)
    left = [
        move for move in moves if move.from_server == server and move.engine is None and move.committed_at is not None
    ]
    # What came back by a later move than the registry has recorded has a later epoch.
    return left[-1] if left and entry["epoch"] <= left[-1].epoch else None
