"""Airflow's policy for every task: none holds a worker for ever, whatever a server or a page does to it.

Airflow imports this by its name, from the plugins folder. It is no setting (`default_task_execution_timeout`), since
that one would also end what waits for a person. What waits without a worker is not bounded by it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

LONGEST = timedelta(hours=1)
"""Of a task that says nothing else (`execution_timeout`)."""


def task_policy(task: Any) -> None:
    """Bounds the time that a task holds its worker."""
    if task.execution_timeout is None:
        task.execution_timeout = LONGEST
