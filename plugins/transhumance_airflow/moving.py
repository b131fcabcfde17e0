"""The steps that every move has, whichever DAG began it: `move_account` and `migrate_account` share them."""

from __future__ import annotations

from typing import Any, NamedTuple

from airflow.sdk import Param

from include import registry
from include.moves import channel, names
from include.moves import look as looks
from transhumance_airflow import connections
from transhumance_airflow.facts import told
from transhumance_airflow.look import look
from transhumance_airflow.operators import MoveOperation, refusing
from transhumance_airflow.taskflow import task

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
    """From the look before to the end of the path; `move` is what the DAG's `check_account` gives.

    look_before and open_path, copy, switch, record_move, then point_names, look_after and close_path side by side.
    """

    @task(multiple_outputs=False)
    def look_before(move: dict[str, Any]) -> dict[str, Any]:
        """The account as its visitors and customer see it. Kept in the registry, and not taken again after the
        commit."""
        with connections.registry_connection() as conn:
            return looks.before(conn, move, look)

    @task(multiple_outputs=False)
    def open_path(move: dict[str, Any]) -> dict[str, Any]:
        """Pairs the two servers; the target is ready to receive."""
        with connections.registry_connection() as conn:
            both = registry.server(conn, move["from_server"]), registry.server(conn, move["to_server"])
            source, target = (connections.host(server.name, conn) for server in both)
            return channel.open_channel(move, source, target, both, registry.account(conn, move["account"]).stated)

    @task(multiple_outputs=False)
    def record_move(
        move: dict[str, Any], switched: dict[str, Any] | None, copied: dict[str, Any]
    ) -> dict[str, Any] | None:
        """The registry learns in one transaction where the account lives, and what was verified. The server that it
        left is asked first."""
        figures = {"copy": copied, "longest_wait_seconds": move["longest_wait_seconds"]}
        with connections.registry_connection() as conn, refusing():
            return channel.record(conn, move, connections.host(move["from_server"], conn), switched, figures)

    @task
    def point_names(move: dict[str, Any]) -> list[str]:
        """The account's names lead to where it lives now; gives what its customer is told of those that do not."""
        with connections.registry_connection() as conn:
            home = registry.account(conn, move["account"]).home_server
            return told(names.repoint(conn, connections.names(), home, move["account"]))

    @task(multiple_outputs=False)
    def look_after(move: dict[str, Any], before: dict[str, Any]) -> None:
        """The same look at the account where it lives now; fails with every difference."""
        with connections.registry_connection() as conn:
            looks.after(conn, move, before, look)

    @task(multiple_outputs=False)
    def close_path(move: dict[str, Any]) -> str:
        """Takes the move's key off both servers. Before the commit the account goes back into service first."""
        with connections.registry_connection() as conn:
            source, target = (connections.host(move[end], conn) for end in ("from_server", "to_server"))
            return channel.close_channel(conn, move, source, target)

    before = look_before(move)
    peer = open_path(move)
    copied = MoveOperation(task_id="copy", verb="copy", move=move, peer=peer)
    switched = MoveOperation(
        task_id="switch", verb="switch", move=move, peer=peer, extra={"hold_seconds": HOLD_SECONDS}, retries=2
    )
    recorded = record_move(move, switched.output, copied.output)
    closed = close_path(move)

    peer >> copied
    [before, copied] >> switched >> recorded >> [point_names(move), look_after(move, before), closed]
    copied >> closed  # should the look fail while the copy still runs
    # A teardown runs whatever failed between, and is cleared together with any of it: the path opens again.
    # Every end of the graph decides whether the run ended well.
    closed.as_teardown(setups=[move, peer], on_failure_fail_dagrun=True)
    return Steps(peer, switched, recorded)
