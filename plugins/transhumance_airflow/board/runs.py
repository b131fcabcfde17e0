"""What Airflow's own database knows of the runs that the registry names: tasks that failed, questions that wait for a
person. Only the API server may ask it, and the board runs there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

DAG_OF = {"out": "move_account", "home": "move_account", "over": "migrate_account", "test": "test_account"}
"""The DAG whose run moves or copies an account, by the direction."""

DAGS = ("migrate_server", "run_campaign", "finish_server", *sorted(set(DAG_OF.values())))
"""The DAGs whose runs the registry's rows name."""


@dataclass(frozen=True)
class Trouble:
    """A task that failed and will not be tried again by itself."""

    dag: str
    run: str
    task: str
    since: datetime | None

    @property
    def path(self) -> str:
        """Its page in Airflow's UI."""
        return task_path(self.dag, self.run, self.task)


@dataclass(frozen=True)
class Approval:
    """A question that waits for a person's answer."""

    dag: str
    run: str
    task: str
    subject: str
    since: datetime

    @property
    def path(self) -> str:
        """The page in Airflow's UI where it is answered."""
        return f"{task_path(self.dag, self.run, self.task)}/required_actions"


def run_path(dag: str, run: str) -> str:
    """A run's page in Airflow's UI, below Airflow's own address."""
    return f"/dags/{quote(dag, safe='')}/runs/{quote(run, safe='')}"


def task_path(dag: str, run: str, task: str) -> str:
    """A task's page in Airflow's UI, below Airflow's own address."""
    return f"{run_path(dag, run)}/tasks/{quote(task, safe='')}"


def troubles(run_ids: list[str]) -> list[Trouble]:
    """The tasks of these runs that failed for good, the newest first."""
    from airflow.models.taskinstance import TaskInstance as TI
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState
    from sqlalchemy import select

    if not run_ids:
        return []
    asked = select(TI.dag_id, TI.run_id, TI.task_id, TI.end_date).where(
        TI.dag_id.in_(DAGS), TI.run_id.in_(run_ids), TI.state == TaskInstanceState.FAILED
    )
    with create_session() as session:
        found = [Trouble(*each) for each in session.execute(asked)]
    return sorted(found, key=lambda trouble: trouble.since.timestamp() if trouble.since else 0, reverse=True)


def approvals(run_ids: list[str]) -> list[Approval]:
    """The questions of these runs that nobody has answered yet, the oldest first."""
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance as TI
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState
    from sqlalchemy import select

    if not run_ids:
        return []
    asked = (
        select(TI.dag_id, TI.run_id, TI.task_id, HITLDetail.subject, HITLDetail.created_at)
        .join(HITLDetail, HITLDetail.ti_id == TI.id)
        .where(
            TI.dag_id.in_(DAGS),
            TI.run_id.in_(run_ids),
            TI.state == TaskInstanceState.AWAITING_INPUT,
            HITLDetail.responded_at.is_(None),
        )
        .order_by(HITLDetail.created_at)
    )
    with create_session() as session:
        return [Approval(*each) for each in session.execute(asked)]
