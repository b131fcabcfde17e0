"""Look whether every server serves the accounts that live on it, and no other; and what it has and lacks for a move.

Runs every hour.

## What it does
**look_at_servers**: asks each server whom it serves. One that serves an account which has left it (it came back from a
snapshot or a backup) is told so: the account is shut there, and what still comes for it is passed on to where it lives.
An account that its server has no longer is told. Where a migration waits for it, and nothing of it is left, it is
removed when the next look finds the same.

**doctor**: asks each server what a move needs of it, and keeps a line for each requirement in the registry: met, or
what to do. Its log has those that are not met; the same functions refuse a run.

## How to resume
Nothing to do: the next hour looks again.

## By hand
* A server was restored: trigger this DAG at once, before its network is up if you can.
* A requirement is not met: do on that server what the line says, and trigger this DAG with its name.
* The log names an account that was shut: look whether anybody wrote to that copy meanwhile. It is all still there.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from airflow.sdk import dag
from airflow.timetables.trigger import CronTriggerTimetable

from include.moves import departed, doctor
from transhumance_airflow import connections, forms
from transhumance_airflow.step import Registry, log_sentences, step


@dag(
    dag_id="look_at_servers",
    dag_display_name="Look whom the servers serve",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("41 * * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    tags=["transhumance", "server"],
    default_args={"owner": "transhumance", "retries": 3, "retry_delay": timedelta(seconds=10)},
    params={
        "server": forms.optional("Server", "The doctor sees only this one; empty: all.", pattern=forms.SERVER_NAME),
        "requested_by": forms.requested_by(),
    },
)
def look_at_servers() -> None:
    """Wiring; the look stands in `include.moves.departed`, the doctor in `include.moves.doctor`."""

    @step(task_id="look_at_servers")
    def look(conn: Registry) -> list[str]:
        """Tells the servers that are wrong; gives a sentence on each account, and on each server without an answer."""
        return log_sentences(departed.shut_departed(conn, connections.reach(conn)), logging.WARNING)

    @step(task_id="doctor")
    def examine(conn: Registry, params: dict[str, Any]) -> list[str]:
        """Asks what each server has for a move; gives a sentence on each requirement that is not met."""
        sentences = doctor.examine(conn, connections.reach(conn), params["server"])
        return log_sentences(sentences, logging.WARNING)

    look()
    examine()


look_at_servers()
