"""The API within Airflow's own API server: mounted by the plugin, real tokens of the simple auth manager, real runs."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psycopg
import pytest
import uvicorn
from fastapi.testclient import TestClient
from httpx import Response

from include import registry
from include.registry.kinds import EventKind
from tests.registry import host
from tests.support.airflow_home import HOME, REPOSITORY
from tests.support.postgres import url
from transhumance_airflow.api import auth, database

USERS = {"panel": "user", "watcher": "viewer"}


@pytest.fixture(scope="module")
def dsn(new_registry: Callable[[], str]) -> str:
    """A registry with vps-1 of customer-1."""
    made = new_registry()
    with psycopg.connect(made) as conn:
        host.add_host(conn)
    return made


@pytest.fixture(scope="module")
def airflow(dsn: str) -> Iterator[TestClient]:
    """Airflow's core API with the plugin, its database and the DAGs of the repository."""
    settings = {
        "AIRFLOW_CONN_REGISTRY": url(dsn),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in USERS.items()),
        "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of the tests that is long enough for every algorithm, 64 characters",
        "AIRFLOW__API__SECRET_KEY": "another secret of the tests",
        "AIRFLOW__API__BASE_URL": "http://testserver",
        "_AIRFLOW_PROCESS_CONTEXT": "server",
    }
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        from airflow.api_fastapi import app as api_server
        from airflow.dag_processing.bundles.manager import DagBundlesManager
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
        from airflow.utils.db import initdb

        initdb()
        DagBundlesManager().sync_bundles_to_db()
        sync_bag_to_db(DagBag(str(REPOSITORY / "dags" / "migrate_server.py")), "dags-folder", None)
        monkeypatch.setattr(api_server._AuthManagerState, "instance", None)
        database.forget()
        auth.limiter.storage.reset()
        with TestClient(api_server.create_app(apps="core"), raise_server_exceptions=False) as client:
            yield client
        database.forget()


@pytest.fixture(scope="module")
def tokens(airflow: TestClient) -> dict[str, str]:
    """A token for each user of the simple auth manager, which it gave for their password."""
    passwords = json.loads((HOME / "simple_auth_manager_passwords.json.generated").read_text())
    tokens = {}
    for user in USERS:
        answer = airflow.post("/auth/token", json={"username": user, "password": passwords[user]})
        tokens[user] = answer.json()["access_token"]
    return tokens


@pytest.fixture(scope="module")
def call(airflow: TestClient, tokens: dict[str, str]) -> Callable[..., Response]:
    """Calls as a user."""

    def made(method: str, path: str, user: str, customer: str | None = None, **more: Any) -> Response:
        headers = {"Authorization": f"Bearer {tokens[user]}", "Idempotency-Key": more.pop("key", "a-key-of-the-test")}
        headers |= {"Transhumance-Customer": customer} if customer else {}
        return airflow.request(method, path, headers=headers, **more)

    return made


def test_only_health_is_open(airflow: TestClient) -> None:
    assert airflow.get("/transhumance/v1/health").json() == {"status": "healthy", "registry": "answers"}
    for token in ({}, {"Authorization": "Bearer nonsense"}):
        answer = airflow.get("/transhumance/v1/servers", headers=token)
        assert answer.status_code == 401 and answer.json()["type"].endswith("no-token")


def test_rights_are_airflows_roles(call: Callable[..., Response]) -> None:
    servers = call("GET", "/transhumance/v1/servers", "watcher", "customer-1")
    assert [one["server"] for one in servers.json()["servers"]] == ["vps-1"]
    assert call("GET", "/transhumance/v1/servers", "watcher").status_code == 403
    assert call("GET", "/transhumance/v1/servers", "panel").status_code == 200
    ask = {"json": {"entry": "2026"}}
    refused = call("POST", "/transhumance/v1/servers/vps-1/transit", "watcher", "customer-1", **ask)
    assert refused.status_code == 403 and "may not perform accounts" in refused.json()["detail"]


