"""The DAG of billing: its shape, and runs of it on a registry of its own."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.billing.facts import fill, lease, ledger, price
from tests.support.postgres import create, url

FOLDER = Path(__file__).parents[2]
_numbers = itertools.count(1)


@pytest.fixture
def dsn(postgresql: str) -> str:
    """Connection string of a registry of the test's own, with two servers."""
    made = create(postgresql, f"bills{next(_numbers)}", "template")
    with psycopg.connect(made) as conn:
        fill(conn, 2)
    return made


@pytest.fixture(scope="module")
def dag() -> Any:
    """The DAG as Airflow's processor would parse it."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(FOLDER / "dags" / "bill_transits.py"))
    assert bag.import_errors == {}
    return bag.dags["bill_transits"]


def test_it_reads_like_the_runbook(dag: Any) -> None:
    steps = [
        "take_over_settings",
        "bill_days",
        "settle_late_facts",
        "send_reminders",
        "deliver_webhooks",
    ]
    for before, after in zip(steps, steps[1:], strict=False):
        assert dag.task_dict[before].downstream_task_ids >= {after}
    assert dag.task_dict["dry_run_or_not"].downstream_task_ids == {"show_what_would_be_billed", steps[0]}
    assert all(f"**{name}**" in dag.doc_md for name in dag.task_dict if name != "dry_run_or_not")
    assert all(each.doc_md or each.python_callable.__doc__ for each in dag.tasks)


def test_it_runs_daily_in_the_hosts_zone_one_at_a_time_and_never_back(dag: Any) -> None:
    assert dag.max_active_runs == 1 and dag.catchup is False
    assert "Europe/Paris" in repr(vars(dag.timetable))
    assert all(each.retries >= 2 for each in dag.tasks)


def test_its_form_is_typed(dag: Any) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    assert dag.params.dump() == {"through_day": None, "dry_run": False}
    for name, wrong in (("through_day", "yesterday"), ("dry_run", "maybe")):
        with pytest.raises(ParamValidationError):
            deepcopy(dag.params.get_param(name)).resolve(wrong)


RUN = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
for conf in json.loads(sys.argv[2]):
    run = DagBag(sys.argv[1]).dags["bill_transits"].test(run_conf=conf)
    print("RUN", json.dumps({task.task_id: task.state for task in run.get_task_instances()}))
"""


Runs = Callable[..., tuple[list[dict[str, str]], str]]
"""Runs the DAG, once for each conf; the states of their tasks, and what was logged."""


@pytest.fixture
def airflow(tmp_path: Path, dsn: str) -> Runs:
    """Runs of the DAG in an Airflow of their own, as processes; gives each run's states, and what was logged."""
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(FOLDER / "dags"),
        "AIRFLOW_CONN_REGISTRY": url(dsn),
        "PYTHONPATH": f"{FOLDER}:{FOLDER / 'plugins'}",
    }
    migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(migrate, env=environment, check=True, capture_output=True, timeout=120)

    def run(*confs: dict[str, Any]) -> tuple[list[dict[str, str]], str]:
        file = str(FOLDER / "dags" / "bill_transits.py")
        done = subprocess.run(
            [sys.executable, "-c", RUN, file, json.dumps(confs)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
        output = done.stdout + done.stderr
        runs = [json.loads(line.removeprefix("RUN ")) for line in done.stdout.splitlines() if line.startswith("RUN ")]
        assert len(runs) == len(confs), output[-3000:]
        return runs, output

    return run


def test_an_overdue_transit_is_billed_when_the_clock_has_moved(airflow: Runs, dsn: str) -> None:
    today = datetime.now(UTC)
    with psycopg.connect(dsn) as conn:
        price(conn, "40.00", date(2020, 1, 1))
        lease(conn, 1, today)
        conn.execute(f"ALTER DATABASE {conn.info.dbname} SET transhumance.clock_offset = '12 days'")
        conn.execute("INSERT INTO billing_time_zones VALUES ('0001-01-01', 'Europe/Paris')")
    far = str(today.date() + timedelta(days=30))
    (dry, real, again, refused), output = airflow({"dry_run": True}, {}, {}, {"through_day": far})
    assert dry["show_what_would_be_billed"] == "success" and dry["bill_days"] == "skipped"
    assert "customer-1" in output and "plan medium at 40.00 a month" in output
    for run in (real, again):
        assert {name for name, state in run.items() if state == "skipped"} == {
            "show_what_would_be_billed",
            "deliver_webhooks",
        }
        assert run["check_prices"] == "success"
    assert refused["bill_days"] == "failed" and f"The day {far} is not over" in output
    with psycopg.connect(dsn) as conn:
        charges = ledger(conn)
        assert len(charges) == 4 and {row[3] for row in charges} == {"charge"}
        kinds = [row[0] for row in conn.execute("SELECT kind FROM outbox ORDER BY id")]
        assert kinds == ["ledger.entries", "lease.reminder"]
