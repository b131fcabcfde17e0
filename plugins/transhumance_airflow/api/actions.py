"""What an action answers: the run that does it, once for each key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import Response

from transhumance_airflow.api import models
from transhumance_airflow.api.auth import Caller
from transhumance_airflow.api.problems import Problem
from transhumance_airflow.api.routes import operation
from transhumance_airflow.api.runs import Asked, Runs, known, request, start
from transhumance_airflow.api.views import BASE

LOCATION = {"Location": {"description": "Where the request is found.", "schema": {"type": "string"}}}


def action(permission: Any, *problems: int) -> dict[str, Any]:
    """The arguments of a route that starts something."""
    accepted = {202: {"description": "It was started, or had been by the same key.", "headers": LOCATION}}
    return operation(permission, 404, 409, *problems, status_code=202, responses=accepted)


class Action:
    """One call that asks for something, under its key."""

    def __init__(
        self, runs: Runs, response: Response, caller: Caller, key: str, action: str, subject: str, body: Any
    ) -> None:
        self.runs, self.response = runs, response
        self.asked = Asked(caller, key, action, subject, body.model_dump(mode="json"))

    def once(self, prepare: Callable[[], tuple[str, dict[str, Any]]], watch: str) -> models.Request:
        """Starts the run that `prepare` names (DAG id, conf) unless this key has started it before; `prepare` refuses
        what cannot be done. `watch` is where to look how it goes."""
        found = known(self.runs, self.asked)
        if found is None:
            dag_id, conf = prepare()
            found = start(self.runs, self.asked, dag_id, conf, f"{BASE}/{watch}")
        self.response.headers["Location"] = f"{BASE}/requests/{self.asked.id}"
        return request(found)


def refuse_lifting(caller: Caller, reason: str | None) -> None:
    """The gate is lifted by ops only."""
    if reason is not None and caller.customer is not None:
        raise Problem("not-allowed", "Only the host's ops can lift the gate: test the account instead.")
