"""Take away the test copies whose days are over.

Runs every hour.

## What it does
1. **list_expired**: the tests whose time is up, and those whose run died before they were ready.
2. **remove_test**, one for each: its test names lead nowhere, and its server removes the copy. Nothing that is not a
   test copy can be removed: the registry has it as a test, on a server of the kind *test*, and that server itself has
   to call the account a copy of this very test.

A server that does not answer delays no other test.

## How to resume
Nothing to do: the next hour tries again what failed.

## By hand
* A test is to go now: its customer tests again, or trigger this DAG with the test's number.
* *remove_test* says that a server calls an account something that no test copy is: look at that server before anything
  else. Nothing was removed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag
from airflow.timetables.trigger import CronTriggerTimetable

from include.testing import copies
from transhumance_airflow import connections
from transhumance_airflow.step import Registry, step


@dag(
    dag_id="expire_tests",
    dag_display_name="Take away expired test copies",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("23 * * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    tags=["transhumance", "account"],
    default_args={"owner": "transhumance", "retries": 3, "retry_delay": timedelta(seconds=10)},
    params={
        "test": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Test",
            description="The number of one test that is to go now. Empty: all whose time is up.",
        ),
    },
)
def expire_tests() -> None:
    """Wiring; how a copy is taken away stands in `include.testing`."""

    @step(refusal_is_final=True)
    def list_expired(conn: Registry, params: dict[str, Any]) -> list[int]:
        """The tests that are to go."""
        return copies.to_remove(conn, params["test"])

    @step(refusal_is_final=True, map_index_template="{{ test }}")
    def remove_test(conn: Registry, test: int) -> None:
        """Takes one test copy away, wherever its removal stood."""
        copies.remove(conn, test, connections.tests(conn))

    remove_test.expand(test=list_expired())


expire_tests()
