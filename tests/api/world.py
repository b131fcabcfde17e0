"""The API on a real registry, with callers and runs that a test can see through."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient

from include import billing, catalogue, compatibility, registry
from include.agent.verbs.reports import Checked, Duplicated
from include.compatibility.report import Seen
from tests.api import callers
from tests.registry import host
from tests.support.airflow_home import REPOSITORY  # noqa: F401  before Airflow reads its settings
from transhumance_airflow.api import auth, database, runs
from transhumance_airflow.api import catalogue as files
from transhumance_airflow.api.app import make_app
from transhumance_airflow.api.runs import Found


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

    def fail(self, dag_id: str, run_id: str) -> None:
        """Makes it a run that failed."""
        self.started[dag_id, run_id] = Found(dag_id, run_id, "failed", {}, datetime.now(UTC))

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
def serving(dsn: str, monkeypatch: pytest.MonkeyPatch, accounts: int = 2) -> Iterator[Api]:
    """The API on the registry `dsn`: vps-1 and vps-2 of customer-1 and customer-2, a transit, and shared servers."""

    @contextmanager
    def registry_connection() -> Iterator[psycopg.Connection]:
        with psycopg.connect(dsn, autocommit=True) as conn:
            yield conn

    monkeypatch.setattr(database.connections, "registry_connection", registry_connection)
    monkeypatch.setattr(auth, "get_auth_manager", callers.AuthManager)
    auth.limiter.storage.reset()
    monkeypatch.setattr(files, "entries", lambda _: {})
    app, started = make_app(), FakeRuns()
    app.dependency_overrides[auth.authenticated] = callers.authenticated
    app.dependency_overrides[runs.runs] = lambda: started
    with psycopg.connect(dsn, autocommit=True) as conn:
        billing.ensure_settings(conn)
        host.add_host(conn, originals=2, transits=1, accounts=accounts)
        add_shared(conn)
        yield Api(conn, TestClient(app, raise_server_exceptions=False), started)
    database.forget()


def add_shared(conn: psycopg.Connection) -> None:
    """Shared servers web-1 (2022, account s1 of customer-1, s2 of customer-2) and web-2 (2026), and a test server."""
    disk = {"disk": {"total_bytes": 100 * host.GB, "free_bytes": 50 * host.GB}, "accounts": []}
    servers = (("web-1", "shared", 31, "2022"), ("web-2", "shared", 32, "2026"), ("test-1", "test", 41, "2026"))
    for name, kind, n, version in servers:
        host.add_server(conn, name, kind, n)
        registry.enrol_server(conn, name, version, host.KEY + name.replace("-", ""), {})
        registry.record_description(conn, name, disk)
        registry.add_ip(conn, f"198.51.100.{n}", name)
    for n in (1, 2):
        registry.add_account(conn, f"s{n}", "web-1", [f"s{n}.example"], f"customer-{n}")


DEBIAN = catalogue.Entry("2026", "A new Debian", "infrastructure", "2022", "2026", page="", incompatibilities=())


def with_test(conn: psycopg.Connection, account: str, blockers: int = 0, entry: str = "2026") -> registry.Test:
    """Test an account; its copy is ready."""
    test = registry.begin_test(conn, account, entry, f"test-{account}-{blockers}", "customer")
    registry.advance_test(conn, test.id, "copying")
    names = {f"{account}.example": f"{account}-t{test.id}.test.example"}
    expires_at = datetime.now(UTC) + timedelta(days=7)
    seen = Seen(Duplicated(files=3, bytes=4096), Checked(), Checked(), {})
    report = compatibility.build(
        DEBIAN, account, seen, names=names, databases=[], tested_at=datetime.now(UTC), expires_at=expires_at
    )
    if blockers:
        report |= {"verdict": "blocked", "sentence": f"{blockers} things stop it."}
    registry.record_test_report(conn, test.id, report, blockers, 0)
    return registry.advance_test(conn, test.id, "ready", names=names, expires_at=expires_at)
