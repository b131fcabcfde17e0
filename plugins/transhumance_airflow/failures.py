"""Why a run failed, told to the registry, so that whoever asks there need not read Airflow's logs."""

from __future__ import annotations

import logging

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException

from include import registry
from include.hosts import AgentError, HostUnreachable
from include.network.names import NamesError
from include.network.routes import RouteError
from transhumance_airflow import connections

OURS = (AirflowException, registry.RegistryRefused, AgentError, HostUnreachable, NamesError, RouteError)
"""What these say is written for people; any other message may hold what a customer wrote, or a password."""

log = logging.getLogger(__name__)


def tell_failure(context: Context) -> None:
    """A DAG's `on_failure_callback` for its tasks: each tells its sentence once it has failed for good."""
    task, params, error = context["ti"], context["params"], context.get("exception")
    why = str(error) if isinstance(error, OURS) else f"{type(error).__name__}: see the log of {task.task_id}."
    try:
        with connections.registry_connection() as conn:
            registry.run_failed(
                conn,
                task.dag_id,
                task.run_id,
                task.task_id,
                why,
                params.get("account"),
                params.get("requested_by"),
                params.get("server"),
            )
    except Exception:
        log.exception("The registry was not told why %s failed.", task.task_id)
