"""What was asked for, and the run that does it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from include import registry
from transhumance_airflow.api import models
from transhumance_airflow.api.auth import CallerDep
from transhumance_airflow.api.database import Registry
from transhumance_airflow.api.problems import Problem
from transhumance_airflow.api.routes import operation
from transhumance_airflow.api.runs import MARK, PREFIX, RunsDep
from transhumance_airflow.api.runs import request as told

router = APIRouter(prefix="/requests", tags=["requests"])
RequestId = Annotated[str, Path(pattern="^[0-9a-f]{24}$", description="The request's id.")]


@router.get("/{request}", operation_id="request", **operation("read"))
def request(request: RequestId, caller: CallerDep, conn: Registry, runs: RunsDep) -> models.Request:
    """What became of a request: its run, with the run's state, and where to look how it goes."""
    found = runs.find_any(PREFIX + request)
    if found is None or caller.customer not in (None, found.conf[MARK]["customer"]):
        raise Problem("not-found", f"There is no request {request} here: check its id, and the customer you act for.")
    answer = told(found)
    if found.state == "failed":
        answer.why = registry.why_run_failed(conn, found.run_id)
    return answer
