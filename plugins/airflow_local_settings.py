"""Airflow's policy for every DAG and task: no task holds a worker for ever, whatever a server or a page does to it, and
no run fails unheard.

Airflow imports this by its name, from the plugins folder. The bound is no setting (`default_task_execution_timeout`),
since that one would also end what waits for a person. What waits without a worker is not bounded by it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

LONGEST = timedelta(hours=1)
"""Of a task that says nothing else (`execution_timeout`)."""


def dag_policy(dag: Any) -> None:
    """A run that failed is told, also when no task of it could tell: it was killed, or the run took too long."""
    from transhumance_airflow import failures  # Airflow imports this file before there are hooks

    dag.on_failure_callback = failures.tell_run_failed
    dag.has_on_failure_callback = True


def task_policy(task: Any) -> None:
    """Bounds the time that a task holds its worker; one that has failed for good tells why."""
    from transhumance_airflow import failures

    if task.execution_timeout is None:
        task.execution_timeout = LONGEST
    task.on_failure_callback = [failures.tell_failure]
