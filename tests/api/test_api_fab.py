"""The API under FAB, as production runs it: an API server of its own, roles made through FAB's own API, real tokens."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from include import billing
from tests.api import callers
from tests.api.routes import BODIES, NEEDS, ROUTES
from tests.api.world import add_shared, with_test
from tests.registry import host
from tests.support.airflow_home import REPOSITORY
from tests.support.postgres import create, url
from transhumance_airflow.board import PREFIX as BOARD

ADMIN, PASSWORD = "admin", "a password of the tests"
DOCS = (REPOSITORY / "docs" / "api.md").read_text()
PANELS_ROLE = json.loads(re.findall(r"^```json\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)[0])


@dataclass
class Server:
    """Airflow's API server, and a token for each user."""

    http: httpx.Client
    tokens: dict[str, str]

    def call(
        self, method: str, path: str, user: str | None, customer: str | None = None, **more: Any
    ) -> httpx.Response:
        """One call; of a stream only its beginning."""
        headers = {"Idempotency-Key": f"fab-{os.urandom(8).hex()}"}
        headers |= {"Authorization": f"Bearer {self.tokens[user]}"} if user else {}
        headers |= {"Transhumance-Customer": customer} if customer else {}
        with self.http.stream(method, path, headers=headers, **more) as answer:
            if "event-stream" not in answer.headers.get("Content-Type", ""):
                answer.read()
        return answer

    def made(self, what: str, body: dict[str, Any]) -> None:
        """A role or a user, made by the admin."""
        answer = self.call("POST", f"/auth/fab/v1/{what}", ADMIN, json=body)
        assert answer.is_success, answer.text

    def log_in(self, user: str) -> None:
        answer = self.http.post("/auth/token", json={"username": user, "password": PASSWORD})
        assert answer.is_success, answer.text
        self.tokens[user] = answer.json()["access_token"]


def role_of(caller: str) -> dict[str, Any]:
    """What FAB has to know so that the caller may do what `callers.RIGHTS` says."""
    rights = {("can_read" if method == "GET" else "can_create", "DAG Runs") for method, _ in callers.RIGHTS[caller]}
    rights |= {("can_read" if method == "GET" else "can_edit", f"DAG:{dag}") for method, dag in callers.RIGHTS[caller]}
    return {
        "name": caller,
        "actions": [{"action": {"name": action}, "resource": {"name": of}} for action, of in sorted(rights)],
    }


@pytest.fixture(scope="module")
def dsn(new_registry: Callable[[], str]) -> str:
    """The registry of the walk: something of customer-1 behind every address."""
    made = new_registry()
    with psycopg.connect(made, autocommit=True) as conn:
        host.add_host(conn, originals=2)
        add_shared(conn)
        billing.ensure_settings(conn)
        host.handed_over(conn, 1)
    return made


