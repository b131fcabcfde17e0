"""A fresh registry a test."""

import itertools
from collections.abc import Iterator

import psycopg
import pytest

from tests.support.postgres import database

_numbers = itertools.count(1)


@pytest.fixture
def conn(postgresql: str) -> Iterator[psycopg.Connection]:
    """A connection to a registry of the test's own."""
    with (
        database(postgresql, f"inventory{next(_numbers)}", "template") as dsn,
        psycopg.connect(dsn, autocommit=True) as connection,
    ):
        yield connection
