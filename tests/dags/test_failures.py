"""Every failed run of every DAG is an event: by its task, or, where that could not tell, by Airflow's DAG processor."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
import structlog
from airflow.api_fastapi.execution_api.datamodels.taskinstance import DagRun, TaskInstance, TIRunContext
from airflow.callbacks.callback_requests import DagCallbackRequest, DagRunContext, TaskCallbackRequest
from airflow.dag_processing import processor
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunType

from include import registry
from tests.dags.hosting import Hosting
from transhumance_airflow import connections, failures

BEGAN = datetime(2026, 11, 1, 12, tzinfo=UTC)
FORM = {
    "document": "{}",
    "access": "ssh_root_vps_1",
    "server": "vps-1",
    "account": "app",
    "to_server": "vps-1",
    "entry": "infrastructure-2026",
    "because": "a test",
}
"""What any DAG's form wants filled in."""
REFUSAL = "There is no server vps-9: see the list of servers."


@pytest.fixture(autouse=True)
def params_of_their_own(dags: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow keeps what a run is started with in its tasks' parameters, and the next test runs the same tasks."""
    for task in (task for dag in dags.values() for task in dag.tasks):
        monkeypatch.setattr(task, "params", deepcopy(task.params))


def bag(dags: dict[str, Any]) -> DagBag:
    """What the DAG processor looks DAGs up in."""
    made = DagBag(collect_dags=False)
    made.dags = dags
    return made


def instance(dag: Any, task: Any) -> TaskInstance:
    return TaskInstance(
        id=uuid4(),
        dag_version_id=uuid4(),
        task_id=task.task_id,
        dag_id=dag.dag_id,
        run_id="run-1",
        try_number=1,
        map_index=-1,
    )


def run_of(dag: Any) -> DagRun:
    return DagRun(
        dag_id=dag.dag_id,
        run_id="run-1",
        logical_date=BEGAN,
        data_interval_start=BEGAN,
        data_interval_end=BEGAN,
        run_after=BEGAN,
        start_date=BEGAN,
        end_date=None,
        run_type=DagRunType.MANUAL,
        state=DagRunState.FAILED,
        conf=FORM,
        consumed_asset_events=[],
        partition_key=None,
    )


def run_ended(dags: dict[str, Any], dag: Any, reason: str, task: Any = None) -> None:
    """What Airflow's DAG processor does when a run has failed, whatever became of its tasks."""
    context = DagRunContext(dag_run=run_of(dag), last_ti=instance(dag, task)) if task is not None else None
    request = DagCallbackRequest(
        filepath="x.py",
        bundle_name="dags",
        bundle_version=None,
        dag_id=dag.dag_id,
        run_id="run-1",
        context_from_server=context,
        is_failure_callback=True,
        msg=reason,
    )
    processor._execute_dag_callbacks(bag(dags), request, structlog.get_logger())


def told(hosting: Hosting) -> list[tuple[str, str, str, str | None]]:
    """What the registry was told of failed runs: DAG, task, why, and the server."""
    events = [event for event in registry.list_events(hosting.conn, limit=100_000) if event.kind == "run.failed"]
    return [(event.detail["dag"], event.detail["task"], event.detail["why"], event.server) for event in events]


def test_every_dag_and_every_task_tells(dags: dict[str, Any]) -> None:
    assert len(dags) >= 11
    for dag in dags.values():
        kept = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
        assert kept.has_on_failure_callback, f"Airflow's scheduler asks for nothing when a run of {dag.dag_id} fails"
        for task in kept.tasks:
            assert task.has_on_failure_callback, (dag.dag_id, task.task_id)


def test_a_task_of_every_dag_that_was_killed_is_told_when_its_run_ends(dags: dict[str, Any], hosting: Hosting) -> None:
    for dag in dags.values():
        run_ended(dags, dag, "task_failure", dag.tasks[0])
    assert sorted(dag for dag, *_ in told(hosting)) == sorted(dags)
    assert {why for _, _, why, _ in told(hosting)} == {"It was ended from outside, or its worker died: see its log."}


def test_whose_the_run_was_is_told_as_well(dags: dict[str, Any], hosting: Hosting) -> None:
    dag = dags["migrate_server"]
    run_ended(dags, dag, "task_failure", dag.task_dict["check_server"])
    assert [(task, server) for _, task, _, server in told(hosting)] == [("check_server", "vps-1")]


def test_what_a_task_has_told_is_told_once(dags: dict[str, Any], hosting: Hosting) -> None:
    dag = dags["bill_transits"]
    task = dag.tasks[0]
    registry.run_failed(hosting.conn, dag.dag_id, "run-1", task.task_id, REFUSAL, None, None, attempt=1)
    run_ended(dags, dag, "task_failure", task)
    assert [why for _, _, why, _ in told(hosting)] == [REFUSAL]


def test_what_an_earlier_attempt_told_is_old(dags: dict[str, Any], hosting: Hosting) -> None:
    """A run that was cleared: its task told something the first time, and was killed the second time."""
    dag = dags["bill_transits"]
    task = dag.tasks[0]
    registry.run_failed(hosting.conn, dag.dag_id, "run-1", task.task_id, REFUSAL, None, None, attempt=0)
    run_ended(dags, dag, "task_failure", task)
    assert len(told(hosting)) == 2


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [("timed_out", "took longer than its DAG allows"), ("all_tasks_deadlocked", "No task"), ("new", "The run failed")],
)
@pytest.mark.parametrize("with_task", [True, False])
def test_a_run_that_ends_for_another_reason_is_told(
    dags: dict[str, Any], hosting: Hosting, reason: str, sentence: str, with_task: bool
) -> None:
    """Airflow gives no task where none had begun."""
    dag = dags["look_at_servers"]
    task = dag.tasks[0]
    registry.run_failed(hosting.conn, dag.dag_id, "run-1", task.task_id, REFUSAL, None, None)
    run_ended(dags, dag, reason, task if with_task else None)
    assert len(told(hosting)) == 2
    assert told(hosting)[-1][1] == (task.task_id if with_task else "the run")
    assert sentence in told(hosting)[-1][2]


