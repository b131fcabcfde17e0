"""The API on a registry of the test's own."""

from __future__ import annotations

from tests.support.airflow_home import REPOSITORY  # isort: skip  # noqa: F401  (before anything of Airflow)

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.api.world import Api, serving
from tests.support.postgres import create, database

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def new_registry(postgresql: str) -> Callable[[], str]:
    """Makes a registry for a whole module; its connection string."""
    return lambda: create(postgresql, f"api{next(_numbers)}", "template")


@pytest.fixture
def api(postgresql: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The API on a registry of the test's own."""
    with database(postgresql, f"api{next(_numbers)}", "template") as dsn, serving(dsn, monkeypatch) as api:
        yield api
