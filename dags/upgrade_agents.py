"""Give every server the agent of this orchestrator, after a new release of it.

## What it does
**upgrade**: each server that has another agent gets this one, several at a time. One on which an operation runs, or
that another server of a move works on, keeps what it has for now, and so does one that does not answer; the others do
not wait for it. Its log says who has which. While some do not have it the task fails, and is tried again after a while.

## How to resume
Clear the task, or trigger it again: who has the agent is left alone.

## By hand
Nothing: the log says what is in the way on each server.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import dag

from include.moves import upgrade as upgrades
from transhumance_airflow import connections, forms
from transhumance_airflow.step import Registry, log_text, step


@dag(
    dag_id="upgrade_agents",
    dag_display_name="Upgrade the servers' agents",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    tags=["transhumance", "server"],
    default_args={
        "owner": "transhumance",
        "retries": 3,
        "retry_delay": timedelta(minutes=2),
    },
    params={
        "server": forms.optional("Server", "Only this one; empty: all.", pattern=forms.SERVER_NAME),
        "requested_by": forms.requested_by(),
    },
)
def upgrade_agents() -> None:
    """Wiring; the upgrade stands in `include.moves.upgrade`."""

    @step()
    def upgrade(conn: Registry, params: dict[str, Any]) -> str:
        """Pushes it where another one is; gives who has which."""
        return log_text(upgrades.upgrade(conn, connections.reach(conn), params["server"]))

    upgrade()


upgrade_agents()
