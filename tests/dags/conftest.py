"""Airflow for tests: its settings from the repository, a home of its own, no database; and a host in memory."""

from __future__ import annotations

from typing import Any

from tests.support.airflow_home import REPOSITORY  # isort: skip  (before anything of Airflow)

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.dags.hosting import Hosting, write_shared, written
from tests.support.postgres import database

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def dags() -> dict[str, Any]:
    """Every DAG of the repository, parsed once. They must parse."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(REPOSITORY / "dags"))
    assert bag.import_errors == {}
    return dict(bag.dags)


@pytest.fixture
def hosting(postgresql: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hosting]:
    """A host in memory behind the DAGs' connections, and a real registry that knows it."""
    registry = database(postgresql, f"hosting{next(_numbers)}", "template")
    with registry as dsn, psycopg.connect(dsn, autocommit=True) as conn:
        hosting = written(conn)
        hosting.stand_in(monkeypatch)
        monkeypatch.setenv("TRANSHUMANCE_REPORTS", str(tmp_path))
        yield hosting


@pytest.fixture
def shared(hosting: Hosting) -> Hosting:
    """The same host with an old and a new shared server, a test server, and one for databases."""
    write_shared(hosting)
    return hosting


@pytest.fixture(scope="session")
def airflow() -> None:
    """A metadata database for this process's Airflow."""
    migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(migrate, check=True, capture_output=True, timeout=180)