def test_a_task_that_airflow_finds_dead_is_told(dags: dict[str, Any], hosting: Hosting) -> None:
    """Its worker has vanished: there is no exception."""
    dag = dags["look_at_servers"]
    task = dag.tasks[0]
    request = TaskCallbackRequest(
        filepath="x.py",
        bundle_name="dags",
        bundle_version=None,
        ti=instance(dag, task),
        msg="no heartbeat",
        task_callback_type=TaskInstanceState.FAILED,
        context_from_server=TIRunContext(
            dag_run=run_of(dag), max_tries=0, variables=[], connections=[], xcom_keys_to_clear=[]
        ),
    )
    processor._execute_task_callbacks(bag(dags), request, structlog.get_logger())
    assert [(task, "worker died" in why) for _, task, why, _ in told(hosting)] == [("look_at_servers", True)]


def test_a_registry_that_cannot_be_told_breaks_nothing(dags: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> Any:
        raise OSError("no route")

    logged: list[tuple[Any, ...]] = []
    monkeypatch.setattr(connections, "registry_connection", gone)
    monkeypatch.setattr(failures.log, "exception", lambda *words: logged.append(words))
    failures.tell_run_failed({"dag": dags["look_at_servers"], "run_id": "run-1", "reason": "timed_out"})
    assert logged == [("The registry was not told why %s of %s failed.", "the run", "run-1")]


def test_by_airflow_itself(
    airflow: None, dags: dict[str, Any], hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A nightly DAG, which told nobody before: its task fails, and the run tells it once."""
    dag = dags["look_at_servers"]
    task = dag.task_dict["look_at_servers"]
    monkeypatch.setattr(task, "retries", 0)

    def refuse(*_: Any, **__: Any) -> None:
        raise registry.RegistryRefused(REFUSAL)

    monkeypatch.setattr(task, "python_callable", refuse)
    assert str(dag.test().state) == "failed"
    assert [(task, why) for _, task, why, _ in told(hosting)] == [("look_at_servers", REFUSAL)]
