"""The API on a real registry, with callers and runs that a test can see through."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient

from tests.airflow_home import REPOSITORY  # noqa: F401  before Airflow reads its settings
from tests.api import callers
from tests.postgres import create
from tests.registry import host
from transhumance_airflow.api import auth, database, runs
from transhumance_airflow.api.app import make_app
from transhumance_airflow.api.runs import Found

_numbers = itertools.count(1)


@dataclass
class FakeRuns:
    """Airflow's runs, in memory. What is started is queued for ever."""

    started: dict[tuple[str, str], Found] = field(default_factory=dict)

    def find(self, dag_id: str, run_id: str) -> Found | None:
        return self.started.get((dag_id, run_id))

    def find_any(self, run_id: str) -> Found | None:
        return next((found for (_, id), found in self.started.items() if id == run_id), None)

    def start(self, dag_id: str, run_id: str, conf: dict[str, Any], by: str, note: str) -> Found:
        assert by and note
        found = Found(dag_id, run_id, "queued", conf, datetime.now(UTC))
        return self.started.setdefault((dag_id, run_id), found)

    def of(self, dag_id: str) -> list[dict[str, Any]]:
        """The confs of the DAG's runs."""
        return [found.conf for (dag, _), found in self.started.items() if dag == dag_id]


@dataclass
class Api:
    """The API, its registry, and its runs."""

    conn: psycopg.Connection
    client: TestClient
    runs: FakeRuns
    keys: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def get(self, path: str, user: str | None = "panel", customer: str | None = "customer-1", **more: Any) -> Any:
        return self.client.get(f"/v1{path}", headers=callers.headers(user, customer), **more)

    def post(
        self,
        path: str,
        body: dict[str, Any],
        user: str | None = "panel",
        customer: str | None = "customer-1",
        key: str | None = None,
    ) -> Any:
        key = key or f"key-{next(self.keys):08}"
        return self.client.post(f"/v1{path}", json=body, headers=callers.headers(user, customer, key))


@contextmanager
def serving(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The API on the registry `dsn`: vps-1 and vps-2 of customer-1 and customer-2, and a transit."""

    @contextmanager
    def registry_connection() -> Iterator[psycopg.Connection]:
        with psycopg.connect(dsn, autocommit=True) as conn:
            yield conn

    monkeypatch.setattr(database.connections, "registry_connection", registry_connection)
    monkeypatch.setattr(auth, "get_auth_manager", callers.AuthManager)
    auth.limiter.storage.reset()
    app, started = make_app(), FakeRuns()
    app.dependency_overrides[auth.authenticated] = callers.authenticated
    app.dependency_overrides[runs.runs] = lambda: started
    with psycopg.connect(dsn, autocommit=True) as conn:
        host.add_host(conn, originals=2, transits=1)
        yield Api(conn, TestClient(app, raise_server_exceptions=False), started)
    database.forget()


@pytest.fixture
def new_registry(postgresql: str) -> Callable[[], str]:
    """Makes a registry of the test's own; its connection string."""
    return lambda: create(postgresql, f"api{next(_numbers)}", "template")


@pytest.fixture
def api(new_registry: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The API on a registry of the test's own."""
    with serving(new_registry(), monkeypatch) as api:
        yield api