def test_a_request_is_an_ordinary_run(call: Callable[..., Response], dsn: str) -> None:
    body = {"entry": "2026", "lift_gate_because": "a test of runs"}
    path = "/transhumance/v1/servers/vps-1/transit"
    first = call("POST", path, "panel", json=body)
    assert first.status_code == 202, first.text
    run = first.json()["run"]
    assert call("POST", path, "panel", json=body).json() == first.json()
    found = call("GET", f"/api/v2/dags/migrate_server/dagRuns/{run['run_id']}", "watcher").json()
    assert (found["state"], found["triggered_by"], found["triggering_user_name"]) == ("queued", "rest_api", "panel")
    assert found["conf"]["requested_by"] == first.json()["requested_by"] == "ops panel"
    assert found["conf"]["server"] == "vps-1" and found["conf"]["panel"]["request"] == first.json()["id"]
    assert found["note"] == "ask vps-1, asked for by ops panel: /transhumance/v1/servers/vps-1"
    assert run["url"] == f"http://testserver/dags/migrate_server/runs/{run['run_id']}"
    assert call("GET", first.headers["Location"], "panel").json() == first.json()
    with psycopg.connect(dsn) as conn:
        assert registry.migration_of(conn, "vps-1") is None, "the run itself begins it"


def test_a_run_that_another_call_started_meanwhile_is_found(call: Callable[..., Response]) -> None:
    from transhumance_airflow.api import runs

    conf = {"server": "vps-1", "entry": "2026", "requested_by": "x"}
    first, second = (runs.AirflowRuns().start("migrate_server", "panel-twice", conf, "panel", "a note") for _ in "12")
    assert first == second == runs.AirflowRuns().find("migrate_server", "panel-twice")
    assert first.conf == conf and first.state == "queued"


def test_events_arrive_while_the_stream_is_open(airflow: TestClient, tokens: dict[str, str], dsn: str) -> None:
    """Through all that Airflow's API server puts around an answer, compression too."""
    server = uvicorn.Server(uvicorn.Config(airflow.app, host="127.0.0.1", port=0, lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    headers = {"Authorization": f"Bearer {tokens['watcher']}", "Transhumance-Customer": "customer-1"}
    try:
        with (
            httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=10) as http,
            http.stream("GET", "/transhumance/v1/accounts/a1-1/stream") as answer,
            psycopg.connect(dsn, autocommit=True) as conn,
        ):
            lines = answer.iter_lines()
            assert next(lines) == ": following"
            time.sleep(1)
            for kind in (EventKind.MOVE_COPYING, EventKind.MOVE_DONE):
                written = registry.event(conn, kind, account="a1-1")
                begun = time.monotonic()
                assert next(line for line in lines if line.startswith("id:")) == f"id: {written}"
                assert time.monotonic() - begun < 3
    finally:
        server.should_exit = True
        thread.join(20)


def test_what_the_params_refuse_is_a_bad_request(call: Callable[..., Response]) -> None:
    from transhumance_airflow.api import runs

    def start(conf: dict[str, str]) -> runs.Found:
        return runs.AirflowRuns().start("migrate_server", "panel-bad", conf, "panel", "a note")

    with pytest.raises(runs.Problem, match="server"):
        start({"server": "A B", "entry": "2026", "requested_by": "x"})
    assert runs.AirflowRuns().find_any("panel-bad") is None
    with pytest.raises(runs.Problem, match="stopped no_such_dag for the moment"):
        runs.AirflowRuns().start("no_such_dag", "panel-none", {}, "panel", "a note")


def test_triggering_the_dag_directly_is_checked_by_the_same_rules(call: Callable[..., Response], dsn: str) -> None:
    """Airflow's own API checks the params; the run's first task says the sentence that the panel's API says at once."""
    bad = {"logical_date": None, "conf": {"server": "vps-1", "entry": "../etc"}}
    assert call("POST", "/api/v2/dags/migrate_server/dagRuns", "panel", json=bad).status_code == 400
    said = call(
        "POST",
        "/transhumance/v1/servers/vps-1/transit",
        "panel",
        "customer-1",
        json={"entry": "2026"},
        key="untested-1",
    ).json()["detail"]
    assert said.startswith("Account a1-1 has not been tested for 2026")
    with psycopg.connect(dsn) as conn, pytest.raises(registry.RegistryRefused) as refused:
        registry.begin_migration(conn, "vps-1", "2026", "a run", "ops")
    assert str(refused.value) == said
