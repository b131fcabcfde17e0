"""Why a run failed, told to the registry, so that whoever asks there need not read Airflow's logs.

Airflow's policy (airflow_local_settings) gives these to every DAG and every task.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException

from include import registry
from include.hosts import AgentError, HostUnreachable
from include.network.names import NamesError
from include.network.routes import RouteError
from transhumance_airflow import connections

OURS = (AirflowException, registry.RegistryRefused, AgentError, HostUnreachable, NamesError, RouteError)
"""What these say is written for people; any other message may hold what a customer wrote, or a password."""

TASK_FAILURE = "task_failure"
"""Airflow's reason for a run that failed because a task of it did."""

REASONS = {
    TASK_FAILURE: "It was ended from outside, or its worker died: see its log.",
    "timed_out": "The run took longer than its DAG allows: see what it waited for, then clear it.",
    "all_tasks_deadlocked": "No task of the run can begin any more: clear the first one that did not succeed.",
}
"""What is told for Airflow's reason, where no task could tell its own."""

log = logging.getLogger(__name__)


def tell_failure(context: Context) -> None:
    """A task has failed for good: its sentence. Without an exception it was Airflow that found the task dead."""
    task, error = context["ti"], context.get("exception")
    if error is None:
        why = REASONS[TASK_FAILURE]
    else:
        why = str(error) if isinstance(error, OURS) else f"{type(error).__name__}: see the log of {task.task_id}."
    _tell(task.dag_id, task.run_id, task, why, context["params"])


def tell_run_failed(context: Context) -> None:
    """A run has failed: why, unless the task that failed last has told it. One that is killed tells nothing; and a run
    that takes too long is none of its tasks' failure."""
    reason = str(context.get("reason"))
    why = REASONS.get(reason, f"The run failed ({reason}): see its tasks.")
    run = (context["dag"].dag_id, str(context["run_id"]))
    _tell(*run, context.get("ti"), why, context.get("params", {}), unless_told=reason == TASK_FAILURE)


def _tell(dag: str, run_id: str, task: Any, why: str, params: Mapping[str, Any], *, unless_told: bool = False) -> None:
    """Tells the registry. Where it cannot be told, the log of who tries is: Airflow does nothing else with it here."""
    name, attempt = (task.task_id, task.try_number) if task else ("the run", None)
    about = params.get("account"), params.get("requested_by"), params.get("server")
    try:
        with connections.registry_connection() as conn:
            told = unless_told and attempt is not None and registry.run_failure_told(conn, dag, run_id, name, attempt)
            if not told:
                registry.run_failed(conn, dag, run_id, name, why, *about, attempt=attempt)
    except Exception:
        log.exception("The registry was not told why %s of %s failed.", name, run_id)
