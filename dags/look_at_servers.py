"""Look whether every server serves the accounts that live on it, and no other.

Runs every hour.

## What it does
**look_at_servers**: asks each server whom it serves. One that serves an account which has left it (it came back from a
snapshot or a backup) is told so: the account is shut there, and what still comes for it is passed on to where it lives.
An account that its server has no longer is told. Where a migration waits for it, and nothing of it is left, it is
removed when the next look finds the same.

## How to resume
Nothing to do: the next hour looks again.

## By hand
* A server was restored: trigger this DAG at once, before its network is up if you can.
* The log names an account that was shut: look whether anybody wrote to that copy meanwhile. It is all still there.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from airflow.sdk import dag
from airflow.timetables.trigger import CronTriggerTimetable

from include.moves import departed
from transhumance_airflow import connections
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
)
def look_at_servers() -> None:
    """Wiring; the look stands in `include.moves.departed`."""

    @step(task_id="look_at_servers")
    def look(conn: Registry) -> list[str]:
        """Tells the servers that are wrong; gives a sentence on each account, and on each server without an answer."""
        return log_sentences(departed.shut_departed(conn, connections.reach(conn)), logging.WARNING)

    look()


look_at_servers()
