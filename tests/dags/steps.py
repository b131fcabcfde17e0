"""The steps of the DAGs, run on a host in memory with a real registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from transhumance_airflow import conditions, connections, moving
from transhumance_airflow.operators.agent import MoveOperation

PARAMS = {
    "server": "vps-1",
    "entry": "infrastructure-2026",
    "lift_gate_because": "a test of the path",
    "requested_by": "ops",
}
MOVE = [
    "check_account",
    "wait_for_turn",
    "look_before",
    "run_hook_before",
    "open_path",
    "copy",
    "switch",
    "record_move",
    "point_names",
    "look_after",
    "run_hook_after",
    "close_path",
]
"""The tasks of `move_account`, in order."""


def stand_in_for_look(monkeypatch: pytest.MonkeyPatch, look: Callable[[str, str], dict[str, Any]]) -> None:
    """Takes the place of the look from outside that a move takes: (account, address) -> what is seen."""
    monkeypatch.setattr(moving, "look", look)


def step(dag: Any, task_id: str, **arguments: Any) -> Any:
    """Runs the function of one task."""
    return dag.task_dict[task_id].python_callable(**arguments)


def operation(dag: Any, task_id: str, move: dict[str, Any], peer: dict[str, Any]) -> Any:
    """Runs one agent operation of the DAG, with what its templates would have become."""
    task = dag.task_dict[task_id]
    fresh = MoveOperation(task_id=task_id, verb=task.verb, move=move, peer=peer, extra=task.extra, timeout=task.timeout)
    return fresh.execute({})


def begin(
    dag: Any,
    account: str = "app",
    to_server: str = "transit-1",
    run_id: str = "perform-1",
    longest_wait_seconds: float = 1,
    if_another_moves: str = "refuse",
) -> dict[str, Any]:
    params: dict[str, Any] = {"account": account, "to_server": to_server, "requested_by": "acme"}
    params |= {"longest_wait_seconds": longest_wait_seconds, "if_another_moves": if_another_moves}
    asked = step(dag, "check_account", params=params, run_id=run_id)
    with connections.registry_connection() as conn:
        return conditions.ask(conn, dag.task_dict["wait_for_turn"].condition, asked)


def move(dags: dict[str, Any], account: str, to_server: str, run_id: str) -> None:
    """A whole run of `move_account`."""
    dag = dags["move_account"]
    facts_ = begin(dag, account, to_server, run_id)
    before = step(dag, "look_before", move=facts_)
    peer = step(dag, "open_path", move=facts_)
    copied, switched = (operation(dag, verb, facts_, peer) for verb in ("copy", "switch"))
    step(dag, "record_move", move=facts_, switched=switched, copied=copied)
    step(dag, "point_names", move=facts_)
    step(dag, "look_after", move=facts_, before=before)
    step(dag, "close_path", move=facts_)


def up_to_hand_over(dag: Any, conn: psycopg.Connection) -> dict[str, Any]:
    migration = step(dag, "check_server", params=PARAMS, run_id="run-1")
    step(dag, "request_transit", migration=migration)
    assert conditions.ask(conn, "transit_assigned", {"migration": migration["id"]}) == "transit-1"
    step(dag, "install_transit", migration=migration)
    step(dag, "enrol_transit", migration=migration, transit="transit-1")
    step(dag, "hand_over", migration=migration, transit="transit-1")
    return migration


def up_to_rerouted(dag: Any, dags: dict[str, Any], conn: psycopg.Connection) -> dict[str, Any]:
    migration = up_to_hand_over(dag, conn)
    for account in ("blog", "app"):
        move(dags, account, "transit-1", f"perform-{account}")
    step(dag, "look_at_original", migration=migration)
    step(dag, "point_names_at_transit", migration=migration)
    step(dag, "reroute_ips_to_transit", migration=migration, transit="transit-1")
    return migration


def up_to_reinstalled(dag: Any, dags: dict[str, Any], conn: psycopg.Connection) -> dict[str, Any]:
    migration = up_to_rerouted(dag, dags, conn)
    for task_id in ("prove_original_empty", "reinstall_original", "enrol_original"):
        step(dag, task_id, migration=migration)
    return migration
