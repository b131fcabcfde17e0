"""A fresh registry a test."""

import itertools
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.support.postgres import create

_numbers = itertools.count(1)


@pytest.fixture
def dsn(postgresql: str) -> str:
    """Connection string of a registry of the test's own."""
    return create(postgresql, f"registry{next(_numbers)}", "template")


@pytest.fixture
def conn(dsn: str) -> Iterator[psycopg.Connection]:
    """A connection to the test's registry."""
    with psycopg.connect(dsn) as connection:
        yield connection


@pytest.fixture
def connect(dsn: str) -> Iterator[Callable[[], psycopg.Connection]]:
    """Further connections to the test's registry, closed at the end."""
    opened: list[psycopg.Connection] = []

    def another() -> psycopg.Connection:
        opened.append(psycopg.connect(dsn))
        return opened[-1]

    yield another
    for connection in opened:
        connection.close()
