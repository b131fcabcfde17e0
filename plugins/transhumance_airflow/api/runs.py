"""Runs: what the API asks of Airflow, with Airflow's own functions in its own process.

No call goes over the network to the API server's own address, which may be behind a proxy, another name or a
certificate that it does not know itself. `trigger_dag` is what Airflow's own TriggerDagRunOperator comes to: it checks
the params, refuses a run id that exists, and notes who asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Protocol
from urllib.parse import quote

from airflow.api.common.trigger_dag import trigger_dag
from airflow.configuration import conf as settings
from airflow.exceptions import DagNotFound, DagRunAlreadyExists
from airflow.models import DagModel, DagRun
from airflow.sdk.exceptions import ParamValidationError
from airflow.utils.session import create_session
from airflow.utils.types import DagRunTriggeredByType
from fastapi import Depends
from sqlalchemy import select

from transhumance_airflow.api import idempotency, models
from transhumance_airflow.api.auth import Caller
from transhumance_airflow.api.problems import Problem, unavailable

PREFIX = "panel-"
"""What the run ids of the panel's requests begin with."""

DAGS = (
    "test_account",
    "move_account",
    "migrate_account",
    "migrate_server",
    "manage_transits",
    "deliver_events",
    "enrol_server",
    "adopt_accounts",
    "look_at_servers",
    "prepare_server",
    "upgrade_agents",
)
"""Those that the panel starts."""

MARK = "panel"
"""Where in a run's conf the request stands."""


@dataclass(frozen=True)
class Found:
    """A run of Airflow's."""

    dag_id: str
    run_id: str
    state: str
    conf: dict[str, Any]
    asked_at: datetime


class Runs(Protocol):
    """Airflow's runs; `AirflowRuns`, or another in tests."""

    def find(self, dag_id: str, run_id: str) -> Found | None: ...
    def find_any(self, run_id: str) -> Found | None: ...
    def start(self, dag_id: str, run_id: str, conf: dict[str, Any], by: str, note: str) -> Found: ...


class AirflowRuns:
    """The runs of the Airflow whose API server this is."""

    def find(self, dag_id: str, run_id: str) -> Found | None:
        """The run, or None."""
        return self._one(DagRun.dag_id == dag_id, DagRun.run_id == run_id)

    def find_any(self, run_id: str) -> Found | None:
        """The run of that id, of whichever of `DAGS`; None without one."""
        return self._one(DagRun.dag_id.in_(DAGS), DagRun.run_id == run_id)

    def _one(self, *where: Any) -> Found | None:
        with create_session() as session:
            run = session.scalar(select(DagRun).where(*where).limit(1))
            return run and _found(run)

    def start(self, dag_id: str, run_id: str, conf: dict[str, Any], by: str, note: str) -> Found:
        """Starts the run, or finds the one of this id. Refuses params that break their schema, and a DAG that is
        paused or not there."""
        with create_session() as session:
            model = session.get(DagModel, dag_id)
            if model is None or model.is_stale or model.is_paused:
                raise unavailable(f"The host has stopped {dag_id} for the moment: try again later, or ask the host.")
            try:
                run = trigger_dag(
                    dag_id,
                    run_id=run_id,
                    conf=conf,
                    note=note,
                    triggered_by=DagRunTriggeredByType.REST_API,
                    triggering_user_name=by,
                    session=session,
                )
            except DagRunAlreadyExists as error:
                if error.dag_run is None:
                    raise
                return _found(error.dag_run)
            except DagNotFound:
                raise unavailable(f"The host has no {dag_id} at the moment: try again later.") from None
            except (ParamValidationError, ValueError) as error:
                raise Problem("bad-request", f"{str(error).splitlines()[0][:300]}: correct the call.") from None
            if run is None:
                raise unavailable(f"Airflow has not begun {dag_id}: try again later.")
            session.flush()
            return _found(run)


def _found(run: DagRun) -> Found:
    return Found(run.dag_id, run.run_id, str(getattr(run.state, "value", run.state)), run.conf or {}, run.run_after)


def runs() -> Runs:
    """Airflow's."""
    return AirflowRuns()


RunsDep = Annotated[Runs, Depends(runs)]


def told(found: Found | None, dag_id: str, run_id: str) -> models.Run:
    """A run as answers tell it."""
    base = settings.get("api", "base_url", fallback="").rstrip("/")
    url = f"{base}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"
    return models.Run(dag_id=dag_id, run_id=run_id, url=url, state=None if found is None else found.state)


def request(found: Found) -> models.Request:
    """What was asked for, as its run has it."""
    asked = found.conf[MARK]
    return models.Request(
        id=asked["request"],
        action=asked["action"],
        subject=asked["subject"],
        requested_at=found.asked_at,
        requested_by=found.conf["requested_by"],
        run=told(found, found.dag_id, found.run_id),
        watch=asked["watch"],
    )


@dataclass(frozen=True)
class Asked:
    """What a caller asks for: an action on an account or server, with the call's body, under their key."""

    caller: Caller
    key: str
    action: str
    subject: str
    body: dict[str, Any]

    @property
    def id(self) -> str:
        """The request's id."""
        return idempotency.request_id(self.caller, self.key)

    @property
    def fingerprint(self) -> str:
        """What is asked for, in short."""
        return idempotency.fingerprint(self.action, self.subject, self.body)


def known(runs: Runs, asked: Asked) -> Found | None:
    """The run that this key started before; None when it is new. Refused when it was for something else."""
    found = runs.find_any(PREFIX + asked.id)
    return found and _same(found, asked)


def _same(found: Found, asked: Asked) -> Found:
    if found.conf[MARK]["fingerprint"] != asked.fingerprint:
        raise Problem(
            "key-reused", "This Idempotency-Key came with another request before: make a new one for each request."
        )
    return found


def start(runs: Runs, asked: Asked, dag_id: str, conf: dict[str, Any], watch: str) -> Found:
    """Starts the run of a request that is not `known` yet."""
    mark = {
        "request": asked.id,
        "action": asked.action,
        "subject": asked.subject,
        "customer": asked.caller.customer,
        "fingerprint": asked.fingerprint,
        "watch": watch,
    }
    by = asked.caller.name
    note = f"{asked.action} {asked.subject}, asked for by {by}: {watch}"
    whole = {**conf, "requested_by": by, MARK: mark}
    return _same(runs.start(dag_id, PREFIX + asked.id, whole, asked.caller.user.get_name(), note), asked)
