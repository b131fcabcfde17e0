"""`migrate_account` as a whole: an account moves over, to a server of the new version."""

from __future__ import annotations

from typing import Any

from tests.dags.account_tests import ENTRY, whole
from tests.dags.steps import operation, step
from transhumance_airflow import conditions, connections


def have_tested(dags: dict[str, Any], account: str = "shop", entry: str = ENTRY) -> None:
    whole(dags["test_account"], account, entry, f"test-{account}-{entry}")


def begin(dag: Any, account: str = "shop", run_id: str = "perform-1", entry: str = ENTRY, **more: Any) -> Any:
    """Up to its turn; None while it has to wait."""
    params = {"account": account, "entry": entry, "to_server": None, "longest_wait_seconds": 1}
    params |= {"lift_gate_because": None, "requested_by": "the customer", **more}
    asked = step(dag, "check_account", params=params, run_id=run_id)
    with connections.registry_connection() as conn:
        return conditions.ask(conn, dag.task_dict["wait_for_turn"].condition, asked)


def move(dag: Any, begun: dict[str, Any]) -> None:
    """From its turn to the end."""
    step(dag, "list_names", move=begun)
    before = step(dag, "look_before", move=begun)
    peer = step(dag, "open_path", move=begun)
    copied, switched = (operation(dag, verb, begun, peer) for verb in ("copy", "switch"))
    step(dag, "record_move", move=begun, switched=switched, copied=copied)
    step(dag, "point_names", move=begun)
    step(dag, "look_after", move=begun, before=before)
    assert step(dag, "close_path", move=begun) == "done"
