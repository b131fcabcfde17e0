"""Webhooks: events that are delivered again. How they are delivered, and signed, is told in docs/api.md."""

from __future__ import annotations

from fastapi import APIRouter, Response

from transhumance_airflow.api import models
from transhumance_airflow.api.actions import Action, action
from transhumance_airflow.api.auth import CallerDep
from transhumance_airflow.api.database import Registry
from transhumance_airflow.api.idempotency import Key
from transhumance_airflow.api.runs import RunsDep

router = APIRouter(prefix="/webhooks", tags=["webhooks"])


@router.post("/replay", operation_id="replay", **action("replay"))
def replay(
    body: models.Replay, key: Key, caller: CallerDep, conn: Registry, runs: RunsDep, response: Response
) -> models.Request:
    """Deliver every event behind `after` to the webhook once more: the customer's, for ops everybody's. A run of
    deliver_events."""
    asked = Action(runs, conn, response, caller, key, "replay", f"events behind {body.after}", body)
    conf = {"replay_after": body.after, "customer": caller.customer}
    return asked.once(lambda: ("deliver_events", conf), "events")
