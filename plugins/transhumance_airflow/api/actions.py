"""What an action answers: the run that does it, once for each key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from fastapi import Response

from include import registry
from include.panel import rules
from include.registry.queries import panel
from transhumance_airflow.api import models
from transhumance_airflow.api.auth import Caller
from transhumance_airflow.api.problems import Problem
from transhumance_airflow.api.routes import operation
from transhumance_airflow.api.runs import Asked, Runs, known, request, start
from transhumance_airflow.api.views import BASE

PERFORMS = ("move_account", "migrate_account")
"""The DAGs of which no second run is asked for while one for the same account has not begun."""

LOCATION = {"Location": {"description": "Where the request is found.", "schema": {"type": "string"}}}


def action(permission: Any, *problems: int) -> dict[str, Any]:
    """The arguments of a route that starts something."""
    accepted = {202: {"description": "It was started, or had been by the same key.", "headers": LOCATION}}
    return operation(permission, 409, *problems, status_code=202, responses=accepted)


class Action:
    """One call that asks for something, under its key."""

    def __init__(
        self,
        runs: Runs,
        conn: psycopg.Connection,
        response: Response,
        caller: Caller,
        key: str,
        action: str,
        subject: str,
        body: Any,
    ) -> None:
        self.runs, self.conn, self.response = runs, conn, response
        self.asked = Asked(caller, key, action, subject, body.model_dump(mode="json"))

    def once(self, prepare: Callable[[], tuple[str, dict[str, Any]]], watch: str) -> models.Request:
        """Starts the run that `prepare` names (DAG id, conf) unless this key has started it before; `prepare` refuses
        what cannot be done, and so is what was asked for already and has not begun yet. `watch` is where to look how
        it goes."""
        with rules.one_call_at_a_time(self.conn, self.asked.subject):
            found = known(self.runs, self.asked)
            if found is None:
                dag_id, conf = prepare()
                if dag_id in PERFORMS:
                    self._refuse_asked_already(conf["account"])
                found = start(self.runs, self.asked, dag_id, conf, f"{BASE}/{watch}")
                if dag_id in PERFORMS:
                    registry.perform_asked(self.conn, conf["account"], dag_id, found.run_id, self.asked.caller.name)
        self.response.headers["Location"] = f"{BASE}/requests/{self.asked.id}"
        return request(found)

    def _refuse_asked_already(self, account: str) -> None:
        """What has begun is the registry's to refuse, and has been by now."""
        before = panel.asked_not_begun(self.conn, account)
        run = before and self.runs.find(*before)
        if run is not None and run.state in ("queued", "running"):
            raise registry.RegistryRefused(
                f"Account {account} was asked to be performed already and waits for its turn: wait until it has."
            )


def refuse_lifting(caller: Caller, reason: str | None) -> None:
    """The gate is lifted by ops only."""
    if reason is not None and caller.customer is not None:
        raise Problem("not-allowed", "Only the host's ops can lift the gate: test the account instead.")
