"""What Airflow's own database is asked: failed tasks and open questions of the runs that the registry names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import delete, text
from sqlalchemy.orm import Session

from transhumance_airflow.board import runs

AT = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@pytest.fixture
def session(airflow: FastAPI) -> Iterator[Session]:
    """A session of Airflow's database, which is empty again afterwards."""
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        yield session
        for table in (HITLDetail, TaskInstance):
            session.execute(delete(table.__table__))


@pytest.fixture
def task(session: Session) -> Callable[..., None]:
    """Writes a task instance without the rows that it refers to, and a question when it has a subject."""
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance

    def written(dag: str, run: str, task: str, state: str, subject: str | None = None, answered: bool = False) -> None:
        session.execute(text("PRAGMA foreign_keys = OFF"))  # of this connection, until the commit gives it back
        id = uuid4()
        row = {"id": id, "dag_id": dag, "run_id": run, "task_id": task, "map_index": -1, "state": state}
        row |= {
            "end_date": AT,
            "pool": "default_pool",
            "pool_slots": 1,
            "dag_version_id": uuid4(),
            "executor_config": {},
        }
        session.execute(TaskInstance.__table__.insert().values(**row))
        if subject is not None:
            question = {"ti_id": id, "options": ["Approve"], "subject": subject, "created_at": AT, "params": {}}
            question |= {"responded_at": AT if answered else None, "params_input": {}}
            session.execute(HITLDetail.__table__.insert().values(**question))
        session.commit()

    return written


def test_what_failed_for_good(task: Callable[..., None]) -> None:
    task("migrate_server", "ready-1", "install_transit", "failed")
    task("migrate_server", "ready-1", "hand_over", "upstream_failed")
    task("migrate_server", "ready-1", "request_transit", "success")
    task("move_account", "perform-1", "switch", "up_for_retry")
    task("migrate_server", "another", "install_transit", "failed")
    task("a_strangers_dag", "ready-1", "install_transit", "failed")
    (one,) = runs.troubles(["ready-1", "perform-1"])
    assert (one.dag, one.run, one.task, one.since) == ("migrate_server", "ready-1", "install_transit", AT)
    assert one.path == "/dags/migrate_server/runs/ready-1/tasks/install_transit"
    assert runs.troubles([]) == []


def test_questions_that_nobody_has_answered(task: Callable[..., None]) -> None:
    task("migrate_server", "ready-1", "approve_reinstall", "awaiting_input", "Reinstall vps-1?")
    task("migrate_server", "ready-2", "approve_reinstall", "awaiting_input", "Reinstall vps-2?", answered=True)
    task("migrate_server", "ready-3", "approve_reinstall", "success", "Reinstall vps-3?")
    (one,) = runs.approvals(["ready-1", "ready-2", "ready-3"])
    assert (one.run, one.subject, one.since) == ("ready-1", "Reinstall vps-1?", AT)
    assert one.path == "/dags/migrate_server/runs/ready-1/tasks/approve_reinstall/required_actions"


def test_a_run_id_is_one_part_of_an_address() -> None:
    assert runs.run_path("move_account", "manual__2026-01-01T00:00:00+00:00/..") == (
        "/dags/move_account/runs/manual__2026-01-01T00%3A00%3A00%2B00%3A00%2F.."
    )
