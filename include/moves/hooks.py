"""The host's own programs before and after a move, on both of its servers; never inside a hold. See docs/hooks.md."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from include import registry
from include.agent import verbs
from include.agent.verbs import Hook
from include.facts import MoveFacts
from include.hosts import AgentError, Host, HostUnreachable
from include.registry.kinds import EventKind
from include.registry.states import MoveState


def before_move(conn: psycopg.Connection, move: MoveFacts, reach: Callable[[str], Host]) -> list[str]:
    """Asks both servers' hooks whether the account may move: one that refuses ends the move with its line. Gives on
    which servers there is one. Not after the commit, from where a move only goes forward."""
    if registry.move(conn, move.id).state in (MoveState.COMMITTED, MoveState.DONE):
        return []
    return [server for server in _servers(move) if _run(reach(server), "before-move", move)]


def after_move(conn: psycopg.Connection, move: MoveFacts, reach: Callable[[str], Host]) -> list[str]:
    """Tells both servers' hooks that the account has moved. One that fails changes nothing: it is told to ops, by an
    event and in the sentences that are given."""
    failed = []
    for server in _servers(move):
        try:
            _run(reach(server), "after-move", move)
        except (AgentError, HostUnreachable) as error:
            why = error.message if isinstance(error, AgentError) else str(error)
            registry.event(
                conn,
                EventKind.HOOK_FAILED,
                migration=move.migration,
                account=move.account,
                server=server,
                move=move.id,
                detail={"hook": "after-move", "why": why},
            )
            failed.append(f"{server}: {why}")
    return failed


def _servers(move: MoveFacts) -> tuple[str, str]:
    return move.from_server, move.to_server


def _run(host: Host, hook: Hook, move: MoveFacts) -> bool:
    about = verbs.MoveTold(
        account=move.account,
        direction=move.direction,
        source=move.from_server,
        target=move.to_server,
        move=move.key,
        engine=move.engine,
    )
    return host.call(verbs.RunHook(hook=hook, about=about)).ran
