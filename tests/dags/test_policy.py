"""What every DAG of the repository keeps to."""

from __future__ import annotations

import time
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import BaseOperator

from tests.dags.hosting import Hosting
from transhumance_airflow.step import INSTALLING

FOLDER = Path(__file__).parents[2]


def deferrable(task: BaseOperator) -> bool:
    """Whether one of our own operators, all of which defer."""
    return type(task).__module__.startswith("transhumance_airflow")


def test_every_file_is_a_dag(dags: dict[str, Any]) -> None:
    assert {path.stem for path in (FOLDER / "dags").glob("*.py")} == set(dags)


def test_owner_tags_runbook_and_no_catch_up(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        assert "transhumance" in dag.tags
        assert dag.catchup is False
        assert len(dag.doc_md) > 500
        assert all(task.owner not in ("", "airflow") for task in dag.tasks), dag.dag_id


def test_no_task_holds_a_worker_for_ever(dags: dict[str, Any]) -> None:
    """By Airflow's policy, as a worker applies it when it parses the file."""
    for dag in dags.values():
        for task in dag.tasks:
            assert task.execution_timeout is not None, (dag.dag_id, task.task_id)
            assert task.execution_timeout <= INSTALLING, (dag.dag_id, task.task_id)


def test_what_waits_for_a_person_waits(dags: dict[str, Any]) -> None:
    asking = [task for dag in dags.values() for task in dag.tasks if isinstance(task, ApprovalOperator)]
    assert len(asking) == 3
    assert {task.response_timeout for task in asking} == {None}


def test_a_task_that_hangs_is_ended(
    dags: dict[str, Any], hosting: Hosting, monkeypatch: pytest.MonkeyPatch, airflow: None
) -> None:
    """By Airflow itself: the step of a real DAG hangs in the worker."""
    dag = dags["look_at_servers"]
    task = dag.task_dict["look_at_servers"]
    monkeypatch.setattr(task, "python_callable", lambda *_, **__: time.sleep(60))
    monkeypatch.setattr(task, "execution_timeout", timedelta(seconds=1))
    monkeypatch.setattr(task, "retries", 0)
    began = time.monotonic()
    assert str(dag.test().state) == "failed"
    assert time.monotonic() - began < 30


RUNBOOKS = [
    "migrate_account",
    "migrate_server",
    "move_account",
    "run_campaign",
    "test_account",
]
"""Those that a person or the panel starts."""


@pytest.mark.parametrize("dag_id", RUNBOOKS)
def test_the_runbook_is_the_files_own_text(dags: dict[str, Any], dag_id: str) -> None:
    text = (FOLDER / "dags" / f"{dag_id}.py").read_text()
    doc = dags[dag_id].doc_md
    assert text.startswith('"""' + doc.strip())
    for heading in ("## What it does", "## How to resume", "## By hand"):
        assert heading in doc
    ours = [task for task in dags[dag_id].task_dict if not task.startswith("wait_until_names")]
    assert [task for task in ours if f"**{task}**" not in doc] == []


@pytest.mark.parametrize("dag_id", RUNBOOKS)
def test_what_defers_is_retried_soon(dags: dict[str, Any], dag_id: str) -> None:
    for task in dags[dag_id].tasks:
        assert task.retries >= 2, task.task_id
        assert task.retry_delay <= timedelta(seconds=30), task.task_id
    assert any(deferrable(task) for task in dags[dag_id].tasks)


@pytest.mark.parametrize("dag_id", RUNBOOKS)
def test_the_trigger_form_explains_itself(dags: dict[str, Any], dag_id: str) -> None:
    for name in dags[dag_id].params:
        param = deepcopy(dags[dag_id].params.get_param(name))
        schema = param.schema
        assert schema["title"] and param.description, name
        kind = next(kind for kind in ([schema["type"]] if isinstance(schema["type"], str) else schema["type"][1:]))
        limits = {"string": ("pattern", "maxLength", "enum"), "number": ("maximum",), "integer": ("maximum",)}
        bounds = limits[kind]
        assert any(bound in schema for bound in bounds), name


@pytest.mark.parametrize(
    ("name", "value"),
    [("account", "A b"), ("account", "x" * 33), ("account", "../etc"), ("to_server", "a;b"), ("to_server", "")],
)
def test_params_refuse_what_is_no_name(dags: dict[str, Any], name: str, value: str) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    param = deepcopy(dags["move_account"].params.get_param(name))
    with pytest.raises(ParamValidationError):
        param.resolve(value)


def test_triggers_are_imported_by_the_name_they_are_stored_under() -> None:
    from airflow.sdk._shared.module_loading import import_string

    from transhumance_airflow import triggers

    for trigger in (
        triggers.AgentOperationTrigger("vps-1", "m1-e2-copy"),
        triggers.RegistryTrigger("transit_assigned", {"migration": 1}),
        triggers.DagRunEndTrigger("move_account", "home-1-app"),
        triggers.CampaignTrigger(1, "running", [["test_account", "campaign-1-testing-app"]]),
    ):
        path, arguments = trigger.serialize()
        again = import_string(path)(**arguments)
        assert type(again) is type(trigger)
        assert again.serialize() == (path, arguments)