@pytest.fixture(scope="module")
def fab(postgresql: str, dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Airflow set up for FAB as docs/operations.md says, with a user and a role for each caller."""
    home = tmp_path_factory.mktemp("fab")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = environment(home, create(postgresql, "fab"), dsn)
    user = ["--username", ADMIN, "--password", PASSWORD, "--role", "Admin", "--email", "admin@host.example"]
    for argv in (
        ["db", "migrate"],
        ["dags", "reserialize"],
        ["users", "create", *user, "--firstname", "A", "--lastname", "B"],
    ):
        done = subprocess.run([*AIRFLOW, *argv], env=env, cwd=home, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    with (home / "log").open("wb") as log:
        argv = [*AIRFLOW, "api-server", "--port", str(port), "--host", "127.0.0.1"]
        program = subprocess.Popen(argv, env=env, cwd=home, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            wait_until_it_answers(http, program, home / "log")
            server = Server(http, {})
            server.log_in(ADMIN)
            for role in (PANELS_ROLE, *(role_of(caller) for caller in callers.RIGHTS)):
                server.made("roles", role)
            for caller in (*callers.RIGHTS, PANELS_ROLE["name"]):
                named = {"username": caller, "first_name": caller, "last_name": "X", "email": f"{caller}@host.example"}
                server.made("users", {**named, "roles": [{"name": caller}], "password": PASSWORD})
                server.log_in(caller)
            # Who delivers events is paused until the host has said where they go.
            on = server.call("PATCH", "/api/v2/dags/deliver_events", ADMIN, json={"is_paused": False})
            assert on.is_success, on.text
            yield server
    finally:
        program.send_signal(signal.SIGINT)
        try:
            program.wait(20)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()


AIRFLOW = [sys.executable, "-m", "airflow"]


def environment(home: Path, metadata: str, dsn: str) -> dict[str, str]:
    """What production says to Airflow beside config/airflow.cfg."""
    return os.environ | {
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": str(REPOSITORY),
        "AIRFLOW_CONN_REGISTRY": url(dsn),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url(metadata, "postgresql+psycopg"),
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of the tests that is long enough for every algorithm, 64 characters",
        "AIRFLOW__API__SECRET_KEY": "another secret of the tests",
    }


def wait_until_it_answers(http: httpx.Client, program: subprocess.Popen, log: Path, seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            http.get("/transhumance/v1/health").raise_for_status()
            return
        except httpx.HTTPError:
            if program.poll() is not None or time.monotonic() > until:
                raise AssertionError(log.read_text(errors="replace")[-3000:]) from None
            time.sleep(0.2)


@pytest.fixture(scope="module")
def named(fab: Server, dsn: str) -> dict[str, str]:
    """What the paths' braces stand for."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        test = with_test(conn, "a1-1")
    asked = fab.call("POST", "/transhumance/v1/accounts/a1-1/perform", "panel", "customer-1", json={})
    assert asked.status_code == 202, asked.text
    return {"server": "vps-1", "account": "a1-1", "test": str(test.id), "request": asked.json()["id"]}


def test_the_role_in_the_docs_is_the_panels() -> None:
    def rights(role: dict[str, Any]) -> set[tuple[str, str]]:
        return {(one["action"]["name"], one["resource"]["name"]) for one in role["actions"]}

    assert rights(PANELS_ROLE) == rights(role_of("panel"))
    assert PANELS_ROLE["name"] not in callers.RIGHTS


@pytest.mark.parametrize("user", [None, *callers.RIGHTS, PANELS_ROLE["name"]])
def test_every_route_asks_for_its_right(fab: Server, named: dict[str, str], user: str | None) -> None:
    allowed = callers.ALLOWED["panel" if user == PANELS_ROLE["name"] else user] if user else set()
    wrong = {}
    for operation, method, route in ROUTES:
        path = f"/transhumance{route.path}".format(**named)
        customer = None if NEEDS[operation] == "ops" else "customer-1"
        status = fab.call(method, path, user, customer, json=BODIES.get(operation)).status_code
        if NEEDS[operation] in (None, *allowed):
            right = status < 500 and status not in (401, 403)
        else:
            right = status == (403 if user else 401)
        if not right:
            wrong[operation] = status
    assert wrong == {}


def test_without_a_customer_only_ops_get_through(fab: Server, named: dict[str, str]) -> None:
    for user in callers.RIGHTS:
        status = fab.call("GET", "/transhumance/v1/servers/vps-1", user).status_code
        assert status == (200 if user == "ops" else 403), user


def test_another_customers_things_are_not_there(fab: Server, named: dict[str, str]) -> None:
    assert fab.call("GET", "/transhumance/v1/accounts/a1-1", "panel", "customer-2").status_code == 404


def test_a_run_says_who_asked(fab: Server, named: dict[str, str]) -> None:
    run = fab.call("GET", f"/transhumance/v1/requests/{named['request']}", "panel", "customer-1").json()["run"]
    found = fab.call("GET", f"/api/v2/dags/{run['dag_id']}/dagRuns/{run['run_id']}", ADMIN).json()
    assert found["triggering_user_name"] == "panel" and found["conf"]["requested_by"] == "customer-1 (panel panel)"


def test_airflows_own_api_keeps_to_the_same_roles(fab: Server, named: dict[str, str]) -> None:
    conf = {"logical_date": None, "conf": {"action": "show_queue", "requested_by": "x"}}
    assert fab.call("POST", "/api/v2/dags/manage_transits/dagRuns", "panel", json=conf).status_code == 403
    assert fab.call("POST", "/api/v2/dags/manage_transits/dagRuns", "ops", json=conf).status_code == 200


def test_the_board_is_for_those_who_may_read(fab: Server, named: dict[str, str]) -> None:
    seen = {user: fab.call("GET", f"{BOARD}/", user).status_code for user in (None, "nobody", "viewer", "ops")}
    assert seen == {None: 401, "nobody": 403, "viewer": 200, "ops": 200}
    pressed = {}
    for user in (None, "nobody", "viewer", "ops"):
        pressed[user] = fab.call("POST", f"{BOARD}/actions/resume_transit", user, data={"transit": "transit-1"})
    assert [answer.status_code for answer in pressed.values()] == [401, 403, 403, 200], pressed["ops"].text


def test_a_wrong_password_gets_no_token(fab: Server) -> None:
    answer = fab.http.post("/auth/token", json={"username": "panel", "password": "wrong"})
    assert answer.status_code == 401
