"""The API on a registry of the test's own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.api.world import Api, serving
from tests.support.airflow_home import REPOSITORY  # noqa: F401  before Airflow reads its settings
from tests.support.postgres import create

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def new_registry(postgresql: str) -> Callable[[], str]:
    """Makes a registry; its connection string."""
    return lambda: create(postgresql, f"api{next(_numbers)}", "template")


@pytest.fixture
def api(new_registry: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The API on a registry of the test's own."""
    with serving(new_registry(), monkeypatch) as api:
        yield api
