"""Airflow and the DAGs in memory, in the process that each run is forked from."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import httpx
from sqlalchemy import delete
from sqlalchemy.orm import configure_mappers

from lab.airflow import REPOSITORY

sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "plugins")]

from airflow import settings  # noqa: E402  the paths come first
from airflow.dag_processing import dagbag  # noqa: E402
from airflow.models.dagrun import DagRun  # noqa: E402
from airflow.sdk.execution_time.supervisor import in_process_api_server  # noqa: E402
from airflow.utils.session import create_session  # noqa: E402

from lab.faults.orchestrator import HOLD_SECONDS  # noqa: E402
from transhumance_airflow import moving  # noqa: E402

moving.HOLD_SECONDS = HOLD_SECONDS
DAGS = dagbag.DagBag(str(REPOSITORY / "dags"))
# Every test of a DAG would read and write all DAGs once more.
replaced: Any = dagbag
replaced.BundleDagBag = lambda **_: None
replaced.sync_bag_to_db = lambda *_: None
if DAGS.import_errors:
    raise SystemExit(f"The DAGs cannot be imported: {DAGS.import_errors}")


async def _ask_once() -> None:
    """Airflow's API, which each run has in its own process, makes its routes at the first question: 6 s of processor
    a run. This one asks nothing of a database."""
    app = in_process_api_server().app
    transport = httpx.ASGITransport(app=app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://api") as api:
        answer = await api.patch("/task-instances/00000000-0000-0000-0000-000000000000/run", json={})
        if answer.status_code != 422:
            raise SystemExit(f"Airflow's API answered {answer.status_code} to a question without what it asks for.")


configure_mappers()
asyncio.run(_ask_once())


def run(dag_id: str, run_id: str, conf: dict[str, Any], metadata: str) -> str:
    """Runs a DAG to its end in this process, as Airflow's own tests of DAGs do; gives the run's state.

    `metadata` is the database that Airflow keeps this run in; what an earlier try has left of it there is gone."""
    os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = metadata
    settings.configure_vars()
    settings.reconfigure_orm()
    with create_session() as session:
        session.execute(delete(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
    # A run that is begun again has its id again: moves are found by it.
    runs: Any = DagRun
    runs.generate_run_id = staticmethod(lambda **_: run_id)
    return str(DAGS.dags[dag_id].test(run_conf=conf).state)
