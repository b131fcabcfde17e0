"""`test_account` as a whole: what other DAGs ask for before they move an account."""

from __future__ import annotations

from typing import Any

from tests.dags.steps import step
from transhumance_airflow import failures
from transhumance_airflow.operators import agent

ENTRY = "infrastructure-2026"


def begin(dag: Any, account: str = "shop", entry: str = ENTRY, run_id: str = "test-1") -> dict[str, Any]:
    params = {"account": account, "entry": entry, "requested_by": "the customer"}
    asked = step(dag, "check_account", params=params, run_id=run_id)
    return step(dag, "replace_old_test", asked=asked, params=params, run_id=run_id)


def operation(dag: Any, task_id: str, test: dict[str, Any], peer: Any = None) -> Any:
    """Runs one agent operation of the DAG, with what its templates would have become."""
    task = dag.task_dict[task_id]
    return agent.CopyOperation(task_id=task_id, verb=task.verb, on=task.on, test=test, peer=peer).execute({})


def opened(dag: Any, test: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Up to the test names; gives what was duplicated, and the names."""
    duplicated = operation(dag, "duplicate", test, step(dag, "open_path", test=test))
    named = step(dag, "open_test", test=test)
    step(dag, "name_test", test=test, named=named)
    return duplicated, named


def reported(dag: Any, test: dict[str, Any], duplicated: dict[str, Any], named: dict[str, str]) -> dict[str, Any]:
    """From the looks to the report."""
    return step(
        dag,
        "write_report",
        test=test,
        duplicated=duplicated,
        original=operation(dag, "check_original", test),
        copy=operation(dag, "check_copy", test),
        pages=step(dag, "look_at_pages", test=test, named=named),
    )


def whole(dag: Any, account: str = "shop", entry: str = ENTRY, run_id: str = "test-1") -> dict[str, Any]:
    """A whole run; gives its result."""
    test = begin(dag, account, entry, run_id)
    result = reported(dag, test, *opened(dag, test))
    assert step(dag, "close_path", test=test) == "ready"
    return step(dag, "tell_result", result=result)


def tell(dag: Any, task_id: str, run_id: str, account: str, error: BaseException) -> None:
    """What Airflow does when a task has failed for good."""
    instance = type("Instance", (), {"dag_id": dag.dag_id, "run_id": run_id, "task_id": task_id, "try_number": 1})()
    params = {"account": account, "requested_by": "the customer"}
    failures.tell_failure({"ti": instance, "params": params, "exception": error})
