"""The steps that every move has, whichever DAG began it: `move_account` and `migrate_account` share them."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from airflow.sdk import Param

from include import registry
from include.agent.verbs.reports import Copied, Switched
from include.facts import MoveFacts, Peer
from include.moves import channel, hooks, names
from include.moves import look as looks
from transhumance_airflow import connections
from transhumance_airflow.look import look
from transhumance_airflow.operators.agent import MoveOperation
from transhumance_airflow.step import Registry, log_sentences, step

HOLD_SECONDS = 60
"""After this long without a commit the server itself returns the account to service."""


class Steps(NamedTuple):
    """Those that a DAG may want to put something before or after."""

    open_path: Any
    switch: Any
    record_move: Any


def longest_wait() -> Param:
    """The wait that the customer agrees to."""
    return Param(
        1,
        type="number",
        minimum=0.1,
        maximum=60,
        title="Longest wait",
        description="How many seconds a visitor may have to wait while the account is switched over. A rehearsal "
        "measures it first: if it would be longer, the account stays where it is, and you are told why.",
    )


def move_steps(move: Any) -> Steps:
    """From the look before to the end of the path; `move` is what the DAG's `wait_for_turn` gives.

    look_before, and run_hook_before, open_path, copy, switch, record_move; then point_names, look_after, run_hook_after
    and close_path side by side.
    """

    @step()
    def look_before(conn: Registry, move: MoveFacts) -> dict[str, Any]:
        """The account as its visitors and customer see it. Kept in the registry, and not taken again after the
        commit."""
        return looks.before(conn, move, look)

    @step(refusal_is_final=True)
    def run_hook_before(conn: Registry, move: MoveFacts) -> list[str]:
        """The host's own programs on both servers may refuse the move, with a line; gives on which there is one."""
        return hooks.before_move(conn, move, connections.reach(conn))

    @step()
    def open_path(conn: Registry, move: MoveFacts) -> Peer:
        """Pairs the two servers; the target is ready to receive."""
        return channel.open_channel(conn, move, connections.reach(conn))

    @step(refusal_is_final=True)
    def record_move(
        conn: Registry, move: MoveFacts, switched: Switched | None, copied: Copied | None
    ) -> Switched | None:
        """The registry learns in one transaction where the account lives, and what was verified. The server that it
        left is asked first."""
        return channel.record(conn, move, switched, copied, connections.host(move.from_server, conn))

    @step()
    def point_names(conn: Registry, move: MoveFacts) -> list[str]:
        """The account's names lead to where it lives now; gives what its customer is told of those that do not."""
        home = registry.account(conn, move.account).home_server
        return log_sentences(names.repoint(conn, connections.names(), home, move.account))

    @step()
    def look_after(conn: Registry, move: MoveFacts, before: dict[str, Any]) -> None:
        """The same look at the account where it lives now; fails with every difference."""
        looks.after(conn, move, before, look)

    @step()
    def run_hook_after(conn: Registry, move: MoveFacts) -> list[str]:
        """The host's own programs on both servers hear that the account has moved; gives what failed of that."""
        return log_sentences(hooks.after_move(conn, move, connections.reach(conn)), logging.WARNING)

    @step()
    def close_path(conn: Registry, move: MoveFacts) -> str:
        """Takes the move's key off both servers. Before the commit the account goes back into service first."""
        return channel.close_channel(conn, move, connections.reach(conn))

    before = look_before(move)
    peer = open_path(move)
    copied = MoveOperation(task_id="copy", verb="copy", move=move, peer=peer)
    switched = MoveOperation(
        task_id="switch", verb="switch", move=move, peer=peer, extra={"hold_seconds": HOLD_SECONDS}, retries=2
    )
    recorded = record_move(move, switched.output, copied.output)
    closed = close_path(move)

    run_hook_before(move) >> peer >> copied
    last = [point_names(move), look_after(move, before), run_hook_after(move), closed]
    [before, copied] >> switched >> recorded >> last
    copied >> closed  # should the look fail while the copy still runs
    # A teardown runs whatever failed between, and is cleared together with any of it: the path opens again.
    # Every end of the graph decides whether the run ended well.
    closed.as_teardown(setups=[move, peer], on_failure_fail_dagrun=True)
    return Steps(peer, switched, recorded)
