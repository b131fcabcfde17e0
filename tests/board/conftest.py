"""The board within a real Airflow API server, on a registry with the made-up host."""

from __future__ import annotations

from typing import Any, Self

from tests.support.airflow_home import REPOSITORY  # isort: skip  # noqa: F401  (before anything of Airflow)

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.board import made_up
from tests.support.postgres import create, database

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def made_up_host(postgresql: str) -> str:
    """The name of a database with the made-up host, to be copied."""
    with psycopg.connect(create(postgresql, "made_up", "template"), autocommit=True) as conn:
        made_up.fill(conn)
    return "made_up"


class Counting(psycopg.Cursor):
    """A cursor that counts what is asked through any of its kind."""

    asked = 0

    def execute(self, *args: Any, **kwargs: Any) -> Self:
        Counting.asked += 1
        return super().execute(*args, **kwargs)


@pytest.fixture
def dsn(postgresql: str, made_up_host: str) -> Iterator[str]:
    """A registry of the test's own, with the made-up host."""
    with database(postgresql, f"board{next(_numbers)}", made_up_host) as dsn:
        yield dsn


@pytest.fixture
def conn(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    """A connection to the test's registry, which is also the board's."""
    from transhumance_airflow import connections
    from transhumance_airflow.board import gather

    @contextmanager
    def registry_connection() -> Iterator[psycopg.Connection]:
        with psycopg.connect(dsn, autocommit=True, cursor_factory=Counting) as connection:
            yield connection

    monkeypatch.setattr(connections, "registry_connection", registry_connection)
    monkeypatch.setattr(gather, "FRESH_SECONDS", 0.0)
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


USERS = {"vera": "viewer", "olga": "op"}
"""Who may log in: one who may look, and one of ops."""


@pytest.fixture(scope="session")
def airflow() -> Iterator[FastAPI]:
    """Airflow's own API server with its plugins, on an empty database."""
    settings = {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in USERS.items()),
        "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of the tests that is long enough for every algorithm, 64 characters",
        "AIRFLOW__API__SECRET_KEY": "another secret of the tests",
    }
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        from airflow.api_fastapi import app as api_server
        from airflow.utils.db import initdb

        initdb()
        monkeypatch.setattr(api_server._AuthManagerState, "instance", None)
        yield api_server.create_app(apps="core")


@pytest.fixture
def client(
    airflow: FastAPI, conn: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str | None], TestClient]:
    """A client for a user (None: anonymous) with a browser's session."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    monkeypatch.setenv("TRANSHUMANCE_REPORTS", str(tmp_path))

    def logged_in(name: str | None) -> TestClient:
        cookies = {}
        if name is not None:
            user = SimpleAuthManagerUser(username=name, role=USERS[name])
            cookies = {"_token": get_auth_manager().generate_jwt(user)}
        return TestClient(airflow, cookies=cookies, follow_redirects=False)

    return logged_in
