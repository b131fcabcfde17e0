"""Whether the API can do its work: open to everybody, and says nothing else."""

from __future__ import annotations

from fastapi import APIRouter

from transhumance_airflow.api import models
from transhumance_airflow.api.database import Registry
from transhumance_airflow.api.problems import documented

router = APIRouter(tags=["health"])


@router.get("/health", operation_id="health", responses={503: documented()[503]}, openapi_extra={"security": []})
def health(conn: Registry) -> models.Health:
    """Whether the API and its registry answer. Needs no token."""
    conn.execute("SELECT")
    return models.Health(status="healthy", registry="answers")
